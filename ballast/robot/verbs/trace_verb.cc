// `ballast robot trace run|start|stop` and `ballast robot analyze`.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/robot/harness/energy.h"
#include "ballast/robot/trace/ctf_reader.h"
#include "ballast/robot/trace/message_flow.h"
#include "ballast/robot/trace/session.h"
#include "ballast/robot/trace/target_chain.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

struct TraceOptions {
  std::string action, output, name = "ballast";
  std::vector<std::string> command;
};

void trace_command(const TraceOptions& options) {
  if (options.command.empty()) throw InvalidInput("trace run needs the command behind --");
  if (std::filesystem::exists(options.output)) throw InvalidInput(options.output + " exists already");
  trace::LttngSession session(options.output);
  const pid_t child = ::fork();
  if (child == 0) {
    std::vector<char*> words;
    for (const auto& word : options.command) words.push_back(const_cast<char*>(word.c_str()));
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    fmt::print(stderr, "ballast robot: {} cannot be started\n", options.command[0]);
    ::_exit(127);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    // Ctrl-C reaches the child too: the trace of what it did is kept.
  }
  session.stop();
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  fmt::print(stderr, "traced into {} (the command ended with {})\n", options.output, code);
  if (code != 0) throw cli::Exit{1};
}

struct AnalyzeOptions {
  std::string path, chain_file, meter;
  std::vector<std::string> operations;
};

/// One tracepoint a line, provider:name; # begins a comment.
std::vector<std::string> read_chain(const std::string& file) {
  std::vector<std::string> points;
  std::istringstream lines(read_file(file));
  std::uint64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    const auto first = line.find_first_not_of(" \t\r"), last = line.find_last_not_of(" \t\r");
    if (first == std::string::npos) continue;
    line = line.substr(first, last - first + 1);
    if (line.find(':') == std::string::npos || line.find(' ') != std::string::npos)
      throw InvalidInput::at(file, number, "'" + line + "' is no tracepoint", "provider:name");
    points.push_back(line);
  }
  if (points.size() < 2) throw InvalidInput(file + ": a chain needs two tracepoints or more");
  return points;
}

Table segment_table(const trace::ChainAnalysis& chain) {
  const auto summary = trace::summarise_chain(chain);
  Table table(
      fmt::format("{} messages: {} complete, {} incomplete, {} reordered, {} duplicate, {} events discarded",
                  chain.inputs, chain.complete.size(), chain.incomplete, chain.reordered, chain.duplicates,
                  chain.discarded),
      {"from", "to", "median ms", "p99 ms", "max ms", "first missing here"});
  const auto row = [&](const std::string& from, const std::string& to, const LatencySummary& latency,
                       const std::string& missing) {
    table.row({from, to, fmt::format("{:.4f}", latency.median_ms), fmt::format("{:.4f}", latency.p99_ms),
               fmt::format("{:.4f}", latency.max_ms), missing});
  };
  for (std::size_t i = 0; i < summary.segments.size(); ++i)
    row(chain.points[i], chain.points[i + 1], summary.segments[i],
        i + 1 < chain.missing.size() ? std::to_string(chain.missing[i + 1]) : "");
  row("whole chain", "", summary.total, "");
  return table;
}

Table flow_table(const Json& flow) {
  Table table(fmt::format("Ways of messages through the graph; critical: {}",
                          flow["critical_path"].is_null() ? "-" : flow["critical_path"].get<std::string>()),
              {"nodes", "messages", "median ms", "max ms", "transport %", "waiting %", "execution %"});
  for (const auto& path : flow["paths"]) {
    const auto percent = [&](const char* part) {
      return fmt::format("{:.0f}", path[part].get<double>() * 100);
    };
    table.row({path["nodes"].get<std::string>(), std::to_string(path["messages"].get<std::size_t>()),
               fmt::format("{:.3f}", path["total"]["median_ms"].get<double>()),
               fmt::format("{:.3f}", path["total"]["max_ms"].get<double>()), percent("transport_share"),
               percent("waiting_share"), percent("execution_share")});
  }
  return table;
}

void analyze(const AnalyzeOptions& options, const cli::Common& common) {
  const auto events = std::filesystem::is_directory(options.path) ? trace::read_ctf(options.path)
                                                                  : trace::read_text_trace(options.path);
  std::vector<std::string> points;
  if (!options.chain_file.empty()) {
    points = read_chain(options.chain_file);
  } else {
    const auto operations = options.operations.empty() ? trace::operations_in(events) : options.operations;
    if (!operations.empty()) points = trace::chain_of_operations(operations);
  }
  Json document{
      {"schema", "ballast.robot.trace/1"}, {"events", events.events.size()}, {"discarded", events.discarded}};
  const auto flow = trace::to_json(trace::analyse_flow(events));
  document["flow"] = flow;
  Report report("A trace of a ROS 2 graph");
  auto& section = report.section(options.path);
  if (!points.empty()) {
    const auto chain = trace::analyse_chain(events, points);
    document["chain"] = trace::to_json(chain);
    const auto table = segment_table(chain);
    if (common.for_people()) table.print(stdout);
    section.table(table);
  }
  if (!flow["paths"].empty()) {
    const auto table = flow_table(flow);
    if (common.for_people()) table.print(stdout);
    section.table(table);
  }
  if (points.empty() && flow["paths"].empty() && common.for_people())
    fmt::print("{} events, but neither operations nor messages between nodes\n", events.events.size());
  if (!options.meter.empty() && !events.events.empty()) {
    // The meter's time starts with the trace.
    const double seconds =
        static_cast<double>(events.events.back().time_ns - events.events.front().time_ns) * 1e-9;
    const double joules = meter_joules(read_file(options.meter), options.meter, 0, seconds);
    document["energy"] = {
        {"provider", "meter"}, {"joules", joules}, {"watts", seconds > 0 ? joules / seconds : 0}};
    if (common.for_people()) fmt::print("{:.3f} J in {:.3f} s by the external meter\n", joules, seconds);
  }
  section.command(common.command_line);
  common.write_json(document);
  common.write_report(report);
  if (!common.trace_file.empty()) write_file(common.trace_file, trace::to_chrome(events).dump() + "\n");
  if (events.discarded > 0) {
    fmt::print(stderr, "ballast robot: the tracer lost {} events: this analysis does not count\n",
               events.discarded);
    throw cli::Exit{3};
  }
}

}  // namespace

void add_trace(cli::Program& program) {
  auto options = std::make_shared<TraceOptions>();
  auto verb = program.verb("trace", "records the tracepoints of ROS 2 programs, ours or anyone's (LTTng)",
                           {"ballast robot trace run -o trace -- ros2 launch my_pkg rectify.launch.py",
                            "ballast robot trace start -o trace && run-things && ballast robot trace stop"});
  verb->add_option("action", options->action, "run, start or stop")->required();
  verb->add_option("-o,--output", options->output, "folder of the new trace (run, start)");
  verb->add_option("--name", options->name, "of the session that start leaves and stop ends");
  verb->add_option("command", options->command, "behind --: what run starts");
  verb.run([options](const cli::Common&) {
    cli::require_one_of("trace action", options->action, {"run", "start", "stop"});
    if (options->action != "stop" && options->output.empty())
      throw InvalidInput("trace " + options->action + " needs -o FOLDER");
    if (options->action == "run") trace_command(*options);
    if (options->action == "start") {
      trace::LttngSession session(std::filesystem::absolute(options->output).string(), options->name);
      session.leave_running();
      fmt::print(stderr, "recording into {}; `ballast robot trace stop` ends it\n", options->output);
    }
    if (options->action == "stop") trace::stop_lttng(options->name);
  });

  auto analysis = std::make_shared<AnalyzeOptions>();
  auto analyze_verb = program.verb(
      "analyze", "stages and message flow of a trace: a CTF folder (also of `ros2 trace`) or our text",
      {"ballast robot analyze trace --chain a1.chain", "ballast robot analyze trace --trace timeline.json"});
  analyze_verb->add_option("path", analysis->path, "trace folder, or the text file of the internal tracer")
      ->required();
  analyze_verb->add_option("--chain", analysis->chain_file,
                           "file with one tracepoint a line, in the order of the way");
  analyze_verb
      ->add_option("--operations", analysis->operations,
                   "chain of these operations (default: all of the trace)")
      ->delimiter(',');
  analyze_verb->add_option("--meter", analysis->meter,
                           "CSV seconds,watts of an external meter, started with the trace");
  analyze_verb.run([analysis](const cli::Common& common) { analyze(*analysis, common); });
}

}  // namespace ballast::robot
