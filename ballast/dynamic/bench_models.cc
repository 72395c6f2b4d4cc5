// Tables B to F of the chapter: compiled models against themselves with passes, policies and executors taken
// away.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <deque>

#include "ballast/base/bench.h"
#include "ballast/base/statistics.h"
#include "ballast/dynamic/bench_models.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/peers/dynet.h"
#include "ballast/dynamic/plan/memory_plan.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {
namespace {

/// One way to run a model: passes and session.
struct System {
  std::string name;
  CompileOptions passes;
  SessionOptions session;
};

CompileOptions unfused() {
  CompileOptions o;
  o.reuse = o.fuse = o.hoist = o.split_dense = o.coarsen = o.hfuse = o.ghost = o.phases = false;
  return o;
}

/// Compiled models kept for their sessions.
class Contest {
 public:
  Contest(const Module& module, const std::vector<Instance>& batch, std::uint64_t seed)
      : module_(module), batch_(batch), parameters_(initial_parameters(module, seed)) {}

  void add(const System& system) {
    executables_.push_back(compile(module_, system.passes));
    sessions_.push_back(std::make_unique<Session>(executables_.back(), parameters_, system.session));
    names_.push_back(system.name);
    // Answers are compared before anything is timed; this also compiles the kernels.
    std::vector<double> numbers;
    for (const Value& v : sessions_.back()->run(batch_)) flatten(v, numbers);
    if (expected_.empty()) expected_ = numbers;
    same_ &= numbers.size() == expected_.size();
    for (std::size_t i = 0; same_ && i < numbers.size(); ++i)
      same_ = std::abs(numbers[i] - expected_[i]) <= 1e-4 * std::max(1.0, std::abs(expected_[i]));
    nodes_.push_back(sessions_.back()->stats().nodes);
    batches_.push_back(sessions_.back()->stats().batches);
    gathered_.push_back(sessions_.back()->stats().gathered_bytes);
    sessions_.back()->reset_stats();
  }
  bool same() const { return same_; }
  std::int64_t batches(std::size_t i) const { return batches_[i]; }
  std::int64_t gathered(std::size_t i) const { return gathered_[i]; }
  const RunStats& stats(std::size_t i) const { return sessions_[i]->stats(); }

  Comparison time(int rounds, std::uint64_t seed) {
    std::vector<Contestant> contestants;
    for (std::size_t i = 0; i < names_.size(); ++i)
      contestants.push_back({names_[i], [this, i] { return time_of([&] { sessions_[i]->run(batch_); }); }});
    return interleave(contestants, {.rounds = rounds, .max_seconds = 20, .seed = seed});
  }

 private:
  const Module& module_;
  const std::vector<Instance>& batch_;
  Parameters parameters_;
  std::deque<Executable> executables_;
  std::vector<std::unique_ptr<Session>> sessions_;
  std::vector<std::string> names_;
  std::vector<std::int64_t> nodes_, batches_, gathered_;
  std::vector<double> expected_;
  bool same_ = true;
};

void add_row(Bench& bench, const std::string& id, const std::string& what, const Comparison& timing,
             const std::string& peer, std::optional<double> target, const std::string& note) {
  bench.add({.id = id,
             .what = what,
             .unit = "s",
             .better = Better::lower,
             .target = target,
             .note = note,
             .comparison = timing,
             .ours_name = "ours",
             .peer_name = peer});
}

void end_to_end(Bench& bench, std::uint64_t seed, bool quick) {
  const std::vector<std::string> models =
      quick ? std::vector<std::string>{"treelstm", "birnn", "latticelstm"}
            : std::vector<std::string>{"treelstm", "treegru",     "mvrnn",      "birnn",
                                       "bilstm",   "latticelstm", "latticegru", "lstm-nmt"};
  for (const std::string& name : models) {
    for (const int instances : quick ? std::vector<int>{32} : std::vector<int>{8, 64}) {
      const Module module = load_model(name, {{"H", 64}, {"V", 2000}});
      const std::vector<Instance> batch = draw_instances(module, instances, seed);
      Contest contest(module, batch, seed);
      contest.add({"ours", {}, {}});
      contest.add({"one at a time", {}, {.policy = "unbatched"}});
      contest.add({"dynet-style agenda", unfused(), {.policy = "agenda", .gather = Gather::copied}});
      contest.add({"dynet-style depth", unfused(), {.policy = "depth", .gather = Gather::copied}});
      contest.add({"cells by agenda (cavs-style)", {}, {.policy = "agenda"}});
      contest.add({"cells by depth (fold-style)", {}, {.policy = "depth", .gather = Gather::copied}});
      const auto timing = contest.time(quick ? 5 : 11, seed);
      const std::string id = fmt::format("B.{}.b{}", name, instances);
      const std::string answers = contest.same() ? "answers agree" : "ANSWERS DIFFER";
      add_row(bench, id + ".unbatched", name + ": the same kernels one node at a time", timing,
              "one at a time", std::nullopt, answers);
      const double agenda = timing.median("dynet-style agenda"), depth = timing.median("dynet-style depth");
      add_row(bench, id + ".dynet",
              name + ": unfused operators, run-time signatures, explicit gather (built-in)", timing,
              agenda < depth ? "dynet-style agenda" : "dynet-style depth", 2.0,
              fmt::format("{}; {} batches against {}", answers, contest.batches(0),
                          contest.batches(agenda < depth ? 2 : 3)));
      add_row(bench, id + ".cavs", name + ": whole cells by agenda (built-in)", timing,
              "cells by agenda (cavs-style)", std::nullopt, answers);
      add_row(bench, id + ".fold", name + ": whole cells by depth, explicit gather (built-in)", timing,
              "cells by depth (fold-style)", std::nullopt, answers);
      const RunStats& s = contest.stats(0);
      bench.add({.id = fmt::format("C.{}.b{}", name, instances),
                 .what = "control and scheduling of the total",
                 .unit = "%",
                 .ours = 100 * (s.control_seconds + s.scheduling_seconds) / s.total_seconds,
                 .better = Better::lower,
                 .target = 15,
                 .note = fmt::format("operands {:.0f} %, kernels {:.0f} %",
                                     100 * s.operand_seconds / s.total_seconds,
                                     100 * s.kernel_seconds / s.total_seconds)});
    }
  }
}

void ablation(Bench& bench, std::uint64_t seed, bool quick) {
  struct Case {
    const char* pass;
    bool CompileOptions::*on;
    const char* model;
  };
  constexpr Case kCases[] = {{"fuse+coarsen", &CompileOptions::coarsen, "treelstm"},
                             {"hfuse", &CompileOptions::hfuse, "treelstm"},
                             {"hoist", &CompileOptions::hoist, "birnn"},
                             {"split-dense", &CompileOptions::split_dense, "birnn"},
                             {"phases", &CompileOptions::phases, "birnn"},
                             {"ghost", &CompileOptions::ghost, "twoarms"},
                             {"reuse", &CompileOptions::reuse, "birnn"}};
  for (const Case& c : kCases) {
    const Module module = load_model(c.model, {{"H", 64}, {"V", 2000}});
    const std::vector<Instance> batch = draw_instances(module, 32, seed);
    Contest contest(module, batch, seed);
    CompileOptions without;
    without.*c.on = false;
    if (c.on == &CompileOptions::coarsen) without.fuse = without.hfuse = false;
    contest.add({"ours", {}, {}});
    contest.add({"without", without, {}});
    add_row(bench, fmt::format("D.{}.{}", c.pass, c.model), fmt::format("{} without this pass", c.model),
            contest.time(quick ? 5 : 11, seed), "without", 1.1,
            fmt::format("{} batches against {}; {}", contest.batches(0), contest.batches(1),
                        contest.same() ? "answers agree" : "ANSWERS DIFFER"));
  }
  {
    const Module module = load_model("treelstm", {{"H", 64}, {"V", 2000}});
    const std::vector<Instance> batch = draw_instances(module, 32, seed);
    Contest contest(module, batch, seed);
    contest.add({"ours", {}, {}});
    contest.add({"copied first", {}, {.gather = Gather::copied}});
    add_row(bench, "D.gather-fusion.treelstm", "treelstm with operands copied together first",
            contest.time(quick ? 5 : 11, seed), "copied first", 1.1,
            fmt::format("{} bytes copied against {}", contest.gathered(0), contest.gathered(1)));
  }
  for (const char* name : {"drnn", "stackrnn", "nestedrnn"}) {
    const Module module = load_model(name, std::string(name) == "stackrnn"
                                               ? std::map<std::string, std::int64_t>{{"H", 64}, {"V", 2000}}
                                               : std::map<std::string, std::int64_t>{{"H", 64}});
    const std::vector<Instance> batch = draw_instances(module, quick ? 16 : 64, seed);
    Contest contest(module, batch, seed);
    contest.add({"ours", {}, {}});
    contest.add({"one instance at a time", {}, {.fibers = false}});
    add_row(bench, fmt::format("D.fibers.{}", name),
            fmt::format("{}: decisions from tensors, one instance at a time", name),
            contest.time(quick ? 3 : 11, seed), "one instance at a time", 2.0,
            fmt::format("{} batches against {}", contest.batches(0), contest.batches(1)));
  }
}

void layouts(Bench& bench) {
  for (const auto& [name, function] : {std::pair{"treelstm", "walk"},
                                       {"treegru", "walk"},
                                       {"mvrnn", "walk"},
                                       {"bilstm", "first"},
                                       {"latticegru", "walk"}}) {
    CompileOptions options;
    options.hfuse = options.split_dense = options.native = false;
    const Executable exe = compile(load_model(name), options);
    int before = 0, after = 0;
    std::int64_t bytes_before = 0, bytes_after = 0;
    double seconds = 0;
    for (const OpType& type : exe.unit.types) {
      if (type.variadic) continue;
      const BlockBatches block = batches_of(type.cell);
      if (block.variables == 0) continue;
      const MemoryPlan declared = declaration_plan(block);
      MemoryPlan planned;
      seconds += time_of([&] { planned = plan_memory(block); });
      before += declared.copies;
      after += planned.copies;
      bytes_before += declared.copied_bytes;
      bytes_after += planned.copied_bytes;
    }
    bench.add({.id = fmt::format("E.{}", name),
               .what = "copies inside the model's cells after planning",
               .unit = "1",
               .ours = static_cast<double>(after),
               .peer = Peer{.name = "declaration order", .value = static_cast<double>(before)},
               .better = Better::lower,
               .basis = Basis::counted,
               .note = fmt::format("{} bytes against {}; planned in {:.2f} ms", bytes_after, bytes_before,
                                   1000 * seconds)});
  }
}

void control(Bench& bench, std::uint64_t seed, bool quick) {
  for (const char* name : {"treelstm", "bilstm", "latticelstm"}) {
    const Module module = load_model(name, {{"H", 8}, {"V", 2000}});
    const std::vector<Instance> batch = draw_instances(module, 64, seed);
    const Executable native = compile(module, {.native = true}),
                     interpreted = compile(module, {.native = false});
    Session a(native, initial_parameters(module, seed)), b(interpreted, initial_parameters(module, seed));
    const auto control_time = [&](Session& session) {
      const double before = session.stats().control_seconds;
      session.run(batch);
      return session.stats().control_seconds - before;
    };
    const auto timing = interleave(
        {{"ours", [&] { return control_time(a); }}, {"interpreted", [&] { return control_time(b); }}},
        {.rounds = quick ? 7 : 21, .seed = seed});
    add_row(bench, fmt::format("F.control.{}", name),
            "control program as machine code, arguments' encoding included", timing, "interpreted", 5.0,
            "the same nodes, appended by the same code");
  }
}

/// Tensors of a result in order, without the constructors' numbers that flatten() gives.
void tensors_of(const Value& value, std::vector<double>& numbers) {
  numbers.insert(numbers.end(), value.elements.begin(), value.elements.end());
  for (const Value& field : value.fields) tensors_of(field, numbers);
}

/// DyNet itself, on one thread, ours timed before and after it.
void against_dynet(Bench& bench, std::uint64_t seed, bool quick) {
  for (const int hidden : quick ? std::vector<int>{128} : std::vector<int>{128, 256}) {
    for (const int instances : quick ? std::vector<int>{64} : std::vector<int>{8, 64}) {
      const Module module = load_model("treelstm", {{"H", hidden}, {"V", 500}});
      const std::vector<Instance> batch = draw_instances(module, instances, seed);
      const Parameters parameters = initial_parameters(module, seed);
      const Executable exe = compile(module);
      Session session(exe, parameters);
      std::vector<double> ours;
      for (const Value& v : session.run(batch)) tensors_of(v, ours);
      std::vector<double> execute, total;
      const auto run_ours = [&](int rounds) {
        for (int i = 0; i < rounds; ++i) {
          session.reset_stats();
          session.run(batch);
          total.push_back(session.stats().total_seconds);
          execute.push_back(session.stats().total_seconds - session.stats().control_seconds);
        }
      };
      const int rounds = quick ? 6 : 20;
      run_ours(rounds);
      std::optional<DynetRun> best;
      int mode = 0;
      for (const int autobatch : {1, 2, 3}) {
        auto run = run_dynet(module, parameters, batch, autobatch, rounds);
        if (run && (!best || quantile(run->execute, 0.5) < quantile(best->execute, 0.5))) {
          best = std::move(run);
          mode = autobatch;
        }
      }
      run_ours(rounds);
      double worst = 0;
      if (best) {
        worst = best->outputs.size() == ours.size() ? 0 : INFINITY;
        for (std::size_t i = 0; worst < INFINITY && i < ours.size(); ++i)
          worst = std::max(worst, std::abs(ours[i] - best->outputs[i]));
      }
      const std::string note =
          best ? fmt::format("answers differ by at most {:.0e}; fastest of modes 1 to 3: {}", worst, mode)
               : "not installed (setup/setup.sh --peers)";
      const auto row = [&](const char* what, const char* text, const std::vector<double>& own,
                           const std::vector<double> DynetRun::*theirs, double target) {
        std::optional<double> value;
        if (best) value = quantile((*best).*theirs, 0.5);
        bench.add({.id = fmt::format("B.treelstm.h{}.b{}.dynet22.{}", hidden, instances, what),
                   .what = text,
                   .unit = "s",
                   .ours = quantile(own, 0.5),
                   .peer = Peer{.name = "DyNet 2.2 autobatch",
                                .value = value,
                                .version = "2.2",
                                .settings = "one thread"},
                   .better = Better::lower,
                   .target = target,
                   .note = note});
      };
      row("execute", "TreeLSTM, graph building left out", execute, &DynetRun::execute, 1.4);
      row("total", "TreeLSTM with graph building (DyNet's in Python)", total, &DynetRun::total, 2.0);
    }
  }
}

}  // namespace

void bench_models(Bench& bench, std::uint64_t seed, bool quick) {
  against_dynet(bench, seed, quick);
  end_to_end(bench, seed, quick);
  ablation(bench, seed, quick);
  layouts(bench);
  control(bench, seed, quick);
}

}  // namespace ballast::dynamic
