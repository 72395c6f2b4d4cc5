// Table E: the layout of a block's memory in copies and in time. Table F: control programs as machine code
// and interpreted.
#include <fmt/format.h>

#include "ballast/base/random.h"
#include "ballast/dynamic/bench_contest.h"
#include "ballast/dynamic/bench_models.h"
#include "ballast/dynamic/plan/block_executor.h"
#include "ballast/dynamic/runtime/globals.h"
#include "ballast/dynamic/tuning.h"

namespace ballast::dynamic {
namespace {

/// Cells as the papers write them: every gate an operator of its own.
std::string cell_text(const std::string& cell) {
  const auto weights = [](const std::string& names, const char* columns) {
    std::string text;
    for (const char n : names)
      text += fmt::format("param W{}: Tensor[f32, H, {}] = xavier; param b{}: Tensor[f32, H] = zeros;\n", n,
                          columns, n);
    return text;
  };
  const std::string x = "x: Tensor[f32, H]", h = "h: Tensor[f32, H]", c = "c: Tensor[f32, H]";
  const std::string two = "l: Tensor[f32, H], r: Tensor[f32, H]",
                    cells = "p: Tensor[f32, H], q: Tensor[f32, H]";
  const std::string pair = "(Tensor[f32, H], Tensor[f32, H])", one = "Tensor[f32, H]";
  const auto model = [&](const std::string& params, const std::string& formals, const std::string& result,
                         const std::string& body) {
    return "const H = 128;\n" + params + "@entry fn main(" + formals + ") -> " + result + " {\n" + body +
           " }\n";
  };
  if (cell == "lstm")
    return model(weights("iouf", "2*H"), x + ", " + h + ", " + c, pair,
                 "let z = concat(x, h); let n = sigmoid(dense(z, Wi, bi)) * tanh(dense(z, Wu, bu)) + "
                 "sigmoid(dense(z, Wf, bf)) * c;\n"
                 "(sigmoid(dense(z, Wo, bo)) * tanh(n), n)");
  if (cell == "gru")
    return model(
        weights("zrn", "2*H"), x + ", " + h, one,
        "let y = concat(x, h); let z = sigmoid(dense(y, Wz, bz)); let r = sigmoid(dense(y, Wr, br));\n"
        "let n = tanh(dense(concat(x, r * h), Wn, bn)); n - z * n + z * h");
  if (cell == "mv")
    return model(weights("v", "2*H"),
                 "l: Tensor[f32, H], r: Tensor[f32, H], p: Tensor[f32, H, H], q: Tensor[f32, H, H]", one,
                 "tanh(dense(concat(dense(l, q), dense(r, p)), Wv, bv))");
  if (cell == "treelstm-leaf")
    return model(weights("iou", "H"), x, pair,
                 "let c = sigmoid(dense(x, Wi, bi)) * tanh(dense(x, Wu, bu)); (sigmoid(dense(x, Wo, bo)) * "
                 "tanh(c), c)");
  if (cell == "treelstm-internal")
    return model(weights("iouvw", "2*H"), two + ", " + cells, pair,
                 "let z = concat(l, r); let c = sigmoid(dense(z, Wi, bi)) * tanh(dense(z, Wu, bu))\n"
                 "+ sigmoid(dense(z, Wv, bv)) * p + sigmoid(dense(z, Ww, bw)) * q; (sigmoid(dense(z, Wo, "
                 "bo)) * tanh(c), c)");
  if (cell == "treegru-leaf")
    return model(weights("zn", "H"), x, one,
                 "let z = sigmoid(dense(x, Wz, bz)); let n = tanh(dense(x, Wn, bn)); n - z * n");
  return model(weights("zabn", "2*H"), two, one,  // treegru-internal
               "let y = concat(l, r); let z = sigmoid(dense(y, Wz, bz)); let a = sigmoid(dense(y, Wa, ba));\n"
               "let b = sigmoid(dense(y, Wb, bb)); let n = tanh(dense(concat(a * l, b * r), Wn, bn));\n"
               "n - z * n + z * l + z * r");
}

void layouts(Bench& bench, std::uint64_t seed, bool quick) {
  std::vector<double> shares, speedups, layout;
  const std::vector<std::string> names{
      "lstm", "gru", "mv", "treelstm-leaf", "treelstm-internal", "treegru-leaf", "treegru-internal"};
  for (const std::string& name : names) {
    for (const int hidden : quick ? std::vector<int>{128} : std::vector<int>{128, 256}) {
      const Module module = Module::from_text(cell_text(name), name, {{"H", hidden}});
      const Executable exe =
          compile(module, {.hoist = false, .split_dense = false, .hfuse = false, .native = false});
      const Parameters parameters = initial_parameters(module, seed);
      Globals globals(exe.program, parameters);
      // The model is one block.
      const OpType* type = nullptr;
      for (const OpType& t : exe.unit.types)
        if (type == nullptr || t.cell.nodes.size() > type->cell.nodes.size()) type = &t;
      std::vector<std::vector<float>> weights, inputs;
      Random random(seed, 3);
      constexpr std::int64_t kLanes = 8;
      for (std::size_t i = 0; i < type->cell.inputs.size(); ++i) {
        const auto size = static_cast<std::size_t>(volume(type->cell.inputs[i].shape));
        weights.emplace_back();
        inputs.emplace_back();
        if (type->cell.inputs[i].mode == Cell::Input::Mode::shared) {
          const float* from = globals.plain(static_cast<GlobalId>(type->globals[i]));
          weights.back().assign(from, from + size);
          continue;
        }
        inputs.back().resize(size * kLanes);
        for (float& v : inputs.back()) v = static_cast<float>(random.normal() * 0.3);
      }
      std::vector<std::unique_ptr<BlockExecutor>> levels;
      std::vector<Contestant> contestants;
      std::vector<float> expected;
      double worst = 0;
      const std::int64_t out =
          volume(type->cell.nodes[static_cast<std::size_t>(type->cell.outputs[0])].shape) * kLanes;
      for (int level = 0; level <= 5; ++level) {
        levels.push_back(std::make_unique<BlockExecutor>(type->cell, weights, level));
        BlockExecutor& e = *levels.back();
        e.run(kLanes, inputs);
        const std::vector<float> got(e.output(0), e.output(0) + out);
        if (level == 0) expected = got;
        worst = std::max(worst, difference(got, expected));
        contestants.push_back({fmt::format("level {}", level), [&e, &inputs] {
                                 return time_of([&] {
                                   for (int i = 0; i < 20; ++i) e.run(kLanes, inputs);
                                 });
                               }});
      }
      const auto timing =
          interleave(contestants, {.rounds = quick ? 15 : 31, .max_seconds = 4, .seed = seed});
      const BlockBatches block = batches_of(type->cell);
      MemoryPlan planned;
      const double seconds = time_of([&] { planned = plan_memory(block); });
      const MemoryPlan declared = declaration_plan(block);
      if (hidden == 128) {
        bench.add({.id = "E." + name + ".copies",
                   .what = "copies inside the cell after planning",
                   .unit = "1",
                   .ours = planned.copies,
                   .peer = Peer{.name = "declaration order", .value = static_cast<double>(declared.copies)},
                   .better = Better::lower,
                   .basis = Basis::counted,
                   .note = fmt::format("{} batches; {} bytes a lane against {}; the executor copies {} "
                                       "against {}; planned in {:.2f} ms",
                                       block.batches.size(), planned.copied_bytes, declared.copied_bytes,
                                       levels[1]->copies(), levels[0]->copies(), 1000 * seconds)});
        if (declared.copies > 0) shares.push_back(static_cast<double>(planned.copies) / declared.copies);
      }
      for (const auto& [ours, against, what] :
           {std::tuple{1, 0, "planned over declared"}, std::tuple{3, 2, "the same, addresses resolved ahead"},
            std::tuple{5, 4, "the same, weights arranged ahead"}, std::tuple{5, 0, "all of it"}})
        add_ratio(bench, fmt::format("E.{}.h{}.level{}over{}", name, hidden, ours, against),
                  fmt::format("{} cell, 8 lanes: {}", name, what), timing, fmt::format("level {}", ours),
                  fmt::format("level {}", against), std::nullopt,
                  worst <= 1e-4 ? "answers agree" : "ANSWERS DIFFER");
      speedups.push_back(timing.ratio("level 0", "level 5").median);
      layout.push_back(timing.ratio("level 4", "level 5").median);
    }
  }
  double share = 0;
  for (const double s : shares) share += s / static_cast<double>(shares.size());
  bench.add({.id = "E.mean.copies",
             .what = "copies left by the planner, mean share of declaration order's",
             .unit = "1",
             .ours = share,
             .better = Better::lower,
             .target = 1.0 / 3,
             .basis = Basis::counted,
             .note = fmt::format("over the {} cells that have any", shares.size())});
  add_mean(bench, "E.mean.latency",
           "planned, resolved and arranged (level 5) over none of it (0), time of a cell", speedups, 1.1);
  add_mean(bench, "E.mean.layout", "of that the layout alone (level 5 over 4)", layout, 1.0);
}

void control(Bench& bench, std::uint64_t seed, bool quick) {
  for (const char* name : {"treelstm", "bilstm", "latticelstm", "mvrnn"}) {
    const Module module = load_model(name, {{"H", 8}, {"V", 2000}});
    const std::vector<Instance> batch = draw_instances(module, 64, seed);
    const Executable native = compile(module, {.native = true}),
                     interpreted = compile(module, {.native = false});
    Session a(native, initial_parameters(module, seed)), b(interpreted, initial_parameters(module, seed));
    std::vector<float> first, second;
    for (const Value& v : a.run(batch)) tensors_of(v, first);
    for (const Value& v : b.run(batch)) tensors_of(v, second);
    const auto control_time = [&](Session& session) {
      const double before = session.stats().control_seconds;
      session.run(batch);
      return session.stats().control_seconds - before;
    };
    const auto timing = interleave(
        {{"ours", [&] { return control_time(a); }}, {"interpreted", [&] { return control_time(b); }}},
        {.rounds = quick ? 31 : 61, .max_seconds = 4, .seed = seed});
    add_ratio(bench, fmt::format("F.control.{}", name),
              fmt::format("{}: control program as machine code", name), timing, "ours", "interpreted", 5.0,
              fmt::format("appending of {} nodes included, encoding of arguments not; {}",
                          a.stats().nodes / std::max<std::int64_t>(1, a.stats().instances / 64),
                          first == second ? "the same bits" : "ANSWERS DIFFER"));
  }
}

/// The same number of trials under each weighting, against no tuning.
void tuning(Bench& bench, std::uint64_t seed, bool quick) {
  for (const char* name : quick ? std::vector<const char*>{"latticelstm"}
                                : std::vector<const char*>{"latticelstm", "treelstm", "nestedrnn"}) {
    const Module module =
        load_model(name, std::string(name) == "nestedrnn"
                             ? std::map<std::string, std::int64_t>{{"H", 128}}
                             : std::map<std::string, std::int64_t>{{"H", 128}, {"V", 2000}});
    const std::vector<Instance> batch = draw_instances(module, 16, seed);
    const Parameters parameters = initial_parameters(module, seed);
    std::deque<Executable> executables;
    std::vector<std::unique_ptr<Session>> sessions;
    std::vector<Contestant> contestants;
    std::vector<float> expected;
    bool same = true;
    for (const std::string weights : {"none", "uniform", "static", "pgo"}) {
      executables.push_back(compile(module));
      if (weights != "none")
        executables.back().choices =
            tune(executables.back(), parameters, draw_instances(module, 16, seed, 500),
                 {.weights = weights, .trials = 36, .seed = seed})
                .choices;
      sessions.push_back(std::make_unique<Session>(executables.back(), parameters));
      std::vector<float> got;
      for (const Value& v : sessions.back()->run(batch)) tensors_of(v, got);
      if (expected.empty()) expected = got;
      same &= got == expected;
      contestants.push_back(
          {weights, [&session = *sessions.back(), &batch] { return time_of([&] { session.run(batch); }); }});
    }
    const auto timing = interleave(contestants, {.rounds = quick ? 21 : 41, .max_seconds = 6, .seed = seed});
    for (const char* weights : {"uniform", "static", "pgo"})
      add_ratio(bench, fmt::format("F.tuning.{}.{}", name, weights),
                fmt::format("{}: kernels tuned, {} weights, 36 trials", name, weights), timing, weights,
                "none", std::nullopt, same ? "the same bits; tuning time not counted" : "ANSWERS DIFFER");
  }
}

}  // namespace

void bench_blocks(Bench& bench, std::uint64_t seed, bool quick) {
  layouts(bench, seed, quick);
  control(bench, seed, quick);
  tuning(bench, seed, quick);
}

}  // namespace ballast::dynamic
