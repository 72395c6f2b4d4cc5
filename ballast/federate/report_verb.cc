// report: the strategies of a `sim --out` folder side by side: table, accuracy over time, who was on which
// model.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

namespace fs = std::filesystem;

// What assignment.csv holds, as a log: enough for accuracy, the map and the Rand index.
RunLog read_run(const std::string& folder) {
  const std::string path = folder + "/assignment.csv";
  std::istringstream lines(read_file(path));
  RunLog log{.strategy = fs::path(folder).filename().string(),
             .data = {},
             .prequential = {},
             .serving = {},
             .models = {},
             .events = {},
             .ledger = {},
             .traffic = {},
             .pattern = ConceptPattern::stationary(1, 1),
             .parameters = {}};
  std::vector<std::vector<int>> concepts;
  std::string line;
  std::getline(lines, line);
  if (line != "step,client,concept,slot,samples,correct")
    throw InvalidInput::at(path, 1, fmt::format("header '{}'", line),
                           "step,client,concept,slot,samples,correct");
  for (std::uint64_t number = 2; std::getline(lines, line); ++number) {
    std::size_t step = 0, client = 0;
    int truth = 0, slot = 0;
    ScoreStat stat;
    char comma = ',';
    std::istringstream row(line);
    unsigned long long n = 0, right = 0;
    if (!(row >> step >> comma >> client >> comma >> truth >> comma >> slot >> comma >> n >> comma >>
          right) ||
        step > 100'000 || step > log.serving.size() || truth < 0 || slot < 0 || right > n)
      throw InvalidInput::at(path, number, "no row of an assignment", "six whole numbers, steps ascending");
    stat.n = n;
    stat.correct = right;
    if (step == log.serving.size()) {
      log.serving.emplace_back();
      log.prequential.emplace_back();
      concepts.emplace_back();
    }
    if (client != log.serving[step].size())
      throw InvalidInput::at(path, number, fmt::format("client {}", client), "clients ascending from 0");
    log.serving[step].push_back(slot);
    log.prequential[step].push_back(stat);
    concepts[step].push_back(truth);
  }
  if (concepts.empty()) throw InvalidInput(fmt::format("{}: no rows", path));
  for (std::size_t step = 0; step < log.serving.size(); ++step) {
    if (log.serving[step].size() != log.serving[0].size())
      throw InvalidInput(fmt::format("{}: step {} has {} clients, step 0 has {}", path, step,
                                     log.serving[step].size(), log.serving[0].size()));
    log.models.push_back(
        static_cast<int>(std::set<SlotId>(log.serving[step].begin(), log.serving[step].end()).size()));
  }
  concepts.push_back(concepts.back());
  log.pattern = ConceptPattern(concepts);
  return log;
}

}  // namespace

void add_report(cli::Program& program) {
  auto folder = std::make_shared<std::string>();
  auto verb =
      program.verb("report", "the strategies of a run folder side by side",
                   {"ballast federate report runs", "ballast federate report runs --report runs.html"});
  verb->add_option("folder", *folder, "what `sim --out` wrote: a folder a strategy")->required();
  verb.run([folder](const cli::Common& common) {
    if (!fs::is_directory(*folder)) throw Unavailable(fmt::format("{}: no such folder", *folder));
    std::vector<std::string> paths;
    for (const auto& entry : fs::directory_iterator(*folder)) {
      if (fs::exists(entry.path() / "assignment.csv")) paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) throw Unavailable(fmt::format("{}: no folder with an assignment.csv in it", *folder));
    std::vector<RunLog> logs;
    for (const std::string& path : paths) logs.push_back(read_run(path));
    Table table("Runs (measured)",
                {"strategy", "accuracy %", "with drifting steps %", "models", "Rand index"});
    Chart accuracy{.title = "Accuracy over time", .x_label = "step", .y_label = "accuracy"},
        models{.title = "Models over time", .x_label = "step", .y_label = "models"};
    Json document{{"schema", "ballast.federate.report/1"}, {"runs", Json::array()}};
    std::vector<const RunLog*> shown;
    for (const RunLog& log : logs) {
      table.row({log.strategy, fmt::format("{:.2f}", 100 * log.accuracy()),
                 fmt::format("{:.2f}", 100 * log.accuracy(true)), fmt::format("{:.2f}", log.mean_models()),
                 fmt::format("{:.3f}", log.rand_index())});
      Series right{.name = log.strategy, .xs = {}, .ys = {}}, count = right;
      for (std::size_t step = 0; step < log.serving.size(); ++step) {
        right.xs.push_back(static_cast<double>(step));
        right.ys.push_back(log.accuracy_at(static_cast<int>(step)));
        count.xs.push_back(static_cast<double>(step));
        count.ys.push_back(log.models[step]);
      }
      accuracy.series.push_back(std::move(right));
      models.series.push_back(std::move(count));
      document["runs"].push_back({{"strategy", log.strategy},
                                  {"accuracy", log.accuracy()},
                                  {"accuracy_inclusive", log.accuracy(true)},
                                  {"mean_models", log.mean_models()},
                                  {"rand_index", log.rand_index()}});
      shown.push_back(&log);
    }
    if (common.for_people()) table.print(stdout);
    common.write_json(document);
    Report report("Federated learning under drift: " + *folder);
    Section& section = report.section("federate report");
    section.table(table).chart(accuracy).chart(models);
    section.figure(
        {.title = "Which model serves whom", .svg = assignment_map(shown), .basis = Basis::measured});
    section.command(common.command_line);
    common.write_report(report);
  });
}

}  // namespace ballast::federate
