#include "ballast/robot/benchmarks/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <unordered_map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/robot/harness/synthetic_graph.h"
#include "ballast/robot/node/executor.h"
#include "ballast/robot/trace/ctf_reader.h"
#include "ballast/robot/trace/session.h"

namespace ballast::robot {
namespace {

constexpr auto kGraphLimit = std::chrono::seconds(20);

/// The folder that the caller named, or one that goes away with the session.
class WorkFolder {
 public:
  explicit WorkFolder(const std::string& wanted) {
    if (wanted.empty()) {
      path_ = temporary_.emplace().path();
    } else {
      path_ = wanted;
      std::filesystem::create_directories(path_);
    }
  }
  const std::string& path() const { return path_; }

 private:
  std::optional<TemporaryFolder> temporary_;
  std::string path_;
};

std::size_t count_for(double rate_hz, double seconds) {
  return std::max<std::size_t>(10, static_cast<std::size_t>(std::lround(rate_hz * seconds)));
}

RunOptions run_options(const SessionOptions& options, double rate_hz, double seconds) {
  RunOptions run{.arrival = options.arrival,
                 .count = count_for(rate_hz, seconds),
                 .playback = options.playback,
                 .seed = options.seed};
  run.arrival.rate_hz = rate_hz;
  return run;
}

Check functional_check(const Benchmark& benchmark, const Input& input, const std::string& slot, BlackBox& box,
                       Sut& sut) {
  std::size_t frames = 1;
  for (const auto& stream : box.streams())
    if (!stream.once) frames = stream.messages.size();
  const std::size_t count = std::min(frames, benchmark.check_frames);
  const Run run = box.run({.arrival = {.rate_hz = 20}, .count = count, .keep_outputs = count}, sut);
  std::unordered_map<std::int64_t, std::size_t> frame_of;
  for (std::size_t i = 0; i < run.sent.size(); ++i)
    frame_of[run.sent[i].key] = frame_index(Playback::looping, i, frames);
  std::vector<ros::Bytes> outputs;
  std::vector<std::size_t> answered;
  for (std::size_t k = 0; k < run.outputs[0].size(); ++k) {
    const auto found = frame_of.find(run.output_keys[0][k]);
    if (found == frame_of.end()) continue;
    outputs.push_back(run.outputs[0][k]);
    answered.push_back(found->second);
  }
  if (outputs.empty()) {
    std::string why = run.invalid.empty() ? "" : ": " + run.invalid.front();
    return {.passed = false, .what = "no output answered an input" + why, .value = 0, .limit = 0};
  }
  return benchmark.check(input, slot, outputs, answered);
}

void conclude_rate(RateResult& rate, const SessionOptions& options) {
  const auto metric = [&](auto value) {
    std::vector<double> values;
    for (const auto& run : rate.runs)
      if (run.valid() || rate.valid == 0) values.push_back(value(run.analysis()));
    return conclude(values, options.compat, options.seed);
  };
  for (const auto& run : rate.runs) rate.valid += run.valid();
  rate.median_ms = metric([](const Analysis& a) { return a.corrected.median_ms; });
  rate.mean_ms = metric([](const Analysis& a) { return a.corrected.mean_ms; });
  rate.p99_ms = metric([](const Analysis& a) { return a.corrected.p99_ms; });
  rate.max_ms = metric([](const Analysis& a) { return a.corrected.max_ms; });
  rate.loss_percent = metric([](const Analysis& a) { return a.counts.loss_percent(); });
  rate.throughput_hz = metric([](const Analysis& a) { return a.receive_rate_hz; });
}

void measure(SessionResult& result, BlackBox& box, Sut& sut, const std::vector<double>& rates,
             const SessionOptions& options, double upper_hz) {
  if (options.peak) {
    options.progress("searching the peak");
    const auto probe = [&](double rate) {
      cli::stop_if_interrupted();
      const Run run = box.run(run_options(options, rate, std::min(options.seconds, 2.0)), sut);
      return probe_of(run.analysis(), rate, run.duration_s);
    };
    result.peak = options.compat
                      ? find_peak_compat(probe)
                      : find_peak(probe, {.lower_hz = options.lower_hz,
                                          .upper_hz = options.upper_hz > 0 ? options.upper_hz : upper_hz});
  }
  if (options.iterations == 0) return;
  for (const double rate : rates) {
    RateResult at{.rate_hz = rate};
    for (int i = 0; i < options.iterations; ++i) {
      cli::stop_if_interrupted();
      options.progress(fmt::format("{:g} Hz, run {} of {}", rate, i + 1, options.iterations));
      at.runs.push_back(box.run(run_options(options, rate, options.seconds), sut));
    }
    conclude_rate(at, options);
    result.rates.push_back(std::move(at));
  }
}

/// The stages of every message of the measured runs, from the trace of the whole life of the graph.
void add_grey(SessionResult& result, const trace::Trace& events) {
  const auto operations = trace::operations_in(events);
  if (operations.empty()) {
    result.invalid.push_back("the trace holds no operation");
    return;
  }
  const auto chain = trace::analyse_chain(events, trace::chain_of_operations(operations));
  result.grey = trace::to_json(chain);
  if (chain.discarded > 0)
    result.invalid.push_back(fmt::format("the tracer lost {} events", chain.discarded));
  if (result.rates.empty() || result.rates[0].runs.empty()) return;
  const Run& run = result.rates[0].runs.back();
  result.grey_black = trace::compare_grey_black(chain, run.sent, run.analysis().service_ns);
  if (result.grey_black->negative > 0)
    result.invalid.push_back(
        fmt::format("{} messages came out before they were done", result.grey_black->negative));
}

Json concluded_json(const Concluded& value) {
  return {{"value", value.value}, {"low", value.low}, {"high", value.high}};
}

}  // namespace

Concluded conclude(const std::vector<double>& values, bool trimmed, std::uint64_t seed) {
  if (values.empty()) return {};
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  if (trimmed) {
    double sum = 0;
    for (const double value : values) sum += value;
    if (values.size() > 2) sum -= *low + *high;
    const double divisor = static_cast<double>(values.size() > 2 ? values.size() - 2 : values.size());
    return {sum / divisor, *low, *high};
  }
  const Interval interval = bootstrap_median(values, 0.95, 2000, seed);
  return {median(values), interval.low, interval.high};
}

SessionResult run_session(const Benchmark& benchmark, const SessionOptions& options) {
  SessionResult result{.id = benchmark.id,
                       .slot = options.slot.empty() ? benchmark.slots.front() : options.slot};
  const auto colon = result.slot.find(':');
  cli::require_one_of(fmt::format("implementation of {}", benchmark.id), result.slot.substr(0, colon),
                      colon == std::string::npos ? benchmark.slots : benchmark.file_slots);
  GraphSpec graph = benchmark.graph(result.slot);
  if (!options.executor.empty()) graph.executor = options.executor;
  ros::ExecutorOptions::parse(graph.executor);
  result.executor = graph.executor;
  options.progress("reading the input");
  const Input input = benchmark.input(options.size, options.seed);
  result.input = input.description;
  result.synthetic = input.synthetic;

  const WorkFolder folder(options.folder);
  ros::Context context(options.context);
  options.progress("starting the graph");
  std::vector<std::string> flags;
  const std::string trace_file = folder.path() + "/trace.txt";
  if (options.tracer != "off") flags = {"--tracer", options.tracer, "--trace-out", trace_file};
  if (options.through_dds) flags.push_back("--no-intra-process");
  std::optional<trace::LttngSession> recording;
  if (options.tracer == "lttng") recording.emplace(folder.path() + "/ctf");
  Sut sut = Sut::graph(graph, options.context.domain_id, folder.path(), flags);
  BlackBox box(context, input.streams, graph.outputs);
  box.wait_ready(sut, kGraphLimit);
  options.progress("checking the output");
  result.check = functional_check(benchmark, input, result.slot, box, sut);
  if (!result.check.passed) {
    result.invalid.push_back(fmt::format("the output is wrong ({}: {:.4g}, limit {:.4g}): not timed",
                                         result.check.what, result.check.value, result.check.limit));
    return result;
  }
  if (options.iterations == 0 && !options.peak) return result;  // the check alone was wanted
  options.progress("trial run");
  const auto& rates = options.rates_hz.empty() ? benchmark.rates_hz : options.rates_hz;
  box.run(run_options(options, rates.empty() ? 10 : rates.front(), 1), sut);
  measure(result, box, sut, rates, options, benchmark.upper_hz);
  if (options.tracer != "off") {
    sut.stop();
    if (recording) recording->stop();
    add_grey(result,
             recording ? trace::read_ctf(folder.path() + "/ctf") : trace::read_text_trace(trace_file));
    return result;
  }
  if (auto ended = sut.ended()) result.invalid.push_back("the system under test died: " + *ended);
  return result;
}

SessionResult run_graph_session(const GraphSpec& graph, std::vector<Stream> streams,
                                const SessionOptions& options) {
  SessionResult result{
      .id = graph.id.empty() ? "graph" : graph.id, .slot = "external", .executor = graph.executor};
  const WorkFolder folder(options.folder);
  ros::Context context(options.context);
  options.progress("starting the graph");
  Sut sut = graph.command.empty() && graph.nodes.empty()
                ? Sut::external()
                : Sut::graph(graph, options.context.domain_id, folder.path());
  BlackBox box(context, std::move(streams), graph.outputs);
  box.wait_ready(sut, kGraphLimit);
  result.check = {.passed = true, .what = "none: the harness does not know what this graph should answer"};
  options.progress("trial run");
  const std::vector<double> rates = options.rates_hz.empty() ? std::vector<double>{30} : options.rates_hz;
  box.run(run_options(options, rates.front(), 1), sut);
  measure(result, box, sut, rates, options, 2000);
  if (auto ended = sut.ended()) result.invalid.push_back("the system under test died: " + *ended);
  return result;
}

Json to_json(const SessionResult& result) {
  Json document{{"schema", "ballast.robot.result/1"},
                {"id", result.id},
                {"implementation", result.slot},
                {"executor", result.executor},
                {"type", "black"},
                {"input", result.input},
                {"synthetic", result.synthetic},
                {"valid", result.valid()},
                {"invalid", result.invalid},
                {"check",
                 {{"passed", result.check.passed},
                  {"what", result.check.what},
                  {"value", result.check.value},
                  {"limit", result.check.limit}}},
                {"rates", Json::array()}};
  for (const auto& rate : result.rates) {
    Json runs = Json::array();
    for (const auto& run : rate.runs) {
      Json item = to_json(run.analysis());
      item["resources"] = to_json(run.resources);
      item["energy"] = to_json(run.energy);
      item["invalid"] = run.invalid;
      runs.push_back(std::move(item));
    }
    document["rates"].push_back({{"rate_hz", rate.rate_hz},
                                 {"valid_runs", rate.valid},
                                 {"median_ms", concluded_json(rate.median_ms)},
                                 {"mean_ms", concluded_json(rate.mean_ms)},
                                 {"p99_ms", concluded_json(rate.p99_ms)},
                                 {"max_ms", concluded_json(rate.max_ms)},
                                 {"loss_percent", concluded_json(rate.loss_percent)},
                                 {"throughput_hz", concluded_json(rate.throughput_hz)},
                                 {"runs", runs}});
  }
  if (result.grey) document["grey"] = *result.grey;
  if (result.grey_black)
    document["grey_black"] = {{"messages", result.grey_black->both},
                              {"negative", result.grey_black->negative},
                              {"grey_median_ms", result.grey_black->grey_median_ms},
                              {"black_median_ms", result.grey_black->black_median_ms},
                              {"ratio", result.grey_black->ratio}};
  if (result.peak) {
    Json probes = Json::array();
    for (const auto& probe : result.peak->probes)
      probes.push_back({{"rate_hz", probe.rate_hz},
                        {"loss_percent", probe.loss_percent},
                        {"send_rate_hz", probe.send_rate_hz},
                        {"receive_rate_hz", probe.receive_rate_hz},
                        {"median_ms", probe.median_ms}});
    document["peak"] = {{"hz", result.peak->hz},
                        {"confirmed", result.peak->confirmed},
                        {"at_bound", result.peak->at_bound},
                        {"generator_limited", result.peak->generator_limited},
                        {"note", result.peak->note},
                        {"probes", probes}};
  }
  return document;
}

}  // namespace ballast::robot
