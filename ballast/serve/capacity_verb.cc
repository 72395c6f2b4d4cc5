#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/serve/capacity.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

struct CapacityOptions {
  std::string perf = "a100-opt13b-tp1", metric = "token", slo_scale = "paper", speculation = "off",
              rescale = "thin";
  std::vector<std::string> policies{"slos", "vllm", "sarathi:512"};
  std::vector<std::string> scenarios{"chatbot", "coder", "summarizer"};
  std::vector<int> replicas{1};
  double wanted = 0;  ///< requests a second that must be served: how many replicas?
  CapacityQuery query;
};

// The smallest number of replicas that serves `wanted` requests a second.
int replicas_for(CapacityQuery query, const PerfModel& perf, double wanted) {
  auto enough = [&](int replicas) {
    query.replicas = replicas;
    for (int i = 0; i < query.seeds; ++i) {
      const RunResult run = run_at(query, perf, wanted, query.seed + static_cast<std::uint64_t>(i));
      if (run.attainment(query.metric) < query.attain) return false;
    }
    return true;
  };
  int high = 1;
  while (!enough(high)) {
    if (high >= 1024) throw Unavailable("more than 1024 replicas would be needed");
    high *= 2;
  }
  int low = high / 2;  // not enough (or 0)
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (enough(middle) ? high : low) = middle;
  }
  return high;
}

void capacity(CapacityOptions options, const cli::Common& common) {
  if (options.scenarios == std::vector<std::string>{"all"}) options.scenarios = scenario_names();
  const PerfModel perf = PerfModel::load(options.perf);
  CapacityQuery query = options.query;
  query.metric = metric_from_string(options.metric);
  query.rescale = rescale_from_string(options.rescale);
  query.settings.slos = SloTable::named(options.slo_scale, perf);
  query.settings.speculation = SpecSettings::parse(options.speculation);
  query.seed = common.seed;
  Json rows = Json::array();
  if (options.wanted > 0) {
    Table table(fmt::format("Replicas of {} for {:g} requests/s at {:.0f} % attainment (modelled)", perf.name,
                            options.wanted, 100 * query.attain),
                {"scenario", "policy", "replicas"});
    for (const std::string& scenario : options.scenarios) {
      for (const std::string& policy : options.policies) {
        query.scenario = scenario;
        query.policy = policy;
        const int count = replicas_for(query, perf, options.wanted);
        table.row({scenario, policy, std::to_string(count)});
        rows.push_back({{"scenario", scenario},
                        {"policy", policy},
                        {"wanted_per_second", options.wanted},
                        {"replicas", count}});
      }
    }
    if (common.for_people()) table.print(stdout);
  } else {
    Table table(fmt::format("Requests/s per replica of {} at {:.0f} % attainment, metric {} (modelled)",
                            perf.name, 100 * query.attain, options.metric),
                {"scenario", "replicas", "policy", "requests/s", "per replica"});
    for (const std::string& scenario : options.scenarios) {
      for (const int replicas : options.replicas) {
        for (const std::string& policy : options.policies) {
          query.scenario = scenario;
          query.replicas = replicas;
          query.policy = policy;
          const Capacity found = find_capacity(query, perf);
          table.row({scenario, std::to_string(replicas), policy, fmt::format("{:.2f}", found.per_second),
                     fmt::format("{:.2f}", found.per_gpu())});
          rows.push_back({{"scenario", scenario},
                          {"replicas", replicas},
                          {"policy", policy},
                          {"per_second", found.per_second},
                          {"per_gpu", found.per_gpu()},
                          {"by_seed", found.by_seed}});
        }
      }
    }
    if (common.for_people()) table.print(stdout);
  }
  common.write_json({{"schema", "ballast.serve.capacity/1"},
                     {"perf", perf.name},
                     {"attain", query.attain},
                     {"metric", options.metric},
                     {"rescale", options.rescale},
                     {"basis", "modelled"},
                     {"rows", rows}});
}

}  // namespace

void add_capacity(cli::Program& program) {
  auto options = std::make_shared<CapacityOptions>();
  auto verb = program.verb(
      "capacity", "requests a second that keep their promises, or how many replicas a rate needs",
      {"ballast serve capacity --scenarios all --policies slos,vllm,sarathi:512",
       "ballast serve capacity --perf h100-llama2-7b --for-rate 40 --scenarios chatbot"});
  verb->add_option("--perf", options->perf, "performance model: a preset or a profile file");
  verb->add_option("--policies", options->policies, "policies to compare")->delimiter(',');
  verb->add_option("--scenarios", options->scenarios, "scenarios, or 'all'")->delimiter(',');
  verb->add_option("--replicas", options->replicas, "numbers of replicas")->delimiter(',');
  verb->add_option("--metric", options->metric, "token (every token in time) or mean (mean time per token)");
  verb->add_option("--attain", options->query.attain, "share of requests that must keep their promises");
  verb->add_option("--arrivals", options->query.arrivals,
                   "poisson, azure-conv, azure-code, a trace file, or auto");
  verb->add_option("--rescale", options->rescale, "thin or stretch");
  verb->add_option("--requests", options->query.requests, "requests a point")
      ->check(CLI::Range(10, 1'000'000));
  verb->add_option("--seeds", options->query.seeds, "seeds; the median is reported")
      ->check(CLI::Range(1, 100));
  verb->add_option("--speculation", options->speculation, "of slos: off, fixed:K, uniform, adaptive");
  verb->add_option("--alpha", options->query.simulation.alpha,
                   "true acceptance probability of a drafted token");
  verb->add_option("--slo-scale", options->slo_scale, "paper or profile");
  verb->add_option("--for-rate", options->wanted, "answer: how many replicas does this rate need?");
  verb.run([options](const cli::Common& common) { capacity(*options, common); });
}

}  // namespace ballast::serve
