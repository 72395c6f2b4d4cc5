// Tables B and C: compiled models against the built-in systems and policies, and where the time goes.
#include "ballast/dynamic/bench_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "ballast/dynamic/bench_contest.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/tree_lstm.h"

namespace ballast::dynamic {

void add_mean(Bench& bench, const std::string& id, const std::string& what, const std::vector<double>& ratios,
              double target) {
  if (ratios.empty()) return;
  double sum = 0;
  for (const double r : ratios) sum += std::log(r);
  bench.add({.id = id,
             .what = what,
             .unit = "1",
             .ours = std::exp(sum / static_cast<double>(ratios.size())),
             .better = Better::higher,
             .target = target,
             .note = fmt::format("geometric mean over {} cases", ratios.size())});
}

namespace {

struct Case {
  const char* model;
  int hidden, instances;
};

void end_to_end(Bench& bench, std::uint64_t seed, bool quick) {
  std::vector<Case> cases;
  if (quick) {
    cases = {{"treelstm", 64, 8}, {"treelstm", 256, 64}, {"birnn", 64, 64}, {"latticelstm", 64, 8}};
  } else {
    for (const char* model :
         {"treelstm", "treegru", "mvrnn", "birnn", "bilstm", "latticelstm", "latticegru", "lstm-nmt"})
      for (const int instances : {8, 64}) cases.push_back({model, 64, instances});
    for (const char* model : {"treelstm", "bilstm"}) cases.push_back({model, 256, 64});
  }
  std::vector<double> over_dynet;
  for (const Case& c : cases) {
    const Module module = load_model(c.model, {{"H", c.hidden}, {"V", 2000}});
    Contest contest(module, draw_instances(module, c.instances, seed), seed);
    contest.add({"ours", {}, {}});
    contest.add({"one at a time", {}, {.policy = "unbatched"}});
    contest.add({"dynet-style agenda", unfused(), {.policy = "agenda", .gather = Gather::copied}});
    contest.add({"dynet-style depth", unfused(), {.policy = "depth", .gather = Gather::copied}});
    CompileOptions known = unfused();
    known.reuse = true;
    contest.add({"dynet++ (shared operands known)", known, {.policy = "agenda", .gather = Gather::copied}});
    contest.add({"cells by agenda (cavs-style)", {}, {.policy = "agenda"}});
    contest.add({"cells by depth (fold-style)", {}, {.policy = "depth", .gather = Gather::copied}});
    const auto timing = contest.time(quick ? 11 : 21, seed, quick ? 6 : 15);
    const std::string id = fmt::format("B.{}.h{}.b{}", c.model, c.hidden, c.instances);
    const std::string answers = contest.answers_note();
    add_ratio(bench, id + ".unbatched", fmt::format("{}: the same kernels one node at a time", c.model),
              timing, "ours", "one at a time", std::nullopt, answers);
    std::string best = "dynet-style agenda";
    for (const char* other : {"dynet-style depth", "dynet++ (shared operands known)"})
      if (timing.median(other) < timing.median(best)) best = other;
    over_dynet.push_back(timing.ratio(best, "ours").median);
    add_ratio(bench, id + ".dynet-style",
              fmt::format("{}: unfused, explicit gather: the best of three (built-in)", c.model), timing,
              "ours", best, 2.0,
              fmt::format("{}; {} batches against {}", answers, contest.batches(0), contest.batches(2)));
    add_ratio(bench, id + ".cavs-style", fmt::format("{}: whole cells by agenda (built-in)", c.model), timing,
              "ours", "cells by agenda (cavs-style)", std::nullopt, answers);
    add_ratio(bench, id + ".fold-style",
              fmt::format("{}: whole cells by depth, explicit gather (built-in)", c.model), timing, "ours",
              "cells by depth (fold-style)", std::nullopt, answers);
    const RunStats &s = contest.stats(0), &agenda = contest.stats(5);
    const bool counts = c.hidden == 256 && c.instances == 64;
    const double nodes = static_cast<double>(std::max<std::int64_t>(1, s.nodes));
    bench.add({.id = fmt::format("C.{}.h{}.b{}.share", c.model, c.hidden, c.instances),
               .what = fmt::format("{}: construction and scheduling, of the total", c.model),
               .unit = "%",
               .ours = 100 * (s.control_seconds + s.scheduling_seconds) / s.total_seconds,
               .better = Better::lower,
               .target = counts ? std::optional<double>(15) : std::nullopt,
               .note = fmt::format(
                   "encoding {:.0f} %, operands {:.0f} %, kernels {:.0f} %; dynet-style spends {:.0f} %",
                   100 * s.encoding_seconds / s.total_seconds, 100 * s.operand_seconds / s.total_seconds,
                   100 * s.kernel_seconds / s.total_seconds,
                   100 * (contest.stats(2).control_seconds + contest.stats(2).scheduling_seconds) /
                       contest.stats(2).total_seconds)});
    bench.add({.id = fmt::format("C.{}.h{}.b{}.node", c.model, c.hidden, c.instances),
               .what = fmt::format("{}: construction and grouping of a coarsened node", c.model),
               .unit = "us",
               .ours = 1e6 * (s.control_seconds + s.scheduling_seconds) / nodes,
               .better = Better::lower,
               .target = 0.3,
               .note = fmt::format("control {:.3f}, grouping {:.3f}", 1e6 * s.control_seconds / nodes,
                                   1e6 * s.scheduling_seconds / nodes)});
    bench.add({.id = fmt::format("C.{}.h{}.b{}.frontier", c.model, c.hidden, c.instances),
               .what = fmt::format("{}: inline depth against frontier scheduling, per node", c.model),
               .unit = "us",
               .ours = 1e6 * s.scheduling_seconds / nodes,
               .peer = Peer{.name = "agenda over the frontier",
                            .value = 1e6 * agenda.scheduling_seconds /
                                     static_cast<double>(std::max<std::int64_t>(1, agenda.nodes))},
               .better = Better::lower,
               .target = 4.0});
  }
  add_mean(bench, "B.mean.dynet-style", "ours over the best built-in DyNet-style system", over_dynet, 2.0);
}

/// A learned machine against agenda and depth, all else equal: cells, frontier executor, no phases and no
/// hoisting, which do by marks what the machine learns.
void learned(Bench& bench, std::uint64_t seed, bool quick) {
  struct Shape {
    const char* model;
    double target;
  };
  for (const Shape& shape : {Shape{"bilstm", 1.05}, Shape{"treelstm", 1.2}, Shape{"latticelstm", 1.5}}) {
    const Module module = load_model(shape.model, {{"H", 64}, {"V", 2000}});
    CompileOptions passes;
    passes.phases = passes.hoist = passes.split_dense = passes.ghost = false;
    const int instances = 32;
    Contest contest(module, draw_instances(module, instances, seed, 5000), seed);
    const Executable exe = compile(module, passes);
    Session session(exe, contest.parameters());
    std::deque<Graph> graphs;
    std::deque<Structure> structures;
    std::vector<const Structure*> training, validation;
    for (std::uint64_t g = 0; g < 6; ++g) {
      graphs.push_back(session.graph_of(draw_instances(module, instances, seed, g * 32)));
      structures.emplace_back(graphs.back());
      (g < 3 ? training : validation).push_back(&structures.back());
    }
    Learned machine;
    const double seconds = time_of([&] {
      machine = learn_best(training, validation,
                           {.iterations = quick ? 100 : 400, .seed = seed, .restarts = quick ? 1 : 3});
    });
    contest.add({"learned", passes, {.policy = "fsm", .fsm = machine.table}});
    contest.add({"agenda", passes, {.policy = "agenda"}});
    contest.add({"depth", passes, {.policy = "depth"}});
    const auto timing = contest.time(quick ? 15 : 31, seed, quick ? 5 : 12);
    const std::string best = timing.median("agenda") < timing.median("depth") ? "agenda" : "depth";
    add_ratio(
        bench, fmt::format("B.fsm.{}", shape.model),
        fmt::format("{}: learned machine against the best of agenda and depth, all else equal", shape.model),
        timing, "learned", best, shape.target,
        fmt::format("{} batches against {} and {}; {}; trained in {:.1f} s, not counted", contest.batches(0),
                    contest.batches(1), contest.batches(2), contest.answers_note(), seconds));
  }
}

/// What a system with the structure known up front does: the schedule made ahead, the memory laid out.
void cortex_like(Bench& bench, std::uint64_t seed, bool quick) {
  for (const int hidden : quick ? std::vector<int>{64} : std::vector<int>{64, 256}) {
    const Module module = load_model("treelstm", {{"H", hidden}, {"V", 20000}});
    Contest contest(module, draw_instances(module, 64, seed), seed);
    contest.add({"ours", {}, {}});
    TreeLstm model({.embedding = hidden, .hidden = hidden}, seed);
    std::vector<Tree> trees;
    for (std::uint64_t i = 0; i < 64; ++i) trees.push_back(draw_tree(seed, i));
    const TreeBatch batch(trees);
    const Structure structure(batch.graph());
    const Schedule plan = schedule_by_name(structure, "suff");
    contest.add("cortex-like", [&] { return model.run(batch, plan).seconds; });
    add_ratio(bench, fmt::format("B.treelstm.h{}.b64.cortex-like", hidden),
              "treelstm against code by hand whose schedule is made ahead (ours, labelled cortex-like)",
              contest.time(quick ? 15 : 31, seed, quick ? 5 : 12), "ours", "cortex-like", 0.6,
              "the same trees and shapes, weights of its own; its scheduling and encoding are not counted");
  }
}

}  // namespace

void bench_models(Bench& bench, std::uint64_t seed, bool quick) {
  end_to_end(bench, seed, quick);
  learned(bench, seed, quick);
  cortex_like(bench, seed, quick);
}

}  // namespace ballast::dynamic
