#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/serve/request_trace.h"
#include "ballast/serve/simulator.h"
#include "ballast/serve/verbs.h"
#include "ballast/serve/workload.h"

namespace ballast::serve {
namespace {

struct SimOptions {
  std::string perf = "a100-opt13b-tp1", scenario = "chatbot", speculation = "off", slo_scale = "paper";
  std::vector<std::string> policies{"slos", "vllm", "sarathi:512"};
  double rate = 1, alpha = 0.7;
  int requests = 1000, replicas = 1;
};

std::vector<RequestBars> bars(const RunResult& run) {
  std::vector<RequestBars> result;
  for (const Live& live : run.requests) {
    RequestBars request{.name = fmt::format("{} {}", live.request->scenario, live.request->id),
                        .arrival_ms = live.request->arrival_ms,
                        .token_ms = {},
                        .admission = to_string(live.admission),
                        .kept = live.outcome == Outcome::finished && live.met_token};
    for (const auto& round : live.token_times)
      request.token_ms.insert(request.token_ms.end(), round.begin(), round.end());
    result.push_back(std::move(request));
  }
  return result;
}

void sim(const SimOptions& options, const cli::Common& common) {
  PerfModel perf = PerfModel::load(options.perf);
  const SloTable slos = SloTable::named(options.slo_scale, perf);
  const auto requests = make_requests(
      options.scenario, poisson_arrivals(options.rate, options.requests, common.seed), slos, common.seed + 1);
  Table table(fmt::format("{} at {:g} requests/s, {} replica(s) of {} (modelled)", options.scenario,
                          options.rate, options.replicas, perf.name),
              {"policy", "attained (token)", "attained (mean)", "guaranteed", "of these kept", "p99 slowdown",
               "p99 tpot ms", "plan mean ms"});
  Json rows = Json::array();
  std::map<std::string, std::vector<RequestBars>> traced;
  for (const std::string& name : options.policies) {
    PolicySettings settings;
    settings.slos = slos;
    settings.speculation = SpecSettings::parse(options.speculation);
    SimulationSettings simulation;
    simulation.replicas = options.replicas;
    simulation.alpha = options.alpha;
    simulation.seed = common.seed;
    simulation.record_tokens = !common.trace_file.empty();
    const RunResult run = simulate(
        requests, perf, [&] { return make_policy(name, settings); }, simulation);
    if (simulation.record_tokens) traced[name] = bars(run);
    const double plan = run.plan_ms.empty() ? 0 : mean(run.plan_ms);
    table.row({name, fmt::format("{:.1f} %", 100 * run.attainment(Metric::token)),
               fmt::format("{:.1f} %", 100 * run.attainment(Metric::mean)),
               std::to_string(run.count(Admission::admitted)),
               fmt::format("{:.1f} %", 100 * run.admitted_attainment(Metric::token)),
               fmt::format("{:.2f}", run.quantile_slowdown(0.99)),
               fmt::format("{:.1f}", run.quantile_tpot(0.99)),
               run.plan_ms.empty() ? "-" : fmt::format("{:.3f}", plan)});
    rows.push_back({{"policy", name},
                    {"attainment_token", run.attainment(Metric::token)},
                    {"attainment_mean", run.attainment(Metric::mean)},
                    {"admitted", run.count(Admission::admitted)},
                    {"admitted_attainment", run.admitted_attainment(Metric::token)},
                    {"p99_slowdown", run.quantile_slowdown(0.99)},
                    {"p99_tpot_ms", run.quantile_tpot(0.99)},
                    {"plan_ms_mean", plan},
                    {"steps", run.steps()},
                    {"basis", "modelled"}});
  }
  write_request_trace(common.trace_file, Basis::modelled, traced);
  common.write_json({{"schema", "ballast.serve.sim/1"},
                     {"scenario", options.scenario},
                     {"rate", options.rate},
                     {"rows", rows}});
  if (common.for_people()) table.print(stdout);
}

}  // namespace

void add_sim(cli::Program& program) {
  auto options = std::make_shared<SimOptions>();
  auto verb =
      program.verb("sim", "serve a workload on virtual time, policies side by side",
                   {"ballast serve sim --scenario coder --rate 1.5",
                    "ballast serve sim --perf a100-llama2-7b --replicas 4 --policies slos,vllm --rate 8"});
  verb->add_option("--perf", options->perf, "performance model: a preset or a profile file");
  verb->add_option("--policies", options->policies, "policies to compare")->delimiter(',');
  verb->add_option("--scenario", options->scenario, "summarizer, coder, chatbot, toolcall, reasoning, mixed");
  verb->add_option("--rate", options->rate, "requests a second");
  verb->add_option("--requests", options->requests, "requests to serve")->check(CLI::Range(1, 10'000'000));
  verb->add_option("--replicas", options->replicas, "replicas")->check(CLI::Range(1, 1024));
  verb->add_option("--speculation", options->speculation, "of slos: off, fixed:K, uniform, adaptive");
  verb->add_option("--alpha", options->alpha, "true acceptance probability of a drafted token");
  verb->add_option("--slo-scale", options->slo_scale, "paper or profile");
  verb.run([options](const cli::Common& common) { sim(*options, common); });
}

}  // namespace ballast::serve
