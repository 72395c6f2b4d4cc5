// `ballast graph graphalytics DIR`: runs the algorithms that LDBC's .properties files name, with their
// parameters, and judges the results by LDBC's rules against the reference outputs beside them.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/graph/formats/ldbc.h"
#include "ballast/graph/run.h"
#include "ballast/graph/verbs/machines.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct GraphalyticsOptions {
  std::string folder;
  std::vector<std::string> algorithms;
  MachineOptions machines;
  EngineOptions engine;
  std::string output;
};

std::vector<std::string> property_files(const std::string& path) {
  if (path.ends_with(".properties")) return {path};
  std::error_code failed;
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, failed)) {
    if (entry.path().extension() == ".properties") files.push_back(entry.path().string());
  }
  if (failed) throw Unavailable(fmt::format("{}: cannot be listed ({})", path, failed.message()));
  if (files.empty()) throw InvalidInput(fmt::format("{}: no .properties file is in this folder", path));
  std::sort(files.begin(), files.end());
  return files;
}

VertexId position(const EdgeList& list, const LdbcProperties& properties, const std::string& key) {
  const double name = properties.number(key);
  for (VertexId v = 0; v < list.vertices; ++v) {
    if (static_cast<double>(list.name(v)) == name) return v;
  }
  throw InvalidInput(fmt::format("{}: '{}' is {}, which is no vertex", properties.file, key, name));
}

// Our name and parameters of LDBC's algorithm.
Job job_of(const std::string& algorithm, const EdgeList& list, const LdbcProperties& p) {
  Job job;
  job.algorithm = algorithm == "wcc" ? "cc" : algorithm;
  if (algorithm == "bfs" || algorithm == "sssp")
    job.parameters.source = position(list, p, algorithm + ".source-vertex");
  if (algorithm == "cdlp") job.parameters.iterations = static_cast<int>(p.number("cdlp.max-iterations"));
  if (algorithm == "pr") {
    job.parameters.rank = {.damping = p.number("pr.damping-factor"),
                           .iterations = static_cast<int>(p.number("pr.num-iterations"))};
  }
  return job;
}

std::string upper(std::string word) {
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) { return std::toupper(c); });
  return word;
}

void run_graphalytics(const GraphalyticsOptions& options, const cli::Common& common) {
  for (const auto& name : options.algorithms)
    cli::require_one_of("--algo", name, {"bfs", "wcc", "pr", "cdlp", "lcc", "sssp"});
  Table table("LDBC Graphalytics",
              {"graph", "algorithm", "result", "vertices", "run (measured)", "busiest machine (counted)"});
  Json rows = Json::array();
  bool right = true, first = true;
  for (const std::string& file : property_files(options.folder)) {
    const auto [list, properties] = read_ldbc(file);
    const auto source = source_of(list);
    for (const std::string& algorithm : properties.algorithms) {
      if (!options.algorithms.empty() && std::find(options.algorithms.begin(), options.algorithms.end(),
                                                   algorithm) == options.algorithms.end())
        continue;
      if (algorithm == "sssp") require_nonnegative_weights(list, properties.edge_file);
      Job job = job_of(algorithm, list, properties);
      job.engine = dist_options(options.engine, common.seed);
      job.cluster = cluster_options(options.machines, common.seed);
      JobReport report = run_job(*source, job);
      first = report.is_first;
      if (!first) continue;
      use_names(report.result, list);
      const std::string stem = file.substr(0, file.size() - std::string_view(".properties").size());
      const std::string reference = stem + "-" + upper(algorithm);
      std::string verdict_text = "no reference beside it";
      std::uint64_t compared = list.vertices;
      if (std::filesystem::exists(reference)) {
        const Verdict verdict = compare(algorithm, read_result(reference), named(report.result, list));
        verdict_text = verdict.same ? "right" : "WRONG: " + verdict.first;
        compared = verdict.compared;
        right = right && verdict.same;
      }
      if (!options.output.empty())
        write_result(report.result, list, options.output + "/" + properties.name + "-" + upper(algorithm));
      table.row({properties.name, algorithm, verdict_text, std::to_string(compared),
                 format_seconds(report.run_s), to_string(Bytes{report.busiest_bytes})});
      Json row{{"graph", properties.name},
               {"algorithm", algorithm},
               {"result", verdict_text},
               {"vertices", compared}};
      row.update(report.to_json());
      rows.push_back(row);
    }
  }
  if (!first) return;
  if (common.for_people()) table.print(stdout);
  common.write_json({{"right", right}, {"rows", rows}});
  if (!right) throw cli::Exit{static_cast<int>(ExitCode::failed)};
}

}  // namespace

void add_graphalytics(cli::Program& program) {
  auto options = std::make_shared<GraphalyticsOptions>();
  auto verb =
      program.verb("graphalytics", "run LDBC Graphalytics' algorithms on its graphs and judge the results",
                   {"ballast graph graphalytics datasets/example --machines 4",
                    "ballast graph graphalytics graph500-22.properties --algo bfs,pr -o results"});
  verb->add_option("DIR", options->folder, "a .properties file or a folder of them")->required();
  verb->add_option("--algo", options->algorithms, "only these: bfs, wcc, pr, cdlp, lcc, sssp")
      ->delimiter(',');
  verb->add_option("-o,--output", options->output, "folder for result files, GRAPH-ALGORITHM each");
  add_machines(verb.app(), options->machines);
  add_engine(verb.app(), options->engine);
  verb.run([options](const cli::Common& common) { run_graphalytics(*options, common); });
}

}  // namespace ballast::graph
