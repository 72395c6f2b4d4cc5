// Table B against others: libtorch (eager, and batched by hand as an expert would) interleaved in this
// process, DyNet 2.2 in its own; the same weights and instances, answers compared first, one thread each.
#include <fmt/format.h>

#include "ballast/base/statistics.h"
#include "ballast/dynamic/bench_contest.h"
#include "ballast/dynamic/bench_models.h"
#include "ballast/dynamic/peers/dynet.h"
#include "ballast/dynamic/peers/torch_models.h"

namespace ballast::dynamic {
namespace {

struct Means {
  std::vector<double> eager, by_hand, execute, total;
};

void missing(Bench& bench, const std::string& id, const std::string& what, const char* name, double target) {
  bench.add({.id = id,
             .what = what,
             .unit = "s",
             .peer = Peer{.name = name, .value = std::nullopt},
             .better = Better::lower,
             .target = target,
             .note = "not installed"});
}

void against_torch(Bench& bench, const std::string& model, const std::string& id, const Module& module,
                   Contest& contest, std::uint64_t seed, bool quick, Means& means) {
  const auto eager = torch_eager(model, module, contest.parameters(), contest.batch());
  const auto by_hand = torch_by_hand(model, module, contest.parameters(), contest.batch());
  if (!eager) {
    missing(bench, id + ".torch-eager", model, "libtorch eager", 5);
    return;
  }
  contest.compare(eager->run());
  contest.add("torch eager", [&] { return time_of([&] { eager->run(); }); });
  if (by_hand) {
    contest.compare(by_hand->run());
    contest.add("torch by hand", [&] { return time_of([&] { by_hand->run(); }); });
  }
  const auto timing = contest.time(quick ? 9 : 15, seed, quick ? 6 : 20);
  add_ratio(bench, id + ".torch-eager", fmt::format("{}: libtorch eager, one instance at a time", model),
            timing, "ours", "torch eager", 5.0, contest.answers_note());
  means.eager.push_back(timing.ratio("torch eager", "ours").median);
  if (!by_hand) return;
  add_ratio(bench, id + ".torch-by-hand", fmt::format("{}: libtorch batched by hand", model), timing, "ours",
            "torch by hand", 1.0, contest.answers_note());
  means.by_hand.push_back(timing.ratio("torch by hand", "ours").median);
}

void against_dynet(Bench& bench, const std::string& model, const std::string& id, const Module& module,
                   Contest& contest, bool quick, Means& means) {
  std::vector<double> execute, total;
  const Executable& exe = contest.executable(0);
  Session session(exe, contest.parameters());
  session.run(contest.batch());
  const int rounds = quick ? 5 : 11;
  const auto run_ours = [&] {
    for (int i = 0; i < rounds; ++i) {
      session.reset_stats();
      session.run(contest.batch());
      total.push_back(session.stats().total_seconds);
      execute.push_back(session.stats().total_seconds - session.stats().control_seconds -
                        session.stats().encoding_seconds);
    }
  };
  // Ours before and after each of DyNet's processes.
  run_ours();
  std::optional<DynetRun> best;
  int mode = 0;
  for (const int autobatch : quick ? std::vector<int>{1, 3} : std::vector<int>{1, 2, 3}) {
    auto run = run_dynet(model, module, contest.parameters(), contest.batch(), autobatch, rounds);
    run_ours();
    if (run && (!best || quantile(run->execute, 0.5) < quantile(best->execute, 0.5))) {
      best = std::move(run);
      mode = autobatch;
    }
  }
  if (!best) {
    missing(bench, id + ".dynet.execute", model, "DyNet 2.2 autobatch", 1.4);
    return;
  }
  const double worst =
      difference(std::vector<float>(best->outputs.begin(), best->outputs.end()), contest.answers());
  const auto row = [&](const char* what, const std::string& text, const std::vector<double>& own,
                       const std::vector<double>& theirs, double target, std::vector<double>& ratios) {
    const double ratio = quantile(theirs, 0.5) / quantile(own, 0.5);
    ratios.push_back(ratio);
    bench.add({.id = id + ".dynet." + what,
               .what = text,
               .unit = "s",
               .ours = quantile(own, 0.5),
               .peer = Peer{.name = "DyNet 2.2 autobatch",
                            .value = quantile(theirs, 0.5),
                            .version = "2.2",
                            .settings = "one thread"},
               .ratio = ratio,
               .ratio_low = quantile(theirs, 0.1) / quantile(own, 0.9),
               .ratio_high = quantile(theirs, 0.9) / quantile(own, 0.1),
               .better = Better::lower,
               .target = target,
               .note = fmt::format("{}{:.0e}; the fastest of its modes: {}; ours before and after it",
                                   worst <= 1e-4 ? "answers agree to " : "ANSWERS DIFFER by ", worst, mode)});
  };
  row("execute", model + ": execution, without building graphs", execute, best->execute, 1.4, means.execute);
  row("total", model + ": with building graphs (DyNet's in Python)", total, best->total, 2.0, means.total);
}

}  // namespace

void bench_peers(Bench& bench, std::uint64_t seed, bool quick) {
  Means means;
  struct Case {
    const char* model;
    int hidden, instances;
  };
  std::vector<Case> cases;
  if (quick) {
    cases = {{"treelstm", 64, 8}, {"treelstm", 128, 64}, {"bilstm", 64, 8}, {"latticelstm", 64, 8}};
  } else {
    for (const char* model : {"treelstm", "birnn", "bilstm", "latticelstm"})
      for (const int hidden : {64, 256})
        for (const int instances : {8, 64}) cases.push_back({model, hidden, instances});
  }
  for (const Case& c : cases) {
    const Module module = load_model(c.model, {{"H", c.hidden}, {"V", 500}});
    Contest contest(module, draw_instances(module, c.instances, seed), seed);
    contest.add({"ours", {}, {}});
    const std::string id = fmt::format("B.{}.h{}.b{}", c.model, c.hidden, c.instances);
    against_torch(bench, c.model, id, module, contest, seed, quick, means);
    against_dynet(bench, c.model, id, module, contest, quick, means);
  }
  add_mean(bench, "B.mean.torch-eager", "ours over libtorch eager", means.eager, 5);
  add_mean(bench, "B.mean.torch-by-hand", "ours over libtorch batched by hand", means.by_hand, 1);
  add_mean(bench, "B.mean.dynet.execute", "ours over DyNet 2.2, execution alone", means.execute, 1.4);
  add_mean(bench, "B.mean.dynet.total", "ours over DyNet 2.2 in all", means.total, 2);
}

}  // namespace ballast::dynamic
