#include "ballast/cli/tour.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/report.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/units.h"
#include "ballast/cli/programs.h"

namespace ballast::cli {
namespace {

constexpr double kHelpLimit_s = 60, kStopLimit_s = 600;

struct Wish {
  std::string page = "ballast-tour.html";
  std::vector<std::string> stops;  ///< empty: all
};

enum class State { done, failed, without_stop };

struct Stop {
  ComponentProgram component;
  State state = State::done;
  std::string problem = {};
  double seconds = 0;
  std::optional<Section> section = {};
};

void print_usage() {
  fmt::print(
      "usage: ballast tour [COMPONENT...] [--report FILE.html]\n\n"
      "Runs the stop of every component that is built (or of those named) on real input, about a minute\n"
      "each, and writes one page (default: ballast-tour.html in this folder).\n\n"
      "Examples:\n  ballast tour\n  ballast tour graph serve --report tour.html\n");
}

std::optional<Wish> parse(const std::vector<std::string>& words) {
  Wish wish;
  std::vector<std::string> names;
  for (const auto& component : components()) names.emplace_back(component.name);
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--help" || words[i] == "-h") return std::nullopt;
    if (words[i] == "--report") {
      if (++i == words.size()) throw InvalidInput("--report needs a file name behind it");
      wish.page = words[i];
    } else if (words[i].starts_with("-")) {
      require_one_of("flag", words[i], {"--report", "--help"});
    } else {
      require_one_of("stop", words[i], names);
      wish.stops.push_back(words[i]);
    }
  }
  return wish;
}

// The last lines of what a program wrote.
std::string tail_of(const std::string& path, std::size_t lines) {
  std::string text = read_file(path);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::size_t from = text.size();
  for (std::size_t i = 0; i < lines && from != std::string::npos; ++i)
    from = from == 0 ? std::string::npos : text.rfind('\n', from - 1);
  return from == std::string::npos ? text : text.substr(from + 1);
}

Stop run_stop(const ComponentProgram& component, const std::string& place, const TemporaryFolder& scratch) {
  Stop stop{component};
  const std::string name = component.name, path = program_path(name), log = scratch.file(name + ".log");
  if (run_and_wait({path, "tour", "--help"}, scratch.file("help"), kHelpLimit_s).exit_code != 0) {
    stop.state = State::without_stop;
    return stop;
  }
  const bool live = ::isatty(1) == 1;
  const auto say = [&](const std::string& what) {
    fmt::print("{}{} {:<10} {}", live ? "\r\033[K" : "", place, name, what);
    std::fflush(stdout);
  };
  const std::string section_file = scratch.file(name + ".json");
  const auto outcome =
      run_and_wait({path, "tour", "--section", section_file}, log, kStopLimit_s, [&](double s) {
        if (live) say(fmt::format("{:.0f} s", s));
      });
  stop.seconds = outcome.seconds;
  stop_if_interrupted();
  if (outcome.timed_out) {
    stop.problem = fmt::format("ran longer than {}", format_seconds(kStopLimit_s));
  } else if (outcome.exit_code != 0) {
    stop.problem = fmt::format("ended with exit code {}", outcome.exit_code);
  } else {
    try {
      stop.section = Section::from_json(read_json(section_file));
    } catch (const std::exception& error) {
      stop.problem = fmt::format("left no section: {}", error.what());
    }
  }
  if (!stop.problem.empty()) {
    stop.state = State::failed;
    stop.section.emplace(fmt::format("{}: this stop failed", name));
    stop.section->text(fmt::format("`ballast {} tour` {}. Its last lines:", name, stop.problem));
    stop.section->log(tail_of(log, 20));
    stop.section->command(fmt::format("ballast {} tour", name));
  }
  say(stop.state == State::done ? fmt::format("done in {}\n", format_seconds(stop.seconds))
                                : fmt::format("FAILED: it {}\n{}\n", stop.problem, tail_of(log, 20)));
  return stop;
}

Section overview(const std::vector<Stop>& stops) {
  Section section("Ballast keeps uneven work level");
  section.text(
      "Skewed keys, ragged tensors, dynamic control flow, bursty requests, drifting clients, unequal "
      "hardware: work "
      "that does not divide evenly leaves machines waiting for the one that got too much. Each stop below "
      "shows one "
      "system of the toolkit on real input, beside what people do today.");
  Table table("The stops of this tour; their time is measured", {"component", "what it is", "stop", "time"});
  table.basis(Basis::measured);
  for (const auto& stop : stops) {
    const char* state = stop.state == State::done     ? "done"
                        : stop.state == State::failed ? "FAILED"
                                                      : "no stop";
    table.row({stop.component.name, stop.component.summary, state,
               stop.seconds > 0 ? format_seconds(stop.seconds) : "-"});
  }
  section.table(table);
  section.command("make tour");
  return section;
}

}  // namespace

int tour(const std::vector<std::string>& words) {
  const auto wish = parse(words);
  if (!wish) {
    print_usage();
    return 0;
  }
  // The page's folder is tried before minutes are spent on what is to be written there.
  AtomicFile page(wish->page);
  const TemporaryFolder scratch;
  catch_interrupts();
  std::vector<ComponentProgram> chosen;
  for (const auto& component : components()) {
    const bool named = std::find(wish->stops.begin(), wish->stops.end(), component.name) != wish->stops.end();
    const bool built = !program_path(component.name).empty();
    if (named && !built) {
      throw Unavailable(fmt::format(
          "component '{0}' was not built; build it with `make build COMPONENTS={0}`", component.name));
    }
    if (named || (wish->stops.empty() && built)) chosen.push_back(component);
  }
  std::vector<Stop> stops;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    stops.push_back(run_stop(chosen[i], fmt::format("[{}/{}]", i + 1, chosen.size()), scratch));
    if (stops.back().state == State::without_stop && !wish->stops.empty())
      throw Unavailable(fmt::format("component '{}' has no stop in the tour", chosen[i].name));
  }

  Report report("Ballast: the tour");
  report.add(overview(stops));
  int failed = 0;
  for (auto& stop : stops) {
    failed += stop.state == State::failed;
    if (stop.section) report.add(std::move(*stop.section));
  }
  page.write(report.to_html());
  page.commit();
  if (failed > 0) fmt::print("{} of {} stops failed; the page shows what they said.\n", failed, stops.size());
  fmt::print("The page: {}\n", std::filesystem::absolute(wish->page).string());
  return failed == 0 ? 0 : static_cast<int>(ExitCode::failed);
}

}  // namespace ballast::cli
