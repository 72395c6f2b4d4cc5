// `ballast robot run ID...`: black-box measurement of benchmarks of the set.
#include <fmt/format.h>

#include <ctime>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/robot/benchmarks/session.h"
#include "ballast/robot/results/exchange.h"
#include "ballast/robot/results/fingerprint.h"
#include "ballast/robot/verbs/run_graph.h"
#include "ballast/robot/verbs/show.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

struct RunVerbOptions {
  std::vector<std::string> ids;
  std::vector<std::string> slots;
  std::vector<std::string> rates;
  std::string arrival = "periodic", playback = "sweeping", executor, folder, tracer = "off";
  int iterations = 5;
  double seconds = 5;
  bool compat = false, quick = false;
  std::string type = "black", transport = "intra", format = "json", hardware;
  GraphRunOptions graph;
  std::vector<std::string> thresholds;
};

/// ID-IMPL.json as we write it, and the forms of others when they are asked for.
void write_result(const RunVerbOptions& options, const SessionResult& result, const Json& document,
                  const std::string& category) {
  if (options.folder.empty()) return;
  const std::string stem = options.folder + "/" + result.id + "-" + result.slot;
  std::filesystem::create_directories(options.folder);
  write_file(stem + ".json", document.dump(2) + "\n");
  if (options.format == "r2b") write_file(stem + ".r2b.json", to_r2b(result).dump(2) + "\n");
  if (options.format == "robotperf") {
    const Json machine = fingerprint();
    const std::time_t now = std::time(nullptr);
    char date[16];
    std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
    const std::string hardware = options.hardware.empty()
                                     ? machine.value("cpu", machine.value("machine", "unknown"))
                                     : options.hardware;
    write_file(stem + ".yaml", to_yaml(to_robotperf(result, hardware, category, date)));
  }
}

/// "30" or "peak".
void set_rates(const std::vector<std::string>& words, SessionOptions& session) {
  for (const auto& word : words) {
    if (word == "peak") {
      session.peak = true;
      continue;
    }
    std::size_t used = 0;
    double rate = 0;
    try {
      rate = std::stod(word, &used);
    } catch (const std::exception&) {
    }
    if (used != word.size() || !(rate > 0))
      throw InvalidInput("--rates", word, "rates above 0 in Hz, or peak");
    session.rates_hz.push_back(rate);
  }
}

/// "a1.p99_ms>20" over the results: whether it holds for any implementation.
bool exceeded(const std::string& threshold, const std::vector<SessionResult>& results) {
  const auto dot = threshold.find('.'), mark = threshold.find_first_of("<>");
  if (dot == std::string::npos || mark == std::string::npos || mark < dot)
    throw InvalidInput("--fail-if", threshold, "ID.METRIC>VALUE or ID.METRIC<VALUE, such as a1.p99_ms>20");
  const std::string id = threshold.substr(0, dot), metric = threshold.substr(dot + 1, mark - dot - 1);
  const double limit = std::strtod(threshold.c_str() + mark + 1, nullptr);
  cli::require_one_of(
      "metric of --fail-if", metric,
      {"median_ms", "mean_ms", "p99_ms", "max_ms", "loss_percent", "throughput_hz", "peak_hz"});
  for (const auto& result : results) {
    if (result.id != id) continue;
    std::vector<double> values;
    for (const auto& rate : result.rates) {
      if (metric == "median_ms") values.push_back(rate.median_ms.value);
      if (metric == "mean_ms") values.push_back(rate.mean_ms.value);
      if (metric == "p99_ms") values.push_back(rate.p99_ms.value);
      if (metric == "max_ms") values.push_back(rate.max_ms.value);
      if (metric == "loss_percent") values.push_back(rate.loss_percent.value);
      if (metric == "throughput_hz") values.push_back(rate.throughput_hz.value);
    }
    if (metric == "peak_hz" && result.peak) values.push_back(result.peak->hz);
    for (const double value : values)
      if (threshold[mark] == '>' ? value > limit : value < limit) return true;
  }
  return false;
}

}  // namespace

void add_run(cli::Program& program) {
  auto options = std::make_shared<RunVerbOptions>();
  auto verb = program.verb(
      "run", "measures benchmarks: latency, throughput, loss, CPU, memory",
      {"ballast robot run a1 --impl reference,fused --rates 30,peak -o results",
       "ballast robot run a2 a5 --iterations 3 --fail-if 'a2.p99_ms>20'",
       "ballast robot run --graph mine.yaml --sut-cmd 'ros2 launch my_pkg mine.launch.py' --bag drive"});
  const auto domain = add_domain_flags(verb);
  verb->add_option("ids", options->ids, "benchmarks (`ballast robot list`)");
  verb->add_option("--graph", options->graph.graph_file,
                   "a graph file in place of benchmarks: any ROS 2 system");
  verb->add_option("--sut-cmd", options->graph.command,
                   "what starts the system of --graph (default: the file says)");
  verb->add_option("--bag", options->graph.bag,
                   "input of --graph (default: generated messages of its types)");
  verb->add_option("--map", options->graph.maps, "BAG_TOPIC:=GRAPH_TOPIC");
  verb->add_option("--buffer", options->graph.buffer, "messages of the bag kept a topic")
      ->check(CLI::Range(1, 100000));
  verb->add_option("--type", options->type, "black, grey or both methods in one run");
  verb->add_option("--transport", options->transport, "between the graph's own nodes: intra or cyclone");
  verb->add_option("--format", options->format,
                   "beside our JSON: r2b (ros2_benchmark) or robotperf (benchmark.yaml)");
  verb->add_option("--hardware", options->hardware, "name of this machine in results of --format robotperf");
  verb->add_option("--impl", options->slots, "implementations (default: the reference)")->delimiter(',');
  verb->add_option("--rates", options->rates, "Hz, or peak for the search (default: the published ones)")
      ->delimiter(',');
  verb->add_option("--iterations", options->iterations, "runs at each rate")->check(CLI::Range(1, 1000));
  verb->add_option("--seconds", options->seconds, "of one run")->check(CLI::Range(0.1, 3600.0));
  verb->add_option("--arrival", options->arrival, "periodic, poisson or burst");
  verb->add_option("--playback", options->playback, "looping or sweeping");
  verb->add_option("--executor", options->executor, "single, static, multi(N), prioritized or events");
  verb->add_option("--tracer", options->tracer,
                   "internal or lttng: also measure inside the graph (grey box) in the same run");
  verb->add_flag("--compat", options->compat, "search and conclude as ros2_benchmark does");
  verb->add_flag("--quick", options->quick, "small input, one run of two seconds");
  verb->add_option("-o,--output", options->folder, "folder for ID-IMPL.json and the logs of the systems");
  verb->add_option("--fail-if", options->thresholds, "exit code 4 when a threshold is passed: a1.p99_ms>20");
  verb.run([options, domain](const cli::Common& common) {
    cli::catch_interrupts();
    SessionOptions session;
    set_rates(options->rates, session);
    session.compat = options->compat;
    session.iterations = options->quick ? 1 : options->iterations;
    session.seconds = options->quick ? 2 : options->seconds;
    session.size = options->quick ? Size::test : Size::bench;
    session.arrival.kind = arrival_from_string(options->arrival);
    session.playback = playback_from_string(options->playback);
    session.executor = options->executor;
    cli::require_one_of("tracer", options->tracer, {"off", "internal", "lttng"});
    cli::require_one_of("type", options->type, {"black", "grey", "both"});
    cli::require_one_of("transport", options->transport, {"intra", "cyclone"});
    cli::require_one_of("format", options->format, {"json", "r2b", "robotperf"});
    if (options->ids.empty() == options->graph.graph_file.empty())
      throw InvalidInput("run needs either benchmarks (`ballast robot list`) or --graph FILE.yaml");
    if (options->graph.graph_file.empty() && !options->graph.command.empty())
      throw InvalidInput("--sut-cmd starts the system of a --graph FILE.yaml: give that too");
    if (options->format != "json" && options->folder.empty())
      throw InvalidInput("--format " + options->format + " writes files: give -o FOLDER");
    session.tracer = options->tracer;
    if (options->type != "black" && session.tracer == "off") session.tracer = "internal";
    if (!options->graph.graph_file.empty() && session.tracer != "off")
      throw InvalidInput(
          "a system that another program starts is traced by `ballast robot trace run`, not by run --graph");
    session.through_dds = options->transport == "cyclone";
    session.seed = common.seed;
    session.context = domain->options();
    std::optional<ros::PrivateDomain> own;
    if (domain->domain < 0 && !std::getenv("ROS_DOMAIN_ID")) session.context.domain_id = own.emplace().id();

    std::vector<SessionResult> results;
    Json documents = Json::array();
    if (!options->graph.graph_file.empty()) {
      session.folder = options->folder;
      if (common.for_people()) session.progress = [&](const std::string& state) { show_progress(state); };
      results.push_back(run_graph_file(options->graph, session));
      if (common.for_people()) show_progress("");
      documents.push_back(to_json(results.back()));
      write_result(*options, results.back(), documents.back(), "external");
    }
    for (const auto& id : options->ids) {
      const Benchmark& benchmark = find_benchmark(id);
      auto slots = options->slots;
      if (slots.empty()) slots = {benchmark.slots.front()};
      for (const auto& slot : slots) {
        session.slot = slot;
        const std::string stem = options->folder + "/" + id + "-" + slot.substr(0, slot.find(':'));
        session.folder = options->folder.empty() ? "" : stem;
        if (common.for_people())
          session.progress = [&](const std::string& state) { show_progress(id + " " + slot + ": " + state); };
        results.push_back(run_session(benchmark, session));
        if (common.for_people()) show_progress("");
        documents.push_back(to_json(results.back()));
        write_result(*options, results.back(), documents.back(), benchmark.category);
      }
    }
    if (common.for_people()) {
      result_table(results).print(stdout);
      if (session.tracer != "off") grey_table(results).print(stdout);
    }
    common.write_json(
        {{"schema", "ballast.robot.run/1"}, {"fingerprint", fingerprint()}, {"results", documents}});
    Report report("Benchmarks of robotics computing");
    fill_section(report.section("Black-box measurement"), results, common.command_line);
    common.write_report(report);
    for (const auto& threshold : options->thresholds)
      if (exceeded(threshold, results)) {
        fmt::print(stderr, "ballast robot: threshold passed: {}\n", threshold);
        throw cli::Exit{4};
      }
    for (const auto& result : results)
      if (!result.valid()) {
        fmt::print(stderr, "ballast robot: {} {}: {}\n", result.id, result.slot, result.invalid.front());
        throw cli::Exit{3};
      }
  });
}

}  // namespace ballast::robot
