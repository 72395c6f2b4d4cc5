#include "ballast/ragged/operators.h"

#include <algorithm>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/random.h"
#include "ballast/ragged/transform.h"

namespace ballast::ragged {

using loop::Expr;

Program vgemm_program(loop::KernelRegistry& registry, const VgemmSpec& spec) {
  const Dim b = dim("b"), i = dim("i"), j = dim("j"), k = dim("k");
  const LengthFn B = LengthFn::scalar("B"), M = LengthFn::data("M", b, 0, 1 << 20),
                 N = LengthFn::data("N", b, 0, 1 << 20), K = LengthFn::data("K", b, 0, 1 << 20);
  const Tensor a = input("A", {{b, B}, {i, M}, {k, K}}), c = input("C", {{b, B}, {k, K}, {j, N}});
  const Tensor d = compute("D", {{b, B}, {i, M}, {j, N}}, [&](const Index& x) {
    return sum({{k, K}}, [&](const Index& r) {
      return read(a, {x[b], x[i], r[k]}) * read(c, {x[b], r[k], x[j]});
    });
  });
  Schedule s(d);
  const auto [io, ii] = s.split(s[i], spec.row_tile);
  const auto [jo, ji] = s.split(s[j], spec.column_tile);
  s.reorder({io, jo, ii, ji});
  const Loop task = s.fuse(s[b], s.fuse(io, jo));
  s.microkernel(ii, ji, s[k]).parallel(task).remap_by_cost().hoist_loads(spec.hoist).balance(spec.balance);
  return Program(registry, {s});
}

Program trmm_program(loop::KernelRegistry& registry, const TrmmSpec& spec) {
  constexpr std::int64_t kTile = 32;
  const std::int64_t n = spec.n;
  const Dim t = dim("t"), r = dim("r"), j = dim("j"), k = dim("k"), q = dim("q"), i = dim("i");
  const Tensor l = input("L", {{i, n}, {k, n}}), x = input("X", {{k, n}, {j, n}});
  const auto row = [&](const Index& at) { return at[t] * Expr(kTile) + at[r]; };
  const std::vector<Axis> axes{{t, n / kTile}, {r, kTile}, {j, n}};
  const LengthFn before = LengthFn::affine(t, kTile, spec.split ? 0 : kTile, n);
  const Tensor head = compute("Y", axes, [&](const Index& at) {
    return sum({{k, before}}, [&](const Index& s) {
      return read(l, {row(at), s[k]}) * read(x, {s[k], at[j]});
    });
  });
  Schedule a(head);
  const auto [jo, ji] = a.split(a[j], 512);
  a.reorder({a[t], jo, a[r], ji});
  a.microkernel(a[r], ji, a[k]).parallel(a.fuse(a[t], jo)).balance(spec.balance);
  if (spec.heavy_first) a.remap_by_cost();
  if (!spec.split) return Program(registry, {a});
  auto tail = std::make_shared<Stage>(*compute("Y.tail", axes, [&](const Index& at) {
    return sum({{q, LengthFn::affine(r, 1, 1, kTile)}}, [&](const Index& s) {
      return read(l, {row(at), at[t] * Expr(kTile) + s[q]}) * read(x, {at[t] * Expr(kTile) + s[q], at[j]});
    });
  }));
  tail->target = head;
  tail->adds = true;
  Schedule b(tail);
  b.reorder({b[r], b[q], b[j]});
  b.vectorize(b[j]).parallel(b[t]).balance(spec.balance);
  return Program(registry, {a, b});
}

Program triangular_program(loop::KernelRegistry& registry, std::int64_t n, bool multiply,
                           bool closed_offsets) {
  const Dim i = dim("i"), j = dim("j");
  const std::vector<Axis> axes{{i, n}, {j, LengthFn::affine(i, 1, 1, n)}};
  const Tensor a = input("A", axes), b = input("B", axes);
  const Tensor y = compute("Y", axes, [&](const Index& x) {
    const Expr l = read(a, {x[i], x[j]}), r = read(b, {x[i], x[j]});
    return Definition(multiply ? l * r : l + r);
  });
  Schedule s(y);
  const auto [fo, fi] = s.split(s.fuse(s[i], s[j]), 4096);
  s.vectorize(fi).parallel(fo);
  // The table of the fused loop is that of the storage: the position is the loop's own variable.
  return Program(registry, {s}, {}, {.closed_offsets = closed_offsets});
}

namespace {

/// The dimensions and tensors of attention, as the options say.
struct Attention {
  AttentionOptions o;
  Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k"), n = dim("n"), m = dim("m");
  LengthFn B = LengthFn::scalar("B"), len;
  std::int64_t d;

  explicit Attention(const AttentionOptions& options)
      : o(options),
        len(o.constant_length > 0 ? LengthFn(o.constant_length) : LengthFn::data("len", b, 0, o.max_length)),
        d(o.heads * o.head_size) {}

  /// Storage of the dimensions i and j as the options say.
  Tensor stored(const Tensor& t, std::int64_t pad) const {
    for (std::size_t a = 0; a < t->axes.size(); ++a) {
      if (t->axes[a].dim != i && t->axes[a].dim != j) continue;
      if (o.dense_storage) t->storage[a] = LengthFn(o.max_length);
      if (pad > 1) t->storage[a] = t->storage[a].ceil_mult(pad);
    }
    return t;
  }
  std::vector<Axis> rows(std::vector<Axis> more) const {
    more.insert(more.begin(), {{b, B}, {i, len}});
    return more;
  }
  std::vector<Axis> score_axes() const { return {{b, B}, {h, o.heads}, {i, len}, {j, len}}; }
  std::vector<Axis> score_rows() const { return {{b, B}, {h, o.heads}, {i, len}}; }

  Schedule tuned(const Tensor& t) const {
    Schedule s(t);
    s.hoist_loads(o.hoist);
    for (const Axis& a : t->axes)
      if (o.pad > 1 && (a.dim == i || a.dim == j)) s.pad_loop(a.dim, o.pad);
    return s;
  }
  void tasks(Schedule& s, Loop outer) const {
    s.parallel(outer);
    if (o.remap) s.remap_by_cost();
  }

  /// S[b, h, i, j] = sum over k of left(b, i, h, k) right(b, j, h, k), scaled.
  using Element = std::function<Expr(const Index&, const Expr& k)>;
  Tensor scores(const Element& q, const Element& key) const {
    const double scale = o.scaled_queries ? 1 : 1 / std::sqrt(static_cast<double>(o.head_size));
    return stored(compute("S", score_axes(),
                          [&](const Index& x) {
                            return sum(
                                {{k, o.head_size}}, [&](const Index& r) { return q(x, r[k]) * key(x, r[k]); },
                                scale == 1 ? std::function<Expr(const Expr&)>()
                                           : [scale](const Expr& e) { return e * Expr(scale); });
                          }),
                  o.pad);
  }
  Schedule score_schedule(const Tensor& t) const {
    Schedule s = tuned(t);
    const auto [io, ii] = s.split(s[i], o.tile);
    const auto [jo, ji] = s.split(s[j], o.tile);
    s.reorder({s[b], io, jo, s[h], ii, ji});
    const Loop task = s.fuse(s[b], s.fuse(io, jo));
    s.microkernel(ii, ji, s[k]);
    tasks(s, task);
    return s;
  }
  /// M, E, T of softmax: the division is left to what reads them.
  std::vector<Schedule> softmax(const Tensor& scores, Tensor& e, Tensor& t) const {
    std::vector<Schedule> all;
    Tensor s = scores;
    if (o.separate_padding) all.push_back(score_copy(s = stored(copy_of("S1", scores), 1)));
    const Tensor top = stored(compute("M", score_rows(),
                                      [&](const Index& x) {
                                        return reduce(loop::Combine::max, {{j, len}}, [&](const Index& r) {
                                          return read(s, {x[b], x[h], x[i], r[j]});
                                        });
                                      }),
                              1);
    const std::int64_t pad = o.separate_padding ? 1 : o.pad;
    e = stored(
        compute(
            o.separate_padding ? "E1" : "E", score_axes(),
            [&](const Index& x) {
              return Definition(loop::exp(read(s, {x[b], x[h], x[i], x[j]}) - read(top, {x[b], x[h], x[i]})));
            }),
        pad);
    t = stored(
        compute("T", score_rows(),
                [&](const Index& x) {
                  return sum({{j, len}}, [&](const Index& r) { return read(e, {x[b], x[h], x[i], r[j]}); });
                }),
        1);
    for (const Tensor& stage : {top, e, t}) {
      Schedule one(stage);  // rows as they are: no padding
      one.hoist_loads(o.hoist);
      if (stage != e) one.cache_write();
      one.vectorize(one[j]);
      tasks(one, one.fuse(one[b], one[h]));
      all.push_back(one);
    }
    if (o.separate_padding) all.push_back(score_copy(e = stored(copy_of("E", e), o.pad)));
    return all;
  }
  /// The same scores in storage of another padding, by a kernel of its own.
  Tensor copy_of(const char* name, const Tensor& from) const {
    return compute(name, score_axes(), [&](const Index& x) {
      return Definition(read(from, {x[b], x[h], x[i], x[j]}));
    });
  }
  Schedule score_copy(const Tensor& to) const {
    Schedule s(to);
    s.hoist_loads(o.hoist).vectorize(s[j]);
    tasks(s, s.fuse(s[b], s[h]));
    return s;
  }
  /// O[b, i, n] with n over heads and their elements: the weighted values, divided by T.
  Schedule weighted(const Tensor& out) const {
    Schedule s(out);
    s.hoist_loads(o.hoist);
    const auto [io, ii] = s.split(s[i], o.tile);
    s.reorder({s[b], io, s[h], ii, s[k]});
    s.microkernel(ii, s[k], s[j]);
    tasks(s, s.fuse(s[b], io));
    return s;
  }
  Tensor values(const std::string& name, const Tensor& e, const Tensor& t, const Element& v,
                std::int64_t pad) const {
    return stored(compute(name, rows({{h, o.heads}, {k, o.head_size}}),
                          [&](const Index& x) {
                            return sum(
                                {{j, len}},
                                [&](const Index& r) {
                                  Index at = x;
                                  at.values[j] = r[j];
                                  return read(e, {x[b], x[h], x[i], r[j]}) * v(at, x[k]);
                                },
                                t ? std::function<Expr(const Expr&)>([this, t, x](const Expr& total) {
                                  return total / read(t, {x[b], x[h], x[i]});
                                })
                                  : nullptr);
                          }),
                  pad);
  }
  /// Y[b, i, n] = sum over m of X[b, i, m] W[m, n].
  Tensor projection(const std::string& name, const Tensor& x, const Tensor& w, std::int64_t width,
                    std::int64_t pad) const {
    return stored(compute(name, rows({{n, width}}),
                          [&](const Index& at) {
                            return sum({{m, d}}, [&](const Index& r) {
                              return read(x, {at[b], at[i], r[m]}) * read(w, {r[m], at[n]});
                            });
                          }),
                  pad);
  }
  Schedule projection_schedule(const Tensor& y, bool all_rows_as_one) const {
    Schedule s(y);
    s.hoist_loads(o.hoist);
    if (all_rows_as_one) {
      const auto [fo, fi] = s.split(s.fuse(s[b], s[i]), 96);
      s.microkernel(fi, s[n], s[m]);
      tasks(s, fo);
    } else {
      const auto [io, ii] = s.split(s[i], o.tile);
      s.microkernel(ii, s[n], s[m]);
      tasks(s, s.fuse(s[b], io));
    }
    return s;
  }
  Schedule copied(const Tensor& to) const {
    Schedule s(to);
    s.hoist_loads(o.hoist).vectorize({s.leaves().back()});
    tasks(s, s.fuse(s[b], s[i]));
    return s;
  }
};

}  // namespace

Program attention_operator(loop::KernelRegistry& registry, const std::string& name,
                           const AttentionOptions& o) {
  cli::require_one_of("operator", name, {"qk", "softmax", "av", "projection"});
  const Attention a(o);
  const bool packed = o.constant_length == 0 && !o.dense_storage && o.pad == 1;
  if (name == "projection") {
    const Tensor x = a.stored(input("X", a.rows({{a.m, a.d}})), o.pad),
                 w = input("W", {{a.m, a.d}, {a.n, a.d}});
    return Program(registry, {a.projection_schedule(a.projection("Y", x, w, a.d, o.pad), packed)});
  }
  const auto head = [&](const char* tensor, const Dim& row) {
    return a.stored(input(tensor, {{a.b, a.B}, {row, a.len}, {a.h, o.heads}, {a.k, o.head_size}}), o.pad);
  };
  if (name == "qk") {
    const Tensor q = head("Q", a.i), k = head("K", a.j);
    return Program(registry, {a.score_schedule(a.scores(
                                 [&](const Index& x, const Expr& e) {
                                   return read(q, {x[a.b], x[a.i], x[a.h], e});
                                 },
                                 [&](const Index& x, const Expr& e) {
                                   return read(k, {x[a.b], x[a.j], x[a.h], e});
                                 }))});
  }
  Tensor e, t;
  if (name == "softmax") {
    const Tensor s = a.stored(input("S", a.score_axes()), o.pad);
    std::vector<Schedule> all = a.softmax(s, e, t);
    const Tensor p = a.stored(compute("P", a.score_axes(),
                                      [&](const Index& x) {
                                        return Definition(read(e, {x[a.b], x[a.h], x[a.i], x[a.j]}) /
                                                          read(t, {x[a.b], x[a.h], x[a.i]}));
                                      }),
                              o.pad);
    Schedule last(p);
    last.hoist_loads(o.hoist).vectorize(last[a.j]);
    a.tasks(last, last.fuse(last[a.b], last[a.h]));
    all.push_back(last);
    return Program(registry, all);
  }
  const Tensor p = a.stored(input("P", a.score_axes()), o.pad), v = head("V", a.j);
  return Program(registry, {a.weighted(a.values(
                               "O", p, nullptr,
                               [&](const Index& x, const Expr& k) {
                                 return read(v, {x[a.b], x[a.j], x[a.h], k});
                               },
                               o.pad))});
}

Program attention_program(loop::KernelRegistry& registry, const AttentionOptions& o, bool projections) {
  const Attention a(o);
  std::vector<Schedule> all;
  const std::int64_t outside = o.separate_padding ? 1 : o.pad;
  Tensor qkv;
  if (projections) {
    const Tensor x = input("X", a.rows({{a.m, a.d}})), w = input("W", {{a.m, a.d}, {a.n, 3 * a.d}});
    qkv = a.projection(o.separate_padding ? "QKV1" : "QKV", x, w, 3 * a.d, outside);
    all.push_back(a.projection_schedule(qkv, outside == 1 && o.constant_length == 0));
    if (o.separate_padding) {
      const Tensor narrow = qkv;
      qkv = a.stored(compute("QKV", a.rows({{a.n, 3 * a.d}}),
                             [&](const Index& at) {
                               return Definition(read(narrow, {at[a.b], at[a.i], at[a.n]}));
                             }),
                     o.pad);
      all.push_back(a.copied(qkv));
    }
  } else {
    qkv = a.stored(input("QKV", a.rows({{a.n, 3 * a.d}})), o.pad);
  }
  const auto part = [&](const Index& x, const Dim& row, std::int64_t which, const Expr& k) {
    return read(qkv, {x[a.b], x[row], x[a.h] * Expr(o.head_size) + k + Expr(which * a.d)});
  };
  const Tensor s = a.scores([&](const Index& x, const Expr& k) { return part(x, a.i, 0, k); },
                            [&](const Index& x, const Expr& k) { return part(x, a.j, 1, k); });
  all.push_back(a.score_schedule(s));
  Tensor e, t;
  for (const Schedule& one : a.softmax(s, e, t)) all.push_back(one);
  Tensor out = a.values(
      projections && o.separate_padding ? "O64" : "O", e, t,
      [&](const Index& x, const Expr& k) { return part(x, a.j, 2, k); }, o.separate_padding ? o.pad : 1);
  all.push_back(a.weighted(out));
  if (projections) {
    if (o.separate_padding) {
      const Tensor wide = out;
      out = compute("O", a.rows({{a.h, o.heads}, {a.k, o.head_size}}), [&](const Index& x) {
        return Definition(read(wide, {x[a.b], x[a.i], x[a.h], x[a.k]}));
      });
      all.push_back(a.copied(out));
    }
    const Tensor flat = out, w = input("WO", {{a.m, a.d}, {a.n, a.d}});
    const Tensor y = compute("Y", a.rows({{a.n, a.d}}), [&](const Index& at) {
      return sum({{a.m, a.d}}, [&](const Index& r) {
        // [h, k] of a row lies as one dimension of h * head_size + k.
        return read(flat, {at[a.b], at[a.i], Expr(0), r[a.m]}) * read(w, {r[a.m], at[a.n]});
      });
    });
    all.push_back(a.projection_schedule(y, o.constant_length == 0));
  }
  return Program(registry, all);
}

Program split_scores_program(loop::KernelRegistry& registry, const std::string& kind, std::int64_t heads,
                             bool hoist) {
  cli::require_one_of("kind", kind, {"vanilla", "split", "hfuse"});
  AttentionOptions o;
  o.heads = heads;
  o.hoist = hoist;
  o.pad = 64;  // of all storage, so that the three write the same tensor
  const Attention a(o);
  const auto head = [&](const char* tensor, const Dim& row) {
    return a.stored(input(tensor, {{a.b, a.B}, {row, a.len}, {a.h, heads}, {a.k, 64}}), 64);
  };
  const Tensor q = head("Q", a.i), k = head("K", a.j);
  const Tensor s = a.scores(
      [&](const Index& x, const Expr& e) {
        return read(q, {x[a.b], x[a.i], x[a.h], e});
      },
      [&](const Index& x, const Expr& e) {
        return read(k, {x[a.b], x[a.j], x[a.h], e});
      });
  if (kind == "vanilla") return Program(registry, {a.score_schedule(s)});
  const auto [whole, rest] = split_op(s, a.i, a.len.floor_mult(64));
  const auto half = [&](const Tensor& part, std::int64_t tile) {
    Schedule one(part);
    one.hoist_loads(o.hoist);
    one.pad_loop(a.j, tile);
    const auto [io, ii] = one.split(one[a.i], tile);
    const auto [jo, ji] = one.split(one[a.j], tile);
    one.reorder({one[a.b], io, jo, one[a.h], ii, ji});
    one.microkernel(ii, ji, one[a.k]);
    a.tasks(one, one.fuse(one[a.b], one.fuse(io, jo)));
    return one;
  };
  return Program(registry, {half(whole, 64), half(rest, 32)},
                 kind == "hfuse" ? std::vector<int>{0, 0} : std::vector<int>{0, 1});
}

Program paragraphs_program(loop::KernelRegistry& registry, std::int64_t features) {
  const Dim d = dim("d"), p = dim("p"), w = dim("w"), k = dim("k");
  const LengthFn D = LengthFn::scalar("D"), np = LengthFn::data("np", d, 0, 1 << 20),
                 nw = LengthFn::data("nw", std::vector<Dim>{d, p}, 0, 1 << 20);
  const Tensor x = input("X", {{d, D}, {p, np}, {w, nw}, {k, features}});
  const Tensor t = compute("T", {{d, D}, {p, np}, {k, features}}, [&](const Index& i) {
    return sum({{w, nw}}, [&](const Index& r) { return read(x, {i[d], i[p], r[w], i[k]}); });
  });
  Schedule s(t);
  const Loop paragraph = s.fuse(s[d], s[p]);
  s.reorder({s[w], s[k]});
  s.vectorize(s[k]).parallel(paragraph);
  return Program(registry, {s});
}

Bound::Bound(Program p, const Pattern& pattern, const std::map<std::string, std::string>& alias)
    : program(std::move(p)), prepared(program.prepare(pattern)) {
  std::uint64_t stream = 0;
  for (const LoweredKernel& k : program.kernels())
    for (const Tensor& t : k.operands) {
      if (memory.contains(t->name) || alias.contains(t->name)) continue;
      std::vector<float>& values = memory[t->name] = program.allocate(prepared, t->name);
      tensors[t->name] = values.data();
      if (!t->is_input) continue;
      Random random(5, ++stream);
      for (float& x : values) x = static_cast<float>(random.uniform(-1, 1));
    }
  for (const auto& [name, same] : alias) tensors[name] = tensors.at(same);
}

}  // namespace ballast::ragged
