#include <fmt/format.h>
#include <unistd.h>

#include "ballast/base/errors.h"
#include "ballast/serve/load/load_workload.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

struct LoadOptions {
  std::string url = "http://127.0.0.1:8080", scenario = "mixed", perf, slo_scale = "profile",
              arrivals = "poisson", rescale = "thin", output, key;
  double rate = 1, seconds = 20;
  int most_prompt = 160, most_output = 48;
  bool no_slo_fields = false;
};

void load(const LoadOptions& options, const cli::Common& common) {
  if (options.perf.empty())
    throw InvalidInput(
        "--perf is needed: the promise of a first token is a multiple of the idle prefill time in a profile "
        "(ballast serve profile -o m.json)");
  const PerfModel perf = PerfModel::load(options.perf);
  const SloTable slos = SloTable::named(options.slo_scale, perf);
  const auto wanted = static_cast<int>(std::max(1.0, options.rate * options.seconds));
  const auto arrivals =
      options.arrivals == "poisson"
          ? poisson_arrivals(options.rate, wanted, common.seed)
          : arrivals_of(find_trace(options.arrivals, common.seed).trace, options.rate,
                        rescale_from_string(options.rescale), static_cast<std::size_t>(wanted), common.seed);
  auto requests = load_requests(options.scenario, arrivals, slos, common.seed,
                                {.most_prompt = options.most_prompt,
                                 .most_output = options.most_output,
                                 .slo_fields = !options.no_slo_fields});
  LoadTarget target = parse_url(options.url);
  target.api_key = options.key;
  const std::size_t all = requests.size();
  std::function<void(std::size_t)> progress;
  if (common.for_people() && ::isatty(2) != 0)
    progress = [all](std::size_t done) {
      fmt::print(stderr, "\r{} of {} requests{}", done, all, done == all ? "\n" : "");
    };
  auto log = run_load(target, std::move(requests), progress);
  set_idle_times(log, perf);
  if (!options.output.empty()) write_log(options.output, log);
  write_request_trace(common.trace_file, Basis::measured, {{options.url, bars(log)}});
  const LogSummary summary = summarise(log);
  common.write_json(to_json(summary));
  if (common.for_people())
    summary_table(summary, fmt::format("{} at {:g} requests/s against {} (measured)", options.scenario,
                                       options.rate, options.url))
        .print(stdout);
}

}  // namespace

void add_load(cli::Program& program) {
  auto options = std::make_shared<LoadOptions>();
  auto verb =
      program.verb("load", "send an open-loop workload to an OpenAI-compatible server and judge its promises",
                   {"ballast serve load --url http://127.0.0.1:8080 --perf m.json --rate 3",
                    "ballast serve load --perf m.json --arrivals azure-code --scenario coder -o run.jsonl"});
  verb->add_option("--url", options->url, "server, as http://HOST:PORT");
  verb->add_option("--perf", options->perf, "profile of the machine, for idle prefill times");
  verb->add_option("--slo-scale", options->slo_scale, "profile or paper");
  verb->add_option("--scenario", options->scenario, "summarizer, coder, chatbot, reasoning, mixed");
  verb->add_option("--rate", options->rate, "requests a second");
  verb->add_option("--duration", options->seconds, "seconds of arrivals");
  verb->add_option("--arrivals", options->arrivals, "poisson, azure-conv, azure-code, or a trace file");
  verb->add_option("--rescale", options->rescale, "thin or stretch");
  verb->add_option("--most-prompt", options->most_prompt, "longest prompt, tokens");
  verb->add_option("--most-output", options->most_output, "longest output, tokens");
  verb->add_option("--api-key", options->key, "sent as Authorization: Bearer");
  verb->add_option("-o,--output", options->output, "write the run log (JSONL) here");
  verb->add_flag("--no-slo-fields", options->no_slo_fields,
                 "do not send the promises (for servers that refuse unknown fields)");
  verb.run([options](const cli::Common& common) { load(*options, common); });

  auto path = std::make_shared<std::string>();
  auto report = program.verb("report", "judge a run log anew from its raw token times",
                             {"ballast serve report run.jsonl", "ballast serve report run.jsonl --json"});
  report->add_option("log", *path, "run log of `ballast serve load`")->required();
  report.run([path](const cli::Common& common) {
    const auto log = read_log(*path);
    write_request_trace(common.trace_file, Basis::measured, {{*path, bars(log)}});
    const LogSummary summary = summarise(log);
    common.write_json(to_json(summary));
    if (common.for_people()) summary_table(summary, *path + " (measured)").print(stdout);
  });
}

}  // namespace ballast::serve
