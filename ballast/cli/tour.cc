#include "ballast/cli/tour.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/report.h"
#include "ballast/cli/programs.h"

namespace ballast::cli {
namespace {

// A component has a stop if its program knows the verb `tour`.
bool has_stop(const std::string& path, const std::string& scratch) {
  return run_and_wait({path, "tour", "--help"}, scratch + "/help.txt") == 0;
}

void print_usage() {
  fmt::print(
      "usage: ballast tour [COMPONENT...] [--report FILE.html]\n\n"
      "Runs the stop of every component (or of those named) on real input and writes one page\n"
      "(default: ballast-tour.html in this folder).\n");
}

}  // namespace

int tour(const std::vector<std::string>& words) {
  std::string page = "ballast-tour.html";
  std::vector<std::string> wanted, names;
  for (const auto& component : components()) names.emplace_back(component.name);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help") return print_usage(), 0;
    if (words[i] == "--report") {
      if (++i == words.size()) throw InvalidInput("--report needs a file name behind it");
      page = words[i];
    } else {
      require_one_of("stop", words[i], names);
      wanted.push_back(words[i]);
    }
  }
  const bool all = wanted.empty();
  if (all) wanted = names;

  const auto scratch_path =
      std::filesystem::temp_directory_path() / fmt::format("ballast-tour-{}", ::getpid());
  std::filesystem::create_directories(scratch_path);
  const std::string scratch = scratch_path.string();
  Report report("Ballast: the tour");
  std::vector<std::string> failed;
  catch_interrupts();
  for (const auto& name : wanted) {
    const std::string path = program_path(name);
    if (path.empty() || !has_stop(path, scratch)) {
      if (!all) throw Unavailable(fmt::format("component '{}' has no stop here: it is not built", name));
      continue;
    }
    fmt::print("{:<10} ", name);
    std::fflush(stdout);
    const auto start = std::chrono::steady_clock::now();
    const std::string section_file = scratch + "/" + name + ".json", log = scratch + "/" + name + ".log";
    const int code = run_and_wait({path, "tour", "--section", section_file}, log);
    stop_if_interrupted();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (code == 0) {
      report.add(Section::from_json(read_json(section_file)));
      fmt::print("done in {:.0f} s\n", seconds);
    } else {
      failed.push_back(name);
      fmt::print("FAILED (exit {}):\n{}\n", code, read_file(log));
    }
  }
  report.write_html(page);
  std::filesystem::remove_all(scratch_path);
  fmt::print("The page: {}\n", std::filesystem::absolute(page).string());
  return failed.empty() ? 0 : static_cast<int>(ExitCode::failed);
}

}  // namespace ballast::cli
