#include "ballast/cli/join_report.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/bench.h"
#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::cli {
namespace {

Section section_of(const Json& document) {
  if (document.is_object() && document.contains("blocks")) return Section::from_json(document);
  if (!document.is_object() || !document.contains("schema"))
    throw InvalidInput(
        "neither a bench document nor a section; accepted: what `bench --json FILE` and `tour --json FILE` "
        "write");
  const Table table = bench_table(document);
  Section section(fmt::format("{} bench {}", document["component"].get<std::string>(),
                              document["suite"].get<std::string>()));
  const Json& machine = document.at("machine");
  section.text(fmt::format("On {} ({} hardware threads; {}), load {}.", machine.at("cpu").get<std::string>(),
                           machine.at("cores").get<int>(), machine.at("isa").get<std::string>(),
                           machine.at("load").get<double>()));
  section.table(table);
  if (const auto chart = ratio_chart(document)) section.chart(*chart);
  section.command(document.at("command").get<std::string>());
  return section;
}

void print_usage() {
  fmt::print(
      "usage: ballast report FILE.json... [--out FILE.html]\n\n"
      "Joins results to one page (default: ballast-report.html): documents that `bench --json FILE` wrote, "
      "of one\n"
      "machine or many, and stops that `tour --json FILE` wrote.\n\n"
      "Examples:\n  ballast report kv.json graph.json\n  ballast report old.json new.json --out "
      "change.html\n");
}

}  // namespace

int join_report(const std::vector<std::string>& words) {
  std::string page = "ballast-report.html";
  std::vector<std::string> files;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help" || words[i] == "-h") return print_usage(), 0;
    if (words[i] == "--out") {
      if (++i == words.size()) throw InvalidInput("--out needs a file name behind it");
      page = words[i];
    } else if (words[i].starts_with("-")) {
      require_one_of("flag", words[i], {"--out", "--help"});
    } else {
      files.push_back(words[i]);
    }
  }
  if (files.empty())
    throw InvalidInput("no file to report; accepted: ballast report FILE.json... [--out FILE.html]");
  Report report("Ballast: results");
  for (const auto& file : files) {
    const Json document = read_json(file);
    try {
      report.add(section_of(document));
    } catch (const InvalidInput& error) {
      throw InvalidInput(fmt::format("{}: {}", file, error.what()));
    } catch (const Json::exception& error) {
      throw InvalidInput(fmt::format("{}: {}", file, error.what()));
    }
  }
  report.write_html(page);
  fmt::print("The page: {}\n", std::filesystem::absolute(page).string());
  return 0;
}

}  // namespace ballast::cli
