// `ballast serve bench`: the figures of the specification's section 9. E1-E6 and E9 are modelled (virtual
// time, published A100 profile); E7 and E8 are measured on this machine's engine (bench_engine.cc).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/serve/bench_suite.h"
#include "ballast/serve/slos_policy.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

// Engines as they are set when nobody tunes them. Disaggregation needs a fleet.
std::vector<std::string> default_baselines(int replicas) {
  std::vector<std::string> names{"vllm", "vllm-v1", "sarathi:512"};
  if (replicas > 1) names.emplace_back("distserve:1:1");
  return names;
}

// The sweep: chunk sizes, ratios of prefill to decode replicas, and schedulers that know deadlines.
std::vector<std::string> swept_baselines(int replicas, bool quick) {
  std::vector<std::string> names{"sarathi:256", "sarathi:1024", "qoserve", "scorpio"};
  if (!quick) names.insert(names.end(), {"sarathi:2048", "edf", "decode-first", "prefill-first"});
  if (!quick && replicas > 1)
    names.insert(names.end(), {"silo:1", "silo:2", "distserve:1:3", "distserve:3:1"});
  return names;
}

struct Best {
  std::string name;
  double capacity = 0;
};
Best best_of(const Suite& suite, const std::string& scenario, const std::vector<std::string>& policies,
             int replicas, Metric metric) {
  Best best{policies.front(), 0};
  for (const std::string& policy : policies) {
    CapacityQuery q = suite.query(scenario, policy, replicas);
    q.metric = metric;
    if (const double found = suite.capacity(q); found > best.capacity) best = {policy, found};
  }
  return best;
}

// E1 (four replicas) and E2 (one): capacity against the best default setting, and the best of a sweep.
void compare_capacity(Suite& suite, const std::string& id, int replicas,
                      const std::vector<std::string>& scenarios, double target_default, double target_tuned) {
  const auto plain_names = default_baselines(replicas),
             swept_names = swept_baselines(replicas, suite.options.quick);
  for (const Metric metric : {Metric::token, Metric::mean}) {
    if (suite.options.quick && metric == Metric::mean && replicas > 1) continue;
    std::vector<double> against_default, against_tuned;
    for (const std::string& scenario : scenarios) {
      CapacityQuery ours = suite.query(scenario, "slos", replicas);
      ours.metric = metric;
      const double mine = suite.capacity(ours);
      const Best plain = best_of(suite, scenario, plain_names, replicas, metric);
      const Best more = best_of(suite, scenario, swept_names, replicas, metric);
      const Best swept = more.capacity > plain.capacity ? more : plain;
      if (plain.capacity > 0) against_default.push_back(mine / plain.capacity);
      if (swept.capacity > 0) against_tuned.push_back(mine / swept.capacity);
      const std::string suffix = fmt::format("{}.{}", scenario, to_string(metric));
      suite.bench.add(
          {.id = id + "." + suffix,
           .what =
               fmt::format("{} capacity, {} replica(s), metric {}", scenario, replicas, to_string(metric)),
           .unit = "requests/s",
           .ours = mine,
           .peer =
               Peer{swept.name, swept.capacity > 0 ? std::optional(swept.capacity) : std::nullopt,
                    "policy in this simulator",
                    fmt::format("best of {} {}", fmt::join(plain_names, " "), fmt::join(swept_names, " "))},
           .better = Better::higher,
           .target = 1.0,
           .basis = Basis::modelled});
    }
    auto summary = [&](const std::string& what, const std::vector<double>& ratios, double target) {
      if (ratios.empty()) return;
      suite.bench.add(
          {.id = fmt::format("{}.geomean.{}.{}", id, what, to_string(metric)),
           .what = fmt::format("geometric mean over {} scenarios of ours over the best {} baseline",
                               ratios.size(), what),
           .unit = "x",
           .ours = geometric_mean(ratios),
           .better = Better::higher,
           .target = metric == Metric::token ? std::optional(target) : std::nullopt,
           .basis = Basis::modelled});
    };
    summary("default", against_default, target_default);
    summary("tuned", against_tuned, target_tuned);
  }
}

// E3: bursts need replicas that help each other.
void scaling(Suite& suite) {
  for (const Rescale rescale : {Rescale::thin, Rescale::stretch}) {
    if (suite.options.quick && rescale == Rescale::stretch) continue;
    double one = 0;
    for (const int replicas : {1, 2, 4, 8}) {
      if (suite.options.quick && (replicas == 2 || replicas == 8)) continue;
      CapacityQuery q = suite.query("coder", "slos", replicas);
      q.rescale = rescale;
      q.requests = suite.options.quick ? 800 : 3000;
      const double found = suite.capacity(q);
      if (replicas == 1) one = found;
      suite.bench.add(
          {.id = fmt::format("E3.{}.x{}", rescale == Rescale::thin ? "thin" : "stretch", replicas),
           .what = fmt::format("coder on the code trace, {} replicas over 1", replicas),
           .unit = "x",
           .ours = one > 0 ? std::optional(found / one) : std::nullopt,
           .better = Better::higher,
           .target = replicas == 4 && rescale == Rescale::thin ? std::optional(4.5) : std::nullopt,
           .basis = Basis::modelled,
           .note = fmt::format("{:.2f} requests/s", found)});
    }
  }
}

// E4 and E9: what each technique is worth, by its switch.
void ablation(Suite& suite) {
  auto row = [&](const std::string& id, const std::string& what, const CapacityQuery& with,
                 const CapacityQuery& without, std::optional<double> target) {
    const double on = suite.capacity(with), off = suite.capacity(without);
    suite.bench.add({.id = id,
                     .what = what,
                     .unit = "requests/s",
                     .ours = on,
                     .peer = Peer{"without", off > 0 ? std::optional(off) : std::nullopt, "",
                                  "the same policy, one switch off"},
                     .better = Better::higher,
                     .target = target,
                     .basis = Basis::modelled});
  };
  {
    CapacityQuery with = suite.query("coder", "slos", 4), without = with;
    without.simulation.routing.hand_over = false;
    row("E4.routing", "coder on the bursty code trace, 4 replicas: hand-over of refused requests", with,
        without, 1.15);
  }
  {
    CapacityQuery with = suite.query("chatbot", "slos", 1), without = with;
    with.settings.speculation = SpecSettings::parse("adaptive");
    row("E4.speculation",
        fmt::format("chatbot, 1 replica: adaptive speculation (alpha {:.1f}, 1.5 ms a draft step)",
                    with.simulation.alpha),
        with, without, 1.2);
    CapacityQuery fixed = with;
    fixed.settings.speculation = SpecSettings::parse("fixed:4");
    row("E4.speculation.fixed", "chatbot, 1 replica: adaptive against a fixed length of 4", with, fixed,
        std::nullopt);
  }
  {
    CapacityQuery with = suite.query("coder", "slos", 1), without = with;
    without.settings.admission = false;
    row("E4.burst", "coder on the bursty code trace, 1 replica: soft admission against admitting all", with,
        without, 1.3);
  }
  {
    CapacityQuery with = suite.query("chatbot", "slos", 1), without = with;
    without.settings.dynamic_batch = false;
    row("E9.dynamic_batch", "chatbot, 1 replica: batch time follows the tightest active tier", with, without,
        1.3);
  }
  {
    CapacityQuery with = suite.query("chatbot", "slos", 1), without = with;
    with.settings.retry = true;
    without.settings.retry = false;
    row("E4.retry", "chatbot, 1 replica: a refused request stays pending while it can make it", with, without,
        std::nullopt);
    without.settings.retry = true;
    without.settings.hold_back = false;
    row("E4.hold_back", "chatbot, 1 replica: the last prompt token waits where it would break a promise",
        with, without, std::nullopt);
    without.settings = with.settings;
    with.settings.guarantee = true;
    row("E4.guarantee", "chatbot, 1 replica: the price of the hard guarantee", with, without, std::nullopt);
  }
}

// E5: a load step 1x -> 3x -> 1x; what was promised is kept all along.
void burst(Suite& suite) {
  const double base = 0.8;
  std::vector<Arrival> arrivals;
  Random random(suite.seed, 0xb0);
  double now = 0;
  while (now < 300e3) {
    const bool spike = now > 100e3 && now < 160e3;
    now += random.exponential() * 1000 / (base * (spike ? 3 : 1));
    arrivals.push_back({now, 0, 0});
  }
  const auto requests = make_requests("chatbot", arrivals, SloTable::paper(), suite.seed);
  Chart chart{.kind = Chart::Kind::line,
              .title = "Load step 1x, 3x, 1x: chatbot requests that kept every promise",
              .x_label = "s",
              .y_label = "kept, %",
              .labels = {},
              .series = {},
              .basis = Basis::modelled};
  for (const std::string policy : {"slos", "vllm", "sarathi:512"}) {
    const RunResult run = simulate(requests, suite.perf, [&] { return make_policy(policy, {}); });
    Series line{policy, {}, {}};
    for (double from = 0; from < 300e3; from += 20e3) {
      int all = 0, met = 0;
      for (const Live& live : run.requests) {
        if (live.first_arrival < from || live.first_arrival >= from + 20e3) continue;
        ++all;
        met += live.met_token ? 1 : 0;
      }
      line.xs.push_back(from / 1000 + 10);
      line.ys.push_back(all > 0 ? 100.0 * met / all : 100);
    }
    chart.series.push_back(std::move(line));
    suite.bench.add(
        {.id = "E5." + policy,
         .what = policy == "slos" ? "admitted requests that kept their promise through the spike"
                                  : "all requests that did, beside",
         .unit = "share",
         .ours = policy == "slos" ? run.admitted_attainment(Metric::token) : run.attainment(Metric::token),
         .better = Better::higher,
         .target = policy == "slos" ? std::optional(0.99) : std::nullopt,
         .basis = Basis::modelled,
         .note = fmt::format("of all submitted: {:.3f}", run.attainment(Metric::token))});
  }
  suite.bench.section().chart(chart);
}

// E6: planning time at 64 candidates, 3 tiers, 200 running. Real clock.
void planning_time(Suite& suite) {
  const SpecSolver solver(suite.perf, {}, 50);
  Random random(suite.seed, 0xe6);
  std::vector<double> times;
  for (int round = 0; round < (suite.options.quick ? 60 : 400); ++round) {
    PlanInput input;
    input.solver = &solver;
    input.decode_tiers = {{50, 70}, {75, 60}, {100, 70}};
    input.decode_context = 40000;
    input.blocks_taken = 2000;
    input.blocks_total = 4134;
    input.most_states = 400;  // as the policy does
    for (int i = 0; i < 72; ++i) {
      PlanItem item;
      item.forced = i >= 64;
      const int prompt = 50 + static_cast<int>(random.below(1500));
      item.work = prompt;
      item.idle_ms = suite.perf.idle_prefill_ms(prompt);
      item.deadline_ms = random.uniform(1.0, 5.0) * item.idle_ms + (item.forced ? 2000 : 0);
      item.tier = static_cast<int>(random.below(3));
      item.context = prompt + 100;
      item.blocks = item.forced ? 0 : (prompt + 150) / 16;
      input.items.push_back(item);
    }
    times.push_back(1000 * time_of([&] { make_plan(input); }));
  }
  suite.bench.add({.id = "E6.mean",
                   .what = "one plan: 64 candidates, 8 forced, 3 tiers, 200 running",
                   .unit = "ms",
                   .ours = mean(times),
                   .better = Better::lower,
                   .target = 1.0,
                   .basis = Basis::measured});
  suite.bench.add({.id = "E6.p99",
                   .what = "the same, 99th percentile",
                   .unit = "ms",
                   .ours = quantile(times, 0.99),
                   .better = Better::lower,
                   .target = 5.0,
                   .basis = Basis::measured});
  const auto requests =
      make_requests("coder", poisson_arrivals(2, 3000, suite.seed), SloTable::paper(), suite.seed);
  std::int64_t steps = 0;
  const double seconds = time_of(
      [&] { steps = simulate(requests, suite.perf, [&] { return make_policy("slos", {}); }).steps(); });
  suite.bench.add({.id = "S.steps",
                   .what = "simulated engine steps a second, one core (coder, 2 requests/s)",
                   .unit = "steps/s",
                   .ours = static_cast<double>(steps) / seconds,
                   .better = Better::higher,
                   .target = 1e6,
                   .basis = Basis::measured});
}

void bench(const BenchOptions& options, const cli::Common& common) {
  const std::vector<std::string> all{"capacity", "scaling", "ablation", "burst", "planning", "fit", "engine"};
  for (const std::string& suite : options.suites) cli::require_one_of("--suite", suite, all);
  auto wanted = [&](const char* name) {
    return options.suites.empty() ||
           std::find(options.suites.begin(), options.suites.end(), name) != options.suites.end();
  };
  Bench bench("serve", options.suites.empty() ? "all" : fmt::format("{}", fmt::join(options.suites, ",")),
              common);
  Suite suite{options, bench, PerfModel::load(options.perf), common.seed};
  suite.perf.draft_ms = 1.5;
  if (wanted("planning")) planning_time(suite);
  if (wanted("burst")) burst(suite);
  if (wanted("ablation")) ablation(suite);
  if (wanted("scaling")) scaling(suite);
  if (wanted("capacity")) {
    compare_capacity(suite, "E2", 1, {"coder", "chatbot", "summarizer"}, 1.6, 1.6);
    compare_capacity(suite, "E1", 4, scenario_names(), 2.2, 1.6);
  }
  if (wanted("fit")) bench_fit(suite);
  if (wanted("engine")) bench_engine(suite);
  bench.finish();
}

}  // namespace

void add_bench(cli::Program& program) {
  auto options = std::make_shared<BenchOptions>();
  auto verb = program.verb(
      "bench", "capacity, scaling, ablations, planning time and fit, beside the baselines",
      {"ballast serve bench --quick", "ballast serve bench --suite capacity --json capacity.json"});
  verb->add_flag("--quick", options->quick, "fewer requests, one seed: within three minutes");
  verb->add_option("--suite", options->suites,
                   "capacity, scaling, ablation, burst, planning, fit, engine (default: all)")
      ->delimiter(',');
  verb->add_option("--perf", options->perf, "performance model of the simulated machine");
  verb.run([options](const cli::Common& common) { bench(*options, common); });
}

}  // namespace ballast::serve
