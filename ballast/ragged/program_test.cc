// The compiler's oracles: storage is a bijection, fused maps obey their laws, every legal schedule computes
// what the definition says (interpreted with bounds checks and compiled), illegal ones are refused with their
// reason.
#include "ballast/ragged/program.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/ragged/proof_checker.h"
#include "ballast/ragged/test_support.h"
#include "ballast/ragged/transform.h"

namespace ballast::ragged {
namespace {

using loop::Expr;

std::vector<float> noise(std::int64_t n, std::uint64_t stream) {
  return uniform_noise(n, 23, stream);
}

// ---- storage ----

TEST(Storage, PositionsAreABijectionForRandomDependences) {
  const std::uint64_t seed = 31;
  RecordProperty("seed", std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 300; ++round) {
    const std::size_t n = 1 + random.below(5);
    std::vector<Axis> axes;
    Pattern pattern;
    for (std::size_t i = 0; i < n; ++i) {
      const Dim d = dim("d" + std::to_string(i));
      const std::string name = "l" + std::to_string(i);
      if (i == 0 || random.below(2)) {
        axes.push_back({d, LengthFn(static_cast<std::int64_t>(random.below(5)))});
      } else {
        // Depends on one outer dimension, whose extents are at most 4.
        const Axis of = axes[random.below(i)];
        axes.push_back({d, LengthFn::data(name, of.dim, 0, 4)});
        const std::int64_t entries = of.extent.of() ? 4 : of.extent.constant();
        pattern.lengths[name];
        for (std::int64_t x = 0; x < entries; ++x)
          pattern.lengths[name].push_back(static_cast<std::int32_t>(random.below(5)));
      }
    }
    const bool padded = random.below(3) == 0;
    const Tensor t = compute("t", axes, [](const Index&) { return Definition(loop::real(1.0)); });
    if (padded) {
      for (std::size_t i = 0; i < n; ++i) {
        bool has = false;
        for (const Axis& a : axes) has |= a.extent.of() == axes[i].dim;
        if (!has && random.below(2)) pad_storage(t, axes[i].dim, 3);
      }
    }
    // Enumerate all elements in order; read their positions from a kernel that writes them.
    const Program program(registry(), {Schedule(t)}, {}, {.compile = false});
    const Prepared p = program.prepare(pattern);
    const std::int64_t volume = p.volume("t");
    std::vector<float> memory(static_cast<std::size_t>(volume) + 1, 0.0f);
    const loop::Counters c = program.interpret(p, {{"t", memory.data()}});  // throws when outside
    std::int64_t touched = 0;
    for (const float v : memory) touched += v == 1.0f;
    EXPECT_EQ(touched, c.stores) << "two elements at one place, round " << round << "\n" << program.dump();
    EXPECT_EQ(memory.back(), 0.0f);
    bool unpadded = true;
    for (std::size_t i = 0; i < n; ++i) unpadded &= t->storage[i] == t->axes[i].extent;
    if (unpadded) {
      EXPECT_EQ(touched, volume) << "holes, round " << round << "\n" << program.dump();
    }
    if (HasFailure()) break;
  }
}

TEST(Storage, WorkedCases) {
  // Attention scores X[b, i, h, j]: pos = A(b) H + i H l(b) + h l(b) + j with A(x) = sum of l^2.
  const Dim b = dim("b"), i = dim("i"), h = dim("h"), j = dim("j");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const Tensor x = compute("X", {{b, 3}, {i, len}, {h, 2}, {j, len}},
                           [](const Index&) { return Definition(loop::real(0.0)); });
  const Program program(registry(), {Schedule(x)});
  const Prepared p = program.prepare({.lengths = {{"len", {2, 5, 3}}}, .scalars = {}});
  EXPECT_EQ(p.volume("X"), 2 * (4 + 25 + 9));
  bool found = false;
  for (const auto& t : p.tables()) found |= t == std::vector<std::int32_t>{0, 4, 29, 38};
  EXPECT_TRUE(found) << program.dump();
  // Lower triangle with a closed form: n (n + 1) / 2 elements.
  const Tensor l = compute("L", {{i, 7}, {j, LengthFn::affine(i, 1, 1, 7)}},
                           [](const Index&) { return Definition(loop::real(0.0)); });
  EXPECT_EQ(Program(registry(), {Schedule(l)}).prepare({}).volume("L"), 28);
}

TEST(Storage, TablesAreSharedByEqualFunctions) {
  const Dim b = dim("b"), i = dim("i"), k = dim("k");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const Tensor x = input("X", {{b, 4}, {i, len}, {k, 8}});
  const Tensor y = compute("Y", {{b, 4}, {i, len}, {k, 8}}, [&](const Index& at) {
    return Definition(read(x, {at[b], at[i], at[k]}) * Expr(2.0));
  });
  const Tensor z = compute("Z", {{b, 4}, {i, len}, {k, 8}}, [&](const Index& at) {
    return Definition(read(y, {at[b], at[i], at[k]}) + Expr(1.0));
  });
  const Program program(registry(), {Schedule(y), Schedule(z)});
  EXPECT_EQ(program.tables().specs().size(), 2u)
      << program.dump();  // len and one offset table, for three tensors
}

// ---- operators for schedules ----

struct Operator {
  std::string name;
  std::vector<Tensor> inputs;
  Tensor output;
  std::vector<Dim> dims;
  Pattern pattern;
};

std::vector<std::int32_t> random_lengths(Random& random, std::size_t n, std::uint64_t most) {
  std::vector<std::int32_t> l(n);
  for (auto& v : l) v = static_cast<std::int32_t>(random.below(4) == 0 ? 0 : random.below(most + 1));
  return l;
}

Operator make_operator(int which, Random& random) {
  Operator op;
  const std::size_t batch = random.below(5);
  const Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k");
  const LengthFn B = LengthFn::scalar("B", 0, 1000), len = LengthFn::data("len", b, 0, 13),
                 wide = LengthFn::data("wide", b, 0, 7);
  op.pattern.scalars = {{"B", static_cast<std::int64_t>(batch)}};
  op.pattern.lengths = {{"len", random_lengths(random, batch, 13)},
                        {"wide", random_lengths(random, batch, 7)}};
  if (which == 0) {
    op.name = "elementwise";
    const Tensor x = input("X", {{b, B}, {i, len}, {k, 5}});
    op.inputs = {x};
    op.dims = {b, i, k};
    op.output = compute("Y", {{b, B}, {i, len}, {k, 5}}, [&](const Index& at) {
      return Definition(loop::max(read(x, {at[b], at[i], at[k]}), Expr(0.0)) + Expr(0.5));
    });
  } else if (which == 1) {
    op.name = "scores";
    const Tensor q = input("Q", {{b, B}, {i, len}, {h, 2}, {k, 4}}),
                 key = input("K", {{b, B}, {j, len}, {h, 2}, {k, 4}});
    op.inputs = {q, key};
    op.dims = {b, i, h, j, k};
    op.output = compute("S", {{b, B}, {i, len}, {h, 2}, {j, len}}, [&](const Index& at) {
      return sum(
          {{k, 4}},
          [&](const Index& r) {
            return read(q, {at[b], at[i], at[h], r[k]}) * read(key, {at[b], at[j], at[h], r[k]});
          },
          [](const Expr& e) { return e * Expr(0.125); });
    });
  } else if (which == 2) {
    op.name = "vgemm";
    const Tensor a = input("A", {{b, B}, {i, len}, {k, wide}}),
                 c = input("C", {{b, B}, {k, wide}, {j, wide}});
    op.inputs = {a, c};
    op.dims = {b, i, j, k};
    op.output = compute("D", {{b, B}, {i, len}, {j, wide}}, [&](const Index& at) {
      return sum({{k, wide}}, [&](const Index& r) {
        return read(a, {at[b], at[i], r[k]}) * read(c, {at[b], r[k], at[j]});
      });
    });
  } else if (which == 3) {
    op.name = "trmm";
    const LengthFn below = LengthFn::affine(i, 1, 1, 17);
    const Tensor l = input("L", {{i, 17}, {k, below}}), x = input("X", {{k, 17}, {j, 6}});
    op.inputs = {l, x};
    op.dims = {i, j, k};
    op.output = compute("Y", {{i, 17}, {j, 6}}, [&](const Index& at) {
      return sum({{k, below}}, [&](const Index& r) {
        return read(l, {at[i], r[k]}) * read(x, {r[k], at[j]});
      });
    });
    op.pattern = {};
  } else {
    op.name = "row maximum";
    const Tensor x = input("X", {{b, B}, {i, len}, {j, wide}});
    op.inputs = {x};
    op.dims = {b, i, j};
    op.output = compute("M", {{b, B}, {i, len}}, [&](const Index& at) {
      return reduce(loop::Combine::max, {{j, wide}}, [&](const Index& r) {
        return read(x, {at[b], at[i], r[j]});
      });
    });
  }
  return op;
}

struct Data {
  std::map<std::string, std::vector<float>> memory;
  std::map<std::string, float*> pointers;
  Data(const Operator& op, const Prepared& p) {
    std::uint64_t stream = 1;
    for (const Tensor& t : op.inputs) memory[t->name] = noise(p.volume(t->name) + 1, stream++);
    memory[op.output->name].assign(static_cast<std::size_t>(p.volume(op.output->name)) + 1, NAN);
    for (auto& [name, v] : memory) pointers[name] = v.data();
  }
};

void expect_equal(const std::vector<float>& got, const std::vector<float>& want, const std::string& where) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(want[i]) && std::isnan(got[i]))) continue;  // infinities too
    ASSERT_NEAR(got[i], want[i], 1e-5) << where << ", element " << i;
  }
}

/// Applies random primitives; the ones that are refused are counted, not applied.
Schedule random_schedule(const Operator& op, Random& random, int& refused) {
  Schedule s(op.output);
  const std::uint64_t steps = random.below(6);
  for (std::uint64_t step = 0; step < steps; ++step) {
    const auto leaves = s.leaves();
    const Loop l = leaves[random.below(leaves.size())];
    try {
      switch (random.below(9)) {
        case 0:
        case 1:
          s.split(l, static_cast<std::int64_t>(1 + random.below(5)));
          break;
        case 2: {
          const std::size_t at = random.below(leaves.size());
          if (at + 1 < leaves.size())
            s.fuse(leaves[at], leaves[at + 1], random.below(4) == 0 ? static_cast<std::int64_t>(4) : 1);
          break;
        }
        case 3: {
          const Loop other = leaves[random.below(leaves.size())];
          if (other.id != l.id) s.reorder({l, other});
          break;
        }
        case 4:
          s.pad_loop(op.dims[random.below(op.dims.size())], static_cast<std::int64_t>(1 + random.below(4)));
          break;
        case 5:
          s.cache_read(op.inputs[random.below(op.inputs.size())], l);
          break;
        case 6:
          s.cache_write();
          break;
        default:
          s.vectorize(l);
          break;
      }
    } catch (const CompileError&) {
      ++refused;
    }
  }
  const std::uint64_t maps = random.below(4);
  if (maps > 1) s.fuse_maps(maps == 2 ? FuseMaps::search : FuseMaps::walk);
  if (random.below(3) == 0) s.hoist_loads(false);
  const auto leaves = s.leaves();
  if (random.below(2) && !s.is_reduction(leaves[0])) s.parallel(leaves[0]);
  if (random.below(3) == 0) s.remap_by_cost();
  return s;
}

TEST(Schedules, FuzzedOnesComputeTheDefinition) {
  const std::uint64_t seed = 47;
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  loop::Launcher launcher(2);
  int refused = 0, illegal = 0, run = 0;
  ProofChecker proofs;
  for (int round = 0; run < 500 && round < 5000; ++round) {
    const Operator op = make_operator(static_cast<int>(random.below(5)), random);
    if (random.below(3) == 0 && op.name != "trmm")
      pad_storage(op.output,
                  op.dims.back() == op.output->axes.back().dim ? op.dims.back() : op.output->axes.back().dim,
                  4);
    const Program naive(registry(), {Schedule(op.output)}, {}, {.compile = false});
    const Prepared reference = naive.prepare(op.pattern);
    Data want(op, reference);
    naive.interpret(reference, want.pointers);
    const Schedule s = random_schedule(op, random, refused);
    std::unique_ptr<Program> program;
    try {
      program = std::make_unique<Program>(registry(), std::vector<Schedule>{s}, std::vector<int>{},
                                          ProgramOptions{.compile_prelude = run % 8 == 0});
    } catch (const CompileError& error) {
      EXPECT_NE(std::string(error.what()).find("stage " + op.output->name), std::string::npos)
          << error.what();
      ++illegal;
      continue;
    }
    ++run;
    for (const LoweredKernel& k : program->kernels())
      for (const loop::Proof& proof : k.proofs) proofs.add(proof);
    const Prepared p = program->prepare(op.pattern);
    ASSERT_GE(p.volume(op.output->name), reference.volume(op.output->name));  // bulk padding adds slack
    Data interpreted(op, p), compiled(op, p);
    const std::string where = op.name + ", round " + std::to_string(round) + "\n" + program->dump();
    try {
      program->interpret(p, interpreted.pointers);
    } catch (const loop::BoundsError& error) {
      FAIL() << error.what() << "\n" << where;
    }
    // Padded iterations may write padding: compare real elements only, those that the naive nest writes.
    const auto real = [&](std::vector<float> v) {
      v.resize(want.memory[op.output->name].size());
      for (std::size_t i = 0; i < v.size(); ++i)
        if (std::isnan(want.memory[op.output->name][i])) v[i] = NAN;
      return v;
    };
    expect_equal(real(interpreted.memory[op.output->name]), want.memory[op.output->name],
                 "interpreted " + where);
    program->run(launcher, p, compiled.pointers);
    expect_equal(real(compiled.memory[op.output->name]), want.memory[op.output->name], "compiled " + where);
    if (HasFailure()) break;
  }
  proofs.check();
  std::printf("%d schedules run, %d illegal as a whole, %d primitives refused\n", run, illegal, refused);
  EXPECT_GE(run, 500);
  EXPECT_GT(illegal + refused, 20);
}

TEST(Schedules, TheSpecificationsExample) {
  // QK^T with fused row and column tiles as tasks and a micro-kernel.
  const Dim b = dim("b"), i = dim("i"), j = dim("j"), h = dim("h"), k = dim("k");
  const LengthFn B = LengthFn::scalar("B"), len = LengthFn::data("len", b, 0, 512);
  const Tensor q = input("Q", {{b, B}, {i, len}, {h, 4}, {k, 64}}),
               key = input("K", {{b, B}, {j, len}, {h, 4}, {k, 64}});
  const Tensor out = compute("S", {{b, B}, {i, len}, {h, 4}, {j, len}}, [&](const Index& x) {
    return sum(
        {{k, 64}},
        [&](const Index& r) {
          return read(q, {x[b], x[i], x[h], r[k]}) * read(key, {x[b], x[j], x[h], r[k]});
        },
        [](const Expr& e) { return e * Expr(0.125); });
  });
  Schedule s(out);
  const auto [io, ii] = s.split(s[i], 64);
  const auto [jo, ji] = s.split(s[j], 64);
  s.reorder({s[b], io, jo, s[h], ii, ji});
  const Loop t = s.fuse(s[b], s.fuse(io, jo));
  s.microkernel(ii, ji, s[k]).parallel(t).remap_by_cost();
  const Program program(registry(), {s});
  EXPECT_TRUE(program.kernels()[0].guards.empty()) << program.dump();
  const std::vector<std::int32_t> lengths{70, 0, 130, 64, 1};
  const Prepared p = program.prepare({.lengths = {{"len", lengths}}, .scalars = {{"B", 5}}});
  std::vector<float> qv = noise(p.volume("Q"), 1), kv = noise(p.volume("K"), 2),
                     sv(static_cast<std::size_t>(p.volume("S"))), iv = sv;
  loop::Launcher launcher(2);
  program.run(launcher, p, {{"Q", qv.data()}, {"K", kv.data()}, {"S", sv.data()}});
  const loop::Counters c = program.interpret(p, {{"Q", qv.data()}, {"K", kv.data()}, {"S", iv.data()}});
  std::int64_t squares = 0;
  for (const std::int64_t l : lengths) squares += l * l;
  EXPECT_EQ(c.multiply_adds, 4 * 64 * squares);  // exactly what is there
  expect_equal(sv, iv, program.dump());
}

TEST(Schedules, OperationSplittingEqualsTheWholeStage) {
  // trmm: rows split at a multiple of 4; and the reduction split into a whole part and a tail that adds.
  const Dim i = dim("i"), j = dim("j"), k = dim("k");
  const LengthFn below = LengthFn::affine(i, 1, 1, 19);
  const Tensor l = input("L", {{i, 19}, {k, below}}), x = input("X", {{k, 19}, {j, 5}});
  const auto make = [&] {
    return compute("Y", {{i, 19}, {j, 5}}, [&](const Index& at) {
      return sum({{k, below}}, [&](const Index& r) {
        return read(l, {at[i], r[k]}) * read(x, {r[k], at[j]});
      });
    });
  };
  const auto result = [&](const std::vector<Schedule>& schedules, const std::vector<int>& groups) {
    const Program program(registry(), schedules, groups);
    const Prepared p = program.prepare({});
    std::vector<float> lv = noise(p.volume("L"), 1), xv = noise(p.volume("X"), 2),
                       y(static_cast<std::size_t>(p.volume("Y")), NAN), z = y;
    loop::Launcher launcher(2);
    program.run(launcher, p, {{"L", lv.data()}, {"X", xv.data()}, {"Y", y.data()}});
    program.interpret(p, {{"L", lv.data()}, {"X", xv.data()}, {"Y", z.data()}});
    expect_equal(y, z, program.dump());
    return y;
  };
  const std::vector<float> whole = result({Schedule(make())}, {});
  const Tensor rows = make();
  const auto [top, bottom] = split_op(rows, i, LengthFn(16));
  expect_equal(result({Schedule(top), Schedule(bottom)}, {0, 0}), whole, "rows split, fused horizontally");
  const Tensor sums = make();
  const auto [dense, tail] = split_op(sums, k, below.floor_mult(4));
  expect_equal(result({Schedule(dense), Schedule(tail)}, {0, 1}), whole, "reduction split");
  EXPECT_THROW(split_op(make(), k, below.ceil_mult(4)), CompileError);
}

TEST(Schedules, IllegalOnesSayWhy) {
  const Dim b = dim("b"), i = dim("i"), k = dim("k");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const Tensor x = input("X", {{b, 4}, {i, len}, {k, 8}});
  const Tensor y = compute("Y", {{b, 4}, {i, len}}, [&](const Index& at) {
    return sum({{k, 8}}, [&](const Index& r) { return read(x, {at[b], at[i], r[k]}); });
  });
  const auto why = [&](const std::function<void(Schedule&)>& change) -> std::string {
    try {
      Schedule s(y);
      change(s);
      Program(registry(), {s});
    } catch (const CompileError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(why([&](Schedule& s) {
              s.reorder({s[i], s[b]});
            }).find("stage Y, loop i, bounds: its extent depends on b"),
            std::string::npos);
  EXPECT_NE(why([&](Schedule& s) { s.fuse(s[b], s[k]); }).find("not the loop directly inside"),
            std::string::npos);
  EXPECT_NE(why([&](Schedule& s) { s.fuse(s[i], s[k]); }).find("reduction"), std::string::npos);
  EXPECT_NE(why([&](Schedule& s) { s.pad_loop(i, 4).elide_guards(); }).find("cannot be proved"),
            std::string::npos);
  EXPECT_NE(why([&](Schedule& s) { s.parallel(s[k]); }).find("parallel"), std::string::npos);
  EXPECT_NE(why([&](Schedule& s) { s.parallel(s[i]); }).find("outermost"), std::string::npos);
  EXPECT_NE(why([&](Schedule& s) {
              s.split(s[i], 4);
              s.split(s[i], 4);
            }).find("was split or fused before"),
            std::string::npos);
  EXPECT_THROW(compute("Z", {{i, len}, {b, 4}}, [&](const Index&) { return Definition(loop::real(0.0)); }),
               CompileError);
  EXPECT_EQ(why([](Schedule&) {}), "");
}

TEST(Schedules, PaddingIsFreeOfGuardsWhenStorageHasRoom) {
  const Dim b = dim("b"), i = dim("i");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const auto guards = [&](std::int64_t loop_pad, std::int64_t storage_pad) {
    const Tensor x = input("X", {{b, 4}, {i, len}});
    const Tensor y = compute("Y", {{b, 4}, {i, len}}, [&](const Index& at) {
      return Definition(read(x, {at[b], at[i]}) + Expr(1.0));
    });
    pad_storage(x, i, storage_pad);
    pad_storage(y, i, storage_pad);
    Schedule s(y);
    s.pad_loop(i, loop_pad);
    const Program program(registry(), {s});
    const Prepared p = program.prepare({.lengths = {{"len", {9, 2, 0, 5}}}, .scalars = {}});
    // Poison: padding of the input is NaN; real outputs must not see it.
    std::vector<float> xv(static_cast<std::size_t>(p.volume("X")), NAN),
        yv(static_cast<std::size_t>(p.volume("Y")), NAN);
    std::size_t at = 0;
    std::vector<std::size_t> real;
    for (const std::int64_t l : {9, 2, 0, 5}) {
      for (std::int64_t e = 0; e < l; ++e) {
        xv[at + static_cast<std::size_t>(e)] = 1.0f;
        real.push_back(at + static_cast<std::size_t>(e));
      }
      at += static_cast<std::size_t>((l + storage_pad - 1) / storage_pad * storage_pad);
    }
    program.interpret(p, {{"X", xv.data()}, {"Y", yv.data()}});
    for (const std::size_t e : real) EXPECT_EQ(yv[e], 2.0f);
    return program.kernels()[0].guards.size();
  };
  EXPECT_EQ(guards(4, 4), 0u);
  EXPECT_EQ(guards(2, 4), 0u);
  EXPECT_EQ(guards(4, 2), 1u);
  EXPECT_EQ(guards(4, 1), 1u);
}

TEST(Program, InputsLiveAsLongAsTheirReaders) {
  const Dim i = dim("i");
  const auto doubled = [&] {
    const Tensor x = input("X", {{i, 3}});
    return compute("Y", {{i, 3}}, [&](const Index& at) { return Definition(read(x, {at[i]}) * Expr(2.0)); });
  };
  const Program program(registry(), {Schedule(doubled())});
  EXPECT_EQ(program.prepare({}).volume("X"), 3);
}

TEST(Program, BadPatternsAreNamed) {
  const Dim b = dim("b"), i = dim("i");
  const LengthFn len = LengthFn::data("len", b, 0, 9);
  const Tensor x = input("X", {{b, LengthFn::scalar("B", 0, 100)}, {i, len}});
  const Tensor y = compute("Y", {{b, LengthFn::scalar("B", 0, 100)}, {i, len}}, [&](const Index& at) {
    return Definition(read(x, {at[b], at[i]}) + Expr(1.0));
  });
  const Program program(registry(), {Schedule(y)});
  const auto why = [&](const Pattern& pattern) -> std::string {
    try {
      program.prepare(pattern);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(why({.lengths = {{"len", {1, -2}}}, .scalars = {{"B", 2}}}), "len[1] is '-2'; accepted: 0 to 9");
  EXPECT_EQ(why({.lengths = {{"len", {1, 10}}}, .scalars = {{"B", 2}}}), "len[1] is '10'; accepted: 0 to 9");
  EXPECT_NE(why({.lengths = {{"len", {1}}}, .scalars = {{"B", 2}}}).find("number of lengths"),
            std::string::npos);
  EXPECT_NE(why({.lengths = {}, .scalars = {{"B", 2}}}).find("'len' is missing"), std::string::npos);
  EXPECT_NE(why({.lengths = {{"len", {}}}, .scalars = {{"B", -1}}}).find("scalar B"), std::string::npos);
  EXPECT_EQ(why({.lengths = {{"len", {}}}, .scalars = {{"B", 0}}}), "");
  const Prepared p = program.prepare({.lengths = {{"len", {3}}}, .scalars = {{"B", 1}}});
  std::vector<float> same(8);
  loop::Launcher launcher(1);
  EXPECT_THROW(program.run(launcher, p, {{"X", same.data()}, {"Y", same.data()}}), InvalidInput);
  EXPECT_THROW(program.run(launcher, p, {{"X", same.data()}}), InvalidInput);
}

}  // namespace
}  // namespace ballast::ragged
