// `ballast cost bench`: how well fits foretell this machine's own copies, and what a fit and a schedule cost.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "ballast/base/bench.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/cost/check.h"
#include "ballast/cost/fit.h"
#include "ballast/cost/gantt.h"
#include "ballast/cost/verbs.h"

namespace ballast::cost {
namespace {

// Seconds of copying `bytes` at once, the median of several rounds: a cost with a floor, a cache and a memory
// part.
std::vector<Sample> measure_copies(bool quick) {
  const std::size_t largest = std::size_t{1} << (quick ? 25 : 27);
  std::vector<char> from(largest, 1), to(largest, 2);
  std::vector<Sample> samples;
  for (double bytes = 64; bytes <= static_cast<double>(largest); bytes *= 1.5) {
    cli::stop_if_interrupted();
    const auto size = static_cast<std::size_t>(bytes);
    const int repeats = static_cast<int>(std::max(1.0, 2e6 / bytes));
    std::vector<double> rounds;
    for (int round = 0; round < 9; ++round) {
      rounds.push_back(time_of([&] {
                         for (int i = 0; i < repeats; ++i) {
                           std::memcpy(to.data(), from.data(), size);
                           asm volatile("" : : "r"(to.data()) : "memory");
                         }
                       }) /
                       repeats);
    }
    samples.push_back({{static_cast<double>(size)}, median(rounds)});
  }
  return samples;
}

// Layers of a training step on a device, a link and a host: each layer computes, sends, updates, returns.
Workload layers(std::size_t steps, std::size_t depth) {
  Workload w;
  const auto device = w.add_resource({.name = "device"}),
             host = w.add_resource({.name = "host", .capacity = 4});
  const auto link = w.add_resource({.name = "link", .capacity = 10e9, .shared = true});
  std::vector<TaskId> returned(depth);
  for (std::size_t step = 0; step < steps; ++step) {
    std::optional<TaskId> before;
    for (std::size_t layer = 0; layer < depth; ++layer) {
      Task compute{.name = "compute", .duration_s = 1e-3, .needs = {{device, 1}}, .group = "compute"};
      if (before) compute.after.push_back(*before);
      if (step > 0) compute.after.push_back(returned[layer]);
      before = w.add_task(compute);
      const auto send =
          w.add_task({.name = "send", .work = Need{link, 4e6}, .after = {*before}, .group = "link"});
      const auto update = w.add_task(
          {.name = "update", .duration_s = 1.5e-3, .needs = {{host, 1}}, .after = {send}, .group = "host"});
      returned[layer] =
          w.add_task({.name = "return", .work = Need{link, 4e6}, .after = {update}, .group = "link"});
    }
  }
  return w;
}

void bench_fits(Bench& bench, bool quick) {
  const auto samples = measure_copies(quick);
  const Model line = fit_lines("one line", {"bytes"}, samples, {.lines = 1});
  const Model unweighted =
      fit_lines("one line, unweighted", {"bytes"}, samples, {.lines = 1, .relative = false});
  const Model lines = fit_lines("max of three lines", {"bytes"}, samples, {.lines = 3, .free_offsets = true});
  std::vector<double> knots;
  for (double k = 64; k <= samples.back().inputs[0]; k *= 4) knots.push_back(k);
  const Model curve = fit_curve("curve", {"bytes"}, samples, 0, Scale::log2, knots);
  const auto row = [&](const char* id, const Model& model, const char* what) {
    bench.add({.id = id,
               .what = what,
               .unit = "mean relative error",
               .ours = model.held_out->mape,
               .peer = Peer{.name = "one line, unweighted",
                            .value = unweighted.held_out->mape,
                            .settings = "least squares as usual"},
               .basis = Basis::measured,
               .note = fmt::format("95 %: {:.0f} %, {} points, held out", 100 * model.held_out->p95,
                                   samples.size())});
  };
  row("C1.weighted", line, "memcpy seconds foretold by one weighted line");
  row("C1.lines", lines, "the same by max of three lines");
  row("C1.curve", curve, "the same by a curve, log2 axis");
  Series measured{"measured", {}, {}};
  Chart chart{.kind = Chart::Kind::line,
              .title = "Seconds of one copy",
              .x_label = "bytes",
              .y_label = "s",
              .x_log = true,
              .y_log = true,
              .basis = Basis::measured};
  for (const auto& s : samples) measured.xs.push_back(s.inputs[0]), measured.ys.push_back(s.value);
  chart.series.push_back(measured);
  for (const Model* model : {&unweighted, &lines, &curve}) {
    Series series{model->name + " (modelled)", measured.xs, {}};
    for (const double x : measured.xs) series.ys.push_back((*model)({x}));
    chart.series.push_back(series);
  }
  bench.section().chart(chart);
  bench.add({.id = "C2.fit",
             .what = "max-of-lines fit with five-fold check, seconds",
             .unit = "s",
             .ours = time_of([&] { fit_lines("l", {"bytes"}, samples, {.lines = 2}); }),
             .note = fmt::format("{} points, 20 restarts", samples.size())});
}

void bench_timeline(Bench& bench, bool quick) {
  const Workload small = layers(3, 4);
  bench.section().figure(gantt(small, simulate(small),
                               {.title = "Three steps of four layers over a device, a link and a host"}));
  for (const std::size_t steps : {std::size_t{20}, quick ? std::size_t{100} : std::size_t{400}}) {
    const Workload w = layers(steps, 24);
    Schedule s;
    const double seconds = time_of([&] { s = simulate(w); });
    bench.add({.id = fmt::format("C3.tasks{}", w.tasks.size()),
               .what = fmt::format("timeline of {} tasks over 3 resources", w.tasks.size()),
               .unit = "tasks/s",
               .ours = static_cast<double>(w.tasks.size()) / seconds,
               .better = Better::higher});
  }
  const Workload checked = layers(10, 24);
  const auto found = violations(checked, simulate(checked));
  bench.add({.id = "C4.check",
             .what = "violations found by the independent check in 960 tasks",
             .unit = "violations",
             .ours = static_cast<double>(found.size()),
             .target = 0,
             .basis = Basis::counted});
}

}  // namespace

void add_bench(cli::Program& program) {
  auto quick = std::make_shared<bool>(false);
  auto verb =
      program.verb("bench", "held-out error of fits on this machine's copies; speed of fits and schedules",
                   {"ballast cost bench --quick", "ballast cost bench --json cost.json --report cost.html"});
  verb->add_flag("--quick", *quick, "smaller copies and workloads");
  verb.run([quick](const cli::Common& common) {
    Bench bench("cost", "models", common);
    bench_fits(bench, *quick);
    bench_timeline(bench, *quick);
    bench.finish();
  });
}

}  // namespace ballast::cost
