// R4, R5, R6, R8: operators through the schedule compiler. vgemm and trmm against libraries, operation
// splitting with horizontal fusion against padding, and what raggedness costs where nothing is ragged.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/peers/library_products.h"
#include "ballast/ragged/program.h"
#include "ballast/ragged/transform.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

using loop::Expr;

std::vector<float> noise(std::int64_t n, std::uint64_t stream) {
  Random random(5, stream);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (float& x : v) x = static_cast<float>(random.uniform(-1, 1));
  return v;
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0, scale = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - b[i]));
    scale = std::max(scale, std::fabs(static_cast<double>(b[i])));
  }
  return worst / scale;
}

void must_agree(double error, const std::string& what) {
  if (!(error <= 1e-4))
    throw Unavailable(fmt::format("{}: results differ by {:.1e}, nothing was timed", what, error));
}

/// D[b] = A[b] C[b], all three sizes different for every b; tiles of all problems are one list of tasks.
struct Vgemm {
  Program program;
  static Program make(loop::KernelRegistry& registry) {
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
    const auto [io, ii] = s.split(s[i], 768);
    const auto [jo, ji] = s.split(s[j], 256);
    s.reorder({io, jo, ii, ji});
    const Loop task = s.fuse(s[b], s.fuse(io, jo));
    s.microkernel(ii, ji, s[k]).parallel(task).remap_by_cost();
    return Program(registry, {s});
  }
};

void vgemm_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                loop::Launcher& launcher) {
  const Program program = Vgemm::make(registry);
  std::vector<std::pair<std::string, std::int64_t>> cases{{"large", 4}, {"small", 32}, {"tiny", 128}};
  if (!o.quick) cases.insert(cases.end(), {{"large", 16}, {"large", 64}});
  for (const auto& [set, size] : cases) {
    cli::stop_if_interrupted();
    Random random(seed, 0x9e);
    const auto batch = static_cast<std::size_t>(size);
    std::vector<std::int32_t> sizes[3];
    for (int which = 0; which < 3; ++which)
      for (std::size_t b = 0; b < batch; ++b) {
        const auto draw = [&](std::uint64_t low, std::uint64_t high, std::uint64_t step) {
          return static_cast<std::int32_t>(low + step * random.below((high - low) / step + 1));
        };
        sizes[which].push_back(set == "large"   ? draw(512, 1408, 128)
                               : set == "small" ? draw(64, 384, 64)
                               : which == 2     ? draw(16, 128, 16)
                                                : draw(16, 127, 1));
      }
    const auto &M = sizes[0], &N = sizes[1], &K = sizes[2];
    const Prepared p = program.prepare({.lengths = {{"M", M}, {"N", N}, {"K", K}}, .scalars = {{"B", size}}});
    const std::vector<float> a = noise(p.volume("A"), 1), c = noise(p.volume("C"), 2);
    std::vector<float> d(static_cast<std::size_t>(p.volume("D"))), other = d;
    const std::map<std::string, float*> tensors{
        {"A", const_cast<float*>(a.data())}, {"C", const_cast<float*>(c.data())}, {"D", d.data()}};
    double flops = 0;
    for (std::size_t b = 0; b < batch; ++b) flops += 2.0 * M[b] * N[b] * K[b];
    const int repeat = std::max(1, static_cast<int>(5e8 / flops));
    std::vector<Contestant> all{{"ragged", [&] {
                                   return flops * repeat * 1e-9 / time_of([&] {
                                            for (int i = 0; i < repeat; ++i)
                                              program.run(launcher, p, tensors);
                                          });
                                 }}};
    for (const char* name : {"onednn", "openblas"}) {
      const loop::GemmFn product = library_product(name);
      if (product == nullptr) continue;
      const auto run = [&, product] {
        std::int64_t at = 0, ct = 0, dt = 0;
        for (std::size_t b = 0; b < batch; ++b) {
          loop::GemmArgs g;
          g.m = M[b], g.n = N[b], g.k = K[b];
          g.a = a.data() + at, g.a_stride = K[b];
          g.b = c.data() + ct, g.b_stride = N[b];
          g.c = other.data() + dt, g.c_stride = N[b];
          product(registry.tiles(), g);
          at += g.m * g.k;
          ct += g.k * g.n;
          dt += g.m * g.n;
        }
      };
      run();
      program.run(launcher, p, tensors);
      must_agree(difference(d, other), "vgemm against " + std::string(name));
      all.push_back({name, [&, run] {
                       return flops * repeat * 1e-9 / time_of([&] {
                                for (int i = 0; i < repeat; ++i) run();
                              });
                     }});
    }
    const Comparison timing = interleave(all, {.rounds = o.quick ? 7 : 11, .max_seconds = 10, .seed = seed});
    std::string best;
    for (const auto& [name, values] : timing.figures)
      if (name != "ragged" && (best.empty() || timing.median(name) > timing.median(best))) best = name;
    BenchRow row{.id = fmt::format("R4.{}.b{}", set, size),
                 .what = "vgemm, per-problem calls of the faster library, one thread each",
                 .unit = "GFLOP/s",
                 .better = Better::higher,
                 .target = set == "large"  ? 0.97
                           : set == "tiny" ? std::optional(1.0)
                                           : std::nullopt};
    if (best.empty()) {
      row.ours = timing.median("ragged");
      row.peer = Peer{"onednn", std::nullopt};
      row.note = "not installed";
    } else {
      row.peer = Peer{best, timing.median(best), "", library_settings(best)};
      row.comparison = timing;
      row.ours_name = "ragged";
      row.peer_name = best;
    }
    double padded = 0;
    for (std::size_t b = 0; b < batch; ++b)
      padded += 2.0 * *std::max_element(M.begin(), M.end()) * *std::max_element(N.begin(), N.end()) *
                *std::max_element(K.begin(), K.end());
    row.note += fmt::format("padding to the largest would be {:.2f} times the work", padded / flops);
    bench.add(row);
  }
}

/// Y = L X, L lower triangular in full storage: rows in tiles of 32, the columns before the tile as a
/// product, the triangle of the tile as its tail (operation splitting of the reduction).
Program trmm_program(loop::KernelRegistry& registry, std::int64_t n, bool split) {
  constexpr std::int64_t kTile = 32;
  const Dim t = dim("t"), r = dim("r"), j = dim("j"), k = dim("k"), q = dim("q"), i = dim("i");
  const Tensor l = input("L", {{i, n}, {k, n}}), x = input("X", {{k, n}, {j, n}});
  const auto row = [&](const Index& at) { return at[t] * Expr(kTile) + at[r]; };
  const std::vector<Axis> axes{{t, n / kTile}, {r, kTile}, {j, n}};
  const LengthFn before = LengthFn::affine(t, kTile, split ? 0 : kTile, n);
  const Tensor head = compute("Y", axes, [&](const Index& at) {
    return sum({{k, before}}, [&](const Index& s) {
      return read(l, {row(at), s[k]}) * read(x, {s[k], at[j]});
    });
  });
  Schedule a(head);
  const auto [jo, ji] = a.split(a[j], 512);
  a.reorder({a[t], jo, a[r], ji});
  a.microkernel(a[r], ji, a[k]).parallel(a.fuse(a[t], jo)).remap_by_cost();
  if (!split) return Program(registry, {a});  // the tile's upper half is multiplied too: it is zero
  auto tail = std::make_shared<Stage>(*compute("Y.tail", axes, [&](const Index& at) {
    return sum({{q, LengthFn::affine(r, 1, 1, kTile)}}, [&](const Index& s) {
      return read(l, {row(at), at[t] * Expr(kTile) + s[q]}) * read(x, {at[t] * Expr(kTile) + s[q], at[j]});
    });
  }));
  tail->target = head;
  tail->adds = true;
  Schedule b(tail);
  b.reorder({b[r], b[q], b[j]});
  b.vectorize(b[j]).parallel(b[t]);
  return Program(registry, {a, b});
}

void trmm_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
               loop::Launcher& launcher) {
  for (std::int64_t n :
       o.quick ? std::vector<std::int64_t>{512, 1024} : std::vector<std::int64_t>{512, 1024, 2048, 4096}) {
    cli::stop_if_interrupted();
    const Program split = trmm_program(registry, n, true), whole = trmm_program(registry, n, false);
    const Prepared ps = split.prepare({}), pw = whole.prepare({});
    std::vector<float> l = noise(n * n, 1), y(static_cast<std::size_t>(n * n)), z = y, dense = y;
    const std::vector<float> x = noise(n * n, 2);
    for (std::int64_t i = 0; i < n; ++i) std::fill(l.begin() + i * n + i + 1, l.begin() + (i + 1) * n, 0.0f);
    const auto tensors = [&](std::vector<float>& out) {
      return std::map<std::string, float*>{
          {"L", l.data()}, {"X", const_cast<float*>(x.data())}, {"Y", out.data()}, {"Y.tail", out.data()}};
    };
    std::vector<Contestant> all{
        {"split", [&] { return time_of([&] { split.run(launcher, ps, tensors(y)); }); }},
        {"unsplit", [&] { return time_of([&] { whole.run(launcher, pw, tensors(z)); }); }}};
    loop::GemmArgs g;
    g.m = g.n = g.k = n;
    g.a = l.data(), g.a_stride = n, g.b = x.data(), g.b_stride = n, g.c = dense.data(), g.c_stride = n;
    for (const char* name : {"onednn", "openblas"})
      if (const loop::GemmFn product = library_product(name))
        all.push_back({name, [&, product] { return time_of([&] { product(registry.tiles(), g); }); }});
    for (const Contestant& c : all) c.run();
    must_agree(difference(y, z), "trmm split against unsplit");
    if (all.size() > 2) must_agree(difference(y, dense), "trmm against a dense product");
    const Comparison timing = interleave(all, {.rounds = o.quick ? 7 : 11, .max_seconds = 15, .seed = seed});
    std::string best = "unsplit";
    for (const auto& [name, values] : timing.figures)
      if (name != "split" && name != "unsplit" &&
          (best == "unsplit" || timing.median(name) < timing.median(best)))
        best = name;
    bench.add({.id = fmt::format("R5.trmm.{}", n),
               .what = "triangular product against the dense one of the faster library",
               .unit = "s",
               .peer = Peer{best, timing.median(best), "", library_settings(best)},
               .target = n >= 2048 ? std::optional(1.75) : std::nullopt,
               .note = fmt::format("split over unsplit {:.2f}; ours on {} threads, the library on one",
                                   timing.ratio("unsplit", "split").median, launcher.threads()),
               .comparison = timing,
               .ours_name = "split",
               .peer_name = best});
  }
}

/// QK^T of `heads` heads of 64; extents by `len`; loops and storage padded to `pad`.
Tensor scores(const LengthFn& B, const LengthFn& len, const Dim& b, const Dim& i, const Dim& j, const Dim& h,
              const Dim& k, std::int64_t heads, std::int64_t pad) {
  const Tensor q = input("Q", {{b, B}, {i, len}, {h, heads}, {k, 64}}),
               key = input("K", {{b, B}, {j, len}, {h, heads}, {k, 64}});
  const Tensor s = compute("S", {{b, B}, {i, len}, {h, heads}, {j, len}}, [&](const Index& x) {
    return sum({{k, 64}}, [&](const Index& r) {
      return read(q, {x[b], x[i], x[h], r[k]}) * read(key, {x[b], x[j], x[h], r[k]});
    });
  });
  pad_storage(q, i, pad);
  pad_storage(key, j, pad);
  pad_storage(s, i, pad);
  pad_storage(s, j, pad);
  return s;
}

Schedule tiled(const Tensor& s, const Dim& b, const Dim& i, const Dim& j, const Dim& h, const Dim& k,
               std::int64_t tile, std::int64_t pad) {
  Schedule a(s);
  if (pad > 1) a.pad_loop(i, pad).pad_loop(j, pad);
  const auto [io, ii] = a.split(a[i], tile);
  const auto [jo, ji] = a.split(a[j], tile);
  a.reorder({a[b], io, jo, a[h], ii, ji});
  const Loop task = a.fuse(a[b], a.fuse(io, jo));
  a.microkernel(ii, ji, a[k]).parallel(task).remap_by_cost();
  return a;
}

struct Bound {
  Program program;
  Prepared prepared;
  std::vector<float> q, k, s;
  std::map<std::string, float*> tensors;
  Bound(loop::KernelRegistry& registry, const std::vector<Schedule>& schedules,
        const std::vector<int>& groups, const Pattern& pattern)
      : program(registry, schedules, groups), prepared(program.prepare(pattern)) {
    q = noise(prepared.volume("Q"), 1);
    k = noise(prepared.volume("K"), 2);
    s.resize(static_cast<std::size_t>(prepared.volume("S")));
    tensors = {{"Q", q.data()}, {"K", k.data()}, {"S", s.data()}};
  }
};

void splitting_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                    loop::Launcher& launcher) {
  for (std::int64_t size :
       o.quick ? std::vector<std::int64_t>{32} : std::vector<std::int64_t>{8, 32, 128, 512}) {
    const auto lengths = draw_lengths("mnli", size, seed);
    const Pattern pattern{.lengths = {{"len", lengths}}, .scalars = {{"B", size}}};
    const auto make = [&](int kind) {
      const Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k");
      const LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 512);
      if (kind == 0)
        return std::make_unique<Bound>(
            registry,
            std::vector<Schedule>{tiled(scores(B, len, b, i, j, h, k, 8, 64), b, i, j, h, k, 64, 64)},
            std::vector<int>{}, pattern);
      if (kind == 2)
        return std::make_unique<Bound>(
            registry, std::vector<Schedule>{tiled(scores(B, len, b, i, j, h, k, 8, 1), b, i, j, h, k, 64, 1)},
            std::vector<int>{}, pattern);
      // Whole tiles of 64 rows, and the rest in tiles of 32, as one parallel region.
      const Tensor s = scores(B, len, b, i, j, h, k, 8, 64);
      const auto [head, tail] = split_op(s, i, len.floor_mult(64));
      const auto half = [&](const Tensor& part, std::int64_t tile) {
        Schedule a(part);
        a.pad_loop(j, 32);
        const auto [io, ii] = a.split(a[i], tile);
        const auto [jo, ji] = a.split(a[j], tile);
        a.reorder({a[b], io, jo, a[h], ii, ji});
        a.microkernel(ii, ji, a[k]).parallel(a.fuse(a[b], a.fuse(io, jo)));
        return a;
      };
      return std::make_unique<Bound>(registry, std::vector<Schedule>{half(head, 64), half(tail, 32)},
                                     std::vector<int>{0, 0}, pattern);
    };
    const auto padded = make(0), split = make(1), exact = make(2);
    for (Bound* x : {split.get()}) x->tensors.insert({{"S.head", x->s.data()}, {"S.tail", x->s.data()}});
    const auto work = [](Bound& x) {
      return [&x](loop::Launcher& l) { x.program.run(l, x.prepared, x.tensors); };
    };
    const auto timed = [&](Bound& x) {
      return [&, run = work(x)] {
        return time_of([&] {
          for (int i = 0; i < 3; ++i) run(launcher);
        });
      };
    };
    const Comparison timing =
        interleave({{"padded-64", timed(*padded)}, {"split+hfuse", timed(*split)}, {"exact", timed(*exact)}},
                   {.rounds = o.quick ? 7 : 11, .max_seconds = 8, .seed = seed});
    for (const char* ours : {"split+hfuse", "exact"})
      bench.add(
          {.id = fmt::format("R6.mnli.b{}.{}", size, ours),
           .what = fmt::format(
               "QK^T, {} against 64 x 64 padding",
               ours == std::string("exact") ? "exact tails" : "operation splitting with horizontal fusion"),
           .unit = "s",
           .peer = Peer{"padded-64", timing.median("padded-64")},
           .target = 1.35,
           .comparison = timing,
           .ours_name = ours,
           .peer_name = "padded-64"});
  }
}

void overhead_rows(Bench& bench, const BenchOptions& o, std::uint64_t seed, loop::KernelRegistry& registry,
                   loop::Launcher& launcher) {
  const std::int64_t size = o.quick ? 4 : 16, length = 512;
  const Pattern pattern{.lengths = {{"len", std::vector<std::int32_t>(static_cast<std::size_t>(size),
                                                                      static_cast<std::int32_t>(length))}},
                        .scalars = {{"B", size}}};
  const auto make = [&](bool ragged, bool hoist) {
    const Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k");
    const LengthFn B = LengthFn::scalar("B"),
                   len = ragged ? LengthFn::data("len", b, 0, 512) : LengthFn(length);
    Schedule s = tiled(scores(B, len, b, i, j, h, k, 8, 1), b, i, j, h, k, 64, 1);
    s.hoist_loads(hoist);
    return std::make_unique<Bound>(registry, std::vector<Schedule>{s}, std::vector<int>{}, pattern);
  };
  const auto dense = make(false, true), plain = make(true, false), hoisted = make(true, true);
  const auto timed = [&](Bound& x) {
    return [&] { return time_of([&] { x.program.run(launcher, x.prepared, x.tensors); }); };
  };
  const Comparison timing = interleave(
      {{"dense", timed(*dense)}, {"ragged, no hoisting", timed(*plain)}, {"ragged", timed(*hoisted)}},
      {.rounds = o.quick ? 9 : 15, .max_seconds = 10, .seed = seed});
  must_agree(difference(hoisted->s, dense->s), "QK^T ragged against dense");
  for (const char* ours : {"ragged, no hoisting", "ragged"})
    bench.add({.id = fmt::format("R8.qk.{}", ours == std::string("ragged") ? "hoisted" : "plain"),
               .what = fmt::format("QK^T at constant length 512, {}, against dense loops and storage", ours),
               .unit = "s",
               .peer = Peer{"dense", timing.median("dense")},
               .target = ours == std::string("ragged") ? std::optional(0.97) : std::nullopt,
               .comparison = timing,
               .ours_name = ours,
               .peer_name = "dense"});
}

}  // namespace

void bench_operators(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  loop::KernelRegistry registry;
  loop::Launcher one(1), all(o.threads);
  vgemm_rows(bench, o, seed, registry, one);
  trmm_rows(bench, o, seed, registry, one);
  splitting_rows(bench, o, seed, registry, all);
  overhead_rows(bench, o, seed, registry, all);
}

}  // namespace ballast::ragged
