// `ballast robot audit|compare|import|report|doctor`: what is done with results.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/report.h"
#include "ballast/robot/results/compare.h"
#include "ballast/robot/results/fingerprint.h"
#include "ballast/robot/results/published.h"
#include "ballast/robot/verbs/verbs.h"

namespace ballast::robot {
namespace {

/// A polygon a (hardware, type) over the benchmarks of a category; gaps where there is no result.
void add_radars(Section& section, const std::vector<PublishedSet>& sets) {
  const std::map<char, const char*> categories{
      {'a', "perception"}, {'b', "localization"}, {'c', "control"}, {'d', "manipulation"}};
  for (const auto& [letter, category] : categories) {
    for (const char* metric : {"latency", "throughput", "power"}) {
      std::vector<std::string> axes;
      std::map<std::string, std::map<std::string, double>> polygons;
      for (const auto& set : sets) {
        if (set.id.empty() || set.id[0] != letter) continue;
        axes.push_back(set.id);
        for (const auto& result : set.results) {
          if (result.metric != metric || !result.value || *result.value <= 0) continue;
          // The latest result of a hardware stands for it: files are in order of time within each hardware.
          polygons[result.hardware + " (" + result.type + ")"][set.id] = *result.value;
        }
      }
      std::vector<std::pair<std::string, std::map<std::string, double>>> largest(polygons.begin(),
                                                                                 polygons.end());
      std::stable_sort(largest.begin(), largest.end(),
                       [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
      if (largest.size() > 6) largest.resize(6);
      if (axes.size() < 3 || largest.empty()) continue;
      Chart chart{
          .kind = Chart::Kind::radar,
          .title = fmt::format("{}: {} (imported, relative to the best of each axis; outward is better)",
                               category, metric),
          .labels = axes};
      for (const auto& [name, values] : largest) {
        Series series{name, {}, {}};
        for (const auto& axis : axes) {
          double best = 0;
          for (const auto& [unused, other] : largest) {
            const auto found = other.find(axis);
            if (found == other.end()) continue;
            if (best == 0) best = found->second;
            best = std::string(metric) == "throughput" ? std::max(best, found->second)
                                                       : std::min(best, found->second);
          }
          const auto found = values.find(axis);
          series.ys.push_back(found == values.end()                 ? std::nan("")
                              : std::string(metric) == "throughput" ? found->second / best
                                                                    : best / found->second);
        }
        chart.series.push_back(std::move(series));
      }
      section.chart(std::move(chart));
    }
  }
}

Json to_json(const PublishedResult& result) {
  Json item{{"benchmark", result.benchmark},
            {"hardware", result.hardware},
            {"category", result.category},
            {"metric", result.metric},
            {"unit", result.unit},
            {"type", result.type},
            {"date", result.date},
            {"value", nullptr},
            {"basis", "imported"}};
  if (result.value) item["value"] = *result.value;
  const auto& stated = result.stated;
  for (const auto& [name, value] : {std::pair{"mean", stated.mean},
                                    {"rms", stated.rms},
                                    {"max", stated.max},
                                    {"min", stated.min},
                                    {"median", stated.median},
                                    {"loss_percent", stated.loss_percent},
                                    {"bounded_hz", stated.bounded_hz}})
    if (value) item["stated"][name] = *value;
  return item;
}

void add_import(cli::Program& program) {
  struct Options {
    std::string path, benchmark, output;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("import", "reads result files of RobotPerf (benchmark.yaml) and ros2_benchmark (JSON)",
                   {"ballast robot import ../benchmarks --report published.html",
                    "ballast robot import a1_perception_2nodes.yaml --json a1.json"});
  verb->add_option("path", options->path, "file, or folder of .yaml and .json files")->required();
  verb->add_option("--benchmark", options->benchmark, "only this id");
  verb.run([options](const cli::Common& common) {
    auto sets = read_published(options->path);
    if (!options->benchmark.empty())
      std::erase_if(sets, [&](const PublishedSet& set) { return set.id != options->benchmark; });
    Table table("Published results (imported: measured by others, never on one axis with ours)",
                {"id", "name", "results", "hardware", "best black latency ms", "on"});
    Json results = Json::array();
    for (const auto& set : sets) {
      std::set<std::string> hardware;
      const PublishedResult* best = nullptr;
      for (const auto& result : set.results) {
        hardware.insert(result.hardware);
        results.push_back(to_json(result));
        if (result.metric == "latency" && result.type == "black" && result.value && *result.value > 0 &&
            (!best || *result.value < *best->value))
          best = &result;
      }
      table.row({set.id, set.name, std::to_string(set.results.size()), std::to_string(hardware.size()),
                 best ? fmt::format("{:.2f}", *best->value) : "-", best ? best->hardware : "-"});
    }
    if (common.for_people()) table.print(stdout);
    common.write_json({{"schema", "ballast.robot.import/1"}, {"results", results}});
    Report report("RobotPerf: published results");
    auto& section = report.section("Imported results");
    section.table(table);
    add_radars(section, sets);
    section.command(common.command_line);
    common.write_report(report);
  });
}

void add_audit(cli::Program& program) {
  auto paths = std::make_shared<std::vector<std::string>>();
  auto summary = std::make_shared<bool>(false);
  auto verb =
      program.verb("audit", "checks result sets, ours or RobotPerf's, against the suite's own rules",
                   {"ballast robot audit results.json", "ballast robot audit ../benchmarks --summary"});
  verb->add_option("paths", *paths, ".json of `run`, benchmark.yaml files or folders of them")->required();
  verb->add_flag("--summary", *summary, "only how often each rule is broken");
  verb.run([paths, summary](const cli::Common& common) {
    std::vector<Finding> findings;
    std::size_t results = 0;
    for (const auto& path : *paths) {
      std::vector<Finding> more;
      if (path.ends_with(".json")) {
        const Json document = read_json(path);
        results += document.contains("results") ? document["results"].size() : 1;
        more = audit_document(document, path);
      } else {
        const auto sets = read_published(path);
        for (const auto& set : sets) results += set.results.size();
        more = audit(sets);
      }
      findings.insert(findings.end(), more.begin(), more.end());
    }
    std::map<std::string, std::size_t> counts;
    for (const auto& finding : findings) ++counts[finding.rule];
    Table rules(fmt::format("{} results, {} breaches", results, findings.size()),
                {"rule", "breaches", "what it asks for"});
    for (const auto& [rule, count] : counts) {
      const auto text = audit_rules().find(rule);
      rules.row({rule, std::to_string(count), text == audit_rules().end() ? "" : text->second});
    }
    Table table("Breaches", {"rule", "where", "what"});
    Json list = Json::array();
    for (const auto& finding : findings) {
      table.row({finding.rule, finding.where, finding.what});
      list.push_back({{"rule", finding.rule}, {"where", finding.where}, {"what", finding.what}});
    }
    if (common.for_people()) {
      if (!*summary) table.print(stdout);
      rules.print(stdout);
    }
    common.write_json(
        {{"schema", "ballast.robot.audit/1"}, {"results", results}, {"counts", counts}, {"findings", list}});
    if (!findings.empty()) throw cli::Exit{1};
  });
}

void add_compare(cli::Program& program) {
  auto paths = std::make_shared<std::vector<std::string>>();
  auto verb = program.verb(
      "compare", "two results of `run --json`: ratios with intervals, and a verdict",
      {"ballast robot compare before.json after.json", "ballast robot compare a.json b.json --json"});
  verb->add_option("results", *paths, "two files")->required()->expected(2);
  verb.run([paths](const cli::Common& common) {
    std::vector<std::string> warnings;
    const auto metrics =
        compare_documents(read_json(paths->at(0)), read_json(paths->at(1)), common.seed, warnings);
    const Table table = to_table(metrics);
    for (const auto& warning : warnings) fmt::print(stderr, "ballast robot: warning: {}\n", warning);
    if (common.for_people()) table.print(stdout);
    common.write_json(
        {{"schema", "ballast.robot.compare/1"}, {"table", table.to_json()}, {"warnings", warnings}});
    Report report("Comparison");
    report.section("B against A").table(table).command(common.command_line);
    common.write_report(report);
  });
}

void add_report(cli::Program& program) {
  struct Options {
    std::vector<std::string> paths;
    std::string output;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb("report", "one page of several result sets: tables, distributions, radar plots",
                           {"ballast robot report ours.json -o out.html",
                            "ballast robot report ours.json ../benchmarks -o out.html"});
  verb->add_option("sets", options->paths, ".json of `run`, benchmark.yaml files or folders")->required();
  verb->add_option("-o,--output", options->output, "HTML file")->required();
  verb.run([options](const cli::Common& common) {
    Report report("Benchmarks of robotics computing");
    Section ours("Measured here");
    Table table("Latency from the intended send time (measured), median of runs",
                {"set", "id", "implementation", "Hz", "median ms", "p99 ms", "max ms", "loss %", "out Hz"});
    Chart latency{.kind = Chart::Kind::radar, .title = "Maximum latency, best / own (outward is better)"};
    std::map<std::string, std::map<std::string, double>> polygons;
    std::vector<PublishedSet> published;
    for (const auto& path : options->paths) {
      if (!path.ends_with(".json")) {
        for (auto& set : read_published(path)) published.push_back(std::move(set));
        continue;
      }
      const Json document = read_json(path);
      for (const auto& result : document.at("results")) {
        for (const auto& rate : result.at("rates")) {
          const auto value = [&](const char* name) { return rate.at(name).at("value").get<double>(); };
          table.row({path, result.at("id"), result.at("implementation"),
                     fmt::format("{:g}", rate.at("rate_hz").get<double>()),
                     fmt::format("{:.3f}", value("median_ms")), fmt::format("{:.3f}", value("p99_ms")),
                     fmt::format("{:.3f}", value("max_ms")), fmt::format("{:.2f}", value("loss_percent")),
                     fmt::format("{:.2f}", value("throughput_hz"))});
          polygons[result.at("implementation").get<std::string>()][result.at("id").get<std::string>()] =
              value("max_ms");
        }
      }
    }
    std::set<std::string> axes;
    for (const auto& [unused, values] : polygons)
      for (const auto& [id, value] : values) axes.insert(id);
    if (axes.size() >= 3) {
      latency.labels.assign(axes.begin(), axes.end());
      for (const auto& [name, values] : polygons) {
        Series series{name, {}, {}};
        for (const auto& axis : axes) {
          double best = INFINITY;
          for (const auto& [unused, other] : polygons)
            if (other.contains(axis)) best = std::min(best, other.at(axis));
          series.ys.push_back(values.contains(axis) ? best / values.at(axis) : std::nan(""));
        }
        latency.series.push_back(std::move(series));
      }
    }
    if (!table.rows().empty()) {
      ours.table(table);
      if (!latency.series.empty()) ours.chart(latency);
      report.add(std::move(ours));
    }
    if (!published.empty()) add_radars(report.section("Published by others (imported)"), published);
    report.write_html(options->output);
    if (common.for_people()) fmt::print("{}\n", options->output);
  });
}

void add_doctor(cli::Program& program) {
  auto verb = program.verb("doctor", "what of the machine helps or hinders measuring, and what to change",
                           {"ballast robot doctor", "ballast robot doctor --json"});
  verb.run([](const cli::Common& common) {
    Table table("This machine", {"what", "", "found", "advice"});
    Json list = Json::array();
    for (const auto& item : diagnose()) {
      table.row({item.what, item.good ? "good" : "-", item.found, item.advice});
      list.push_back(
          {{"what", item.what}, {"good", item.good}, {"found", item.found}, {"advice", item.advice}});
    }
    if (common.for_people()) table.print(stdout);
    common.write_json(
        {{"schema", "ballast.robot.doctor/1"}, {"fingerprint", fingerprint()}, {"diagnoses", list}});
  });
}

}  // namespace

void add_results(cli::Program& program) {
  add_import(program);
  add_audit(program);
  add_compare(program);
  add_report(program);
  add_doctor(program);
}

}  // namespace ballast::robot
