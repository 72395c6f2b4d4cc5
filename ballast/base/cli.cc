#include "ballast/base/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <new>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::cli {
namespace {

std::atomic<bool> g_interrupted{false};

void on_signal(int) {
  if (g_interrupted.exchange(true)) ::_exit(static_cast<int>(ExitCode::interrupted));
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// `--json` takes a value only if the next word names a .json file, so that `--json graph.el` keeps its
// positional.
std::vector<std::string> join_json_value(int argc, char** argv) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--") {
      words.insert(words.end(), argv + i, argv + argc);
      break;
    }
    if (word == "--json") {
      const std::string next = i + 1 < argc ? argv[i + 1] : "";
      if (next.size() > 5 && next.ends_with(".json")) {
        word = "--json-file=" + next;
        ++i;
      }
    } else if (word.starts_with("--json=")) {
      word = "--json-file=" + word.substr(7);
    }
    words.push_back(std::move(word));
  }
  return words;
}

std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// The parser reads "-1" for an unsigned option as 2^64 - 1: every such option of a verb gets a check.
void refuse_negative_counts(CLI::App& app) {
  const CLI::Validator whole(
      [](const std::string& text) {
        return text.starts_with("-")
                   ? fmt::format("'{}' is below 0; accepted: a whole number of at least 0", text)
                   : std::string();
      },
      "");
  for (CLI::Option* option : app.get_options()) {
    if (option->get_type_name().starts_with("UINT")) option->check(whole);
  }
}

// What can be typed, for man pages and shell completion: {component, summary, verbs: [{name, summary,
// examples, flags: [{names, value, default, description, group, required, positional}]}]}. The hidden flag
// --describe prints it.
template <typename Entries>
Json describe(const std::string& component, const CLI::App& app, const Entries& entries) {
  Json verbs = Json::array();
  for (const auto& entry : entries) {
    Json flags = Json::array();
    for (const CLI::Option* option : entry->app->get_options()) {
      if (option->get_group().empty()) continue;  // hidden
      Json names = Json::array();
      for (const auto& name : option->get_snames()) names.push_back("-" + name);
      for (const auto& name : option->get_lnames()) names.push_back("--" + name);
      const bool positional = names.empty();
      if (positional) names.push_back(option->get_name(true));
      const bool takes_value = option->get_items_expected_max() > 0;
      flags.push_back({{"names", names},
                       {"value", takes_value ? option->get_type_name() : ""},
                       {"default", option->get_default_str()},
                       {"description", option->get_description()},
                       {"group", option->get_group()},
                       {"required", option->get_required()},
                       {"positional", positional}});
    }
    verbs.push_back({{"name", entry->app->get_name()},
                     {"summary", entry->app->get_description()},
                     {"examples", entry->examples},
                     {"flags", std::move(flags)}});
  }
  return {{"component", component}, {"summary", app.get_description()}, {"verbs", std::move(verbs)}};
}

}  // namespace

void Common::write_json(const Json& document) const {
  if (!json) return;
  const std::string text = document.dump(2) + "\n";
  if (json_file.empty()) {
    std::fwrite(text.data(), 1, text.size(), stdout);
  } else {
    write_file(json_file, text);
  }
}

void Common::write_report(const Report& report) const {
  if (!report_file.empty()) report.write_html(report_file);
}

std::optional<std::string> nearest(const std::string& given, const std::vector<std::string>& accepted) {
  std::optional<std::string> best;
  std::size_t best_distance = std::max<std::size_t>(2, given.size() / 3) + 1;
  for (const auto& word : accepted) {
    const std::size_t distance = edit_distance(given, word);
    if (distance < best_distance) {
      best_distance = distance;
      best = word;
    }
  }
  return best;
}

void require_one_of(const std::string& flag, const std::string& given,
                    const std::vector<std::string>& accepted) {
  if (std::find(accepted.begin(), accepted.end(), given) != accepted.end()) return;
  std::string list;
  for (const auto& word : accepted) list += (list.empty() ? "" : ", ") + word;
  if (const auto close = nearest(given, accepted)) list += fmt::format(" (did you mean '{}'?)", *close);
  throw InvalidInput(flag, given, list);
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  // A file that may not grow further is an error to tell, not a signal to die of half-way.
  std::signal(SIGXFSZ, SIG_IGN);
}

bool interrupted() {
  return g_interrupted.load(std::memory_order_relaxed);
}

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted();
}

namespace {

/// Refuses a flag whose file the verb did not write: silence would look like success.
class PromisedFiles {
 public:
  explicit PromisedFiles(const Common& common)
      : files_{{"--report", common.report_file, {}}, {"--trace", common.trace_file, {}}} {
    for (auto& file : files_) file.before = written(file.path);
  }
  void check(const std::string& verb) const {
    for (const auto& file : files_) {
      std::error_code none;
      const bool special =
          std::filesystem::exists(file.path, none) && !std::filesystem::is_regular_file(file.path, none);
      if (!file.path.empty() && !special && written(file.path) == file.before)
        throw InvalidInput(file.flag, file.path, fmt::format("verbs that write one: `{}` does not", verb));
    }
  }

 private:
  struct File {
    const char* flag;
    std::string path;
    std::optional<std::filesystem::file_time_type> before;
  };
  static std::optional<std::filesystem::file_time_type> written(const std::string& path) {
    std::error_code error;
    const auto time = std::filesystem::last_write_time(path, error);
    return error ? std::nullopt : std::optional(time);
  }
  std::vector<File> files_;
};

}  // namespace

struct Program::Entry {
  Common common;
  std::shared_ptr<Verb::Action> action = std::make_shared<Verb::Action>();
  CLI::App* app = nullptr;
  std::vector<std::string> examples;
};

Program::Program(std::string component, std::string summary)
    : component_(std::move(component)), app_(summary, "ballast " + component_) {
  app_.require_subcommand(1);
  app_.get_formatter()->column_width(34);
  app_.set_version_flag("--version", std::string("ballast ") + BALLAST_VERSION);
}

Program::~Program() = default;

Verb Program::verb(const std::string& name, const std::string& summary,
                   const std::vector<std::string>& examples) {
  auto& entry = *entries_.emplace_back(std::make_unique<Entry>());
  Verb verb;
  verb.app_ = app_.add_subcommand(name, summary);
  verb.action_ = entry.action;
  entry.app = verb.app_;
  entry.examples = examples;
  Common& common = entry.common;
  auto* app = verb.app_;
  app->add_option("--seed", common.seed, "seed of all randomness")->capture_default_str()->group("Common");
  app->add_flag("--json", common.json, "print JSON; with a FILE.json behind it, write it there")
      ->group("Common");
  app->add_option("--json-file", common.json_file)->group("");
  app->add_option("--report", common.report_file, "write a self-contained page")
      ->type_name("FILE.html")
      ->group("Common");
  app->add_option("--trace", common.trace_file, "write a Chrome/Perfetto trace")
      ->type_name("FILE.json")
      ->group("Common");
  std::string footer = "Examples:\n";
  for (const auto& example : examples) footer += "  " + example + "\n";
  app->footer(footer);
  return verb;
}

void Program::tour(const std::string& summary, std::function<void(const Common&, Section&)> stop) {
  auto section_file = std::make_shared<std::string>();
  auto verb =
      this->verb("tour", "the stop of this component in the guided tour: " + summary,
                 {"ballast " + component_ + " tour", "ballast " + component_ + " tour --report stop.html"});
  verb->add_option("--section", *section_file, "write the stop as JSON, for `ballast tour`")->group("");
  verb.run([stop = std::move(stop), section_file, component = component_](const Common& common) {
    Report report("Ballast: " + component);
    Section& section = report.section(component);
    stop(common, section);
    if (!section_file->empty()) write_file(*section_file, section.to_json().dump());
    if (common.for_people()) section.print(stdout);
    common.write_json(section.to_json());
    common.write_report(report);
  });
}

int Program::main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--describe") {
    fmt::print("{}\n", describe(component_, app_, entries_).dump(1));
    return static_cast<int>(ExitCode::ok);
  }
  const auto say = [&](const std::string& sentence) {
    std::fflush(stdout);
    std::fprintf(stderr, "ballast %s: %s\n", component_.c_str(), sentence.c_str());
  };
  auto words = join_json_value(argc, argv);
  std::string command_line = "ballast " + component_;
  for (int i = 1; i < argc; ++i) command_line += std::string(" ") + argv[i];
  for (const auto& entry : entries_) refuse_negative_counts(*entry->app);
  try {
    if (!words.empty() && !words[0].starts_with("-")) {
      std::vector<std::string> verbs;
      for (const auto& entry : entries_) verbs.push_back(entry->app->get_name());
      require_one_of("verb", words[0], verbs);
    }
    std::reverse(words.begin(), words.end());
    app_.parse(words);
  } catch (const InvalidInput& error) {
    say(error.what());
    return static_cast<int>(ExitCode::invalid_input);
  } catch (const CLI::ExtrasError& error) {
    std::string sentence = error.what();
    const auto position = sentence.find("--");
    if (position != std::string::npos) {
      std::string flag = sentence.substr(position, sentence.find_first_of(" =]", position) - position);
      sentence = fmt::format("'{}' is no flag of this verb", flag);
      for (const auto& entry : entries_) {
        if (!entry->app->parsed()) continue;
        if (const auto close = nearest(flag, flags_of(*entry->app)))
          sentence += fmt::format("; did you mean '{}'?", *close);
        sentence += fmt::format(" (see `ballast {} {} --help`)", component_, entry->app->get_name());
      }
    }
    say(sentence);
    return static_cast<int>(ExitCode::invalid_input);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app_.exit(error);  // --help, --version
    say(error.what());
    return static_cast<int>(ExitCode::invalid_input);
  }
  for (const auto& entry : entries_) {
    if (!entry->app->parsed()) continue;
    entry->common.command_line = command_line;
    if (!entry->common.json_file.empty()) entry->common.json = true;
    try {
      catch_interrupts();
      const PromisedFiles promised(entry->common);
      (*entry->action)(entry->common);
      if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
        throw Unavailable::from_errno("standard output", "cannot be written");
      promised.check(fmt::format("ballast {} {}", component_, entry->app->get_name()));
      return static_cast<int>(ExitCode::ok);
    } catch (const Exit& exit) {
      return exit.code;
    } catch (const Interrupted&) {
      say("interrupted");
      return static_cast<int>(ExitCode::interrupted);
    } catch (const InvalidInput& error) {
      say(error.what());
      return static_cast<int>(ExitCode::invalid_input);
    } catch (const Unavailable& error) {
      say(error.what());
      return static_cast<int>(ExitCode::unavailable);
    } catch (const std::bad_alloc&) {
      say("out of memory");
      return static_cast<int>(ExitCode::unavailable);
    } catch (const std::exception& error) {
      say(fmt::format("unexpected: {}", error.what()));
      return static_cast<int>(ExitCode::failed);
    }
  }
  return static_cast<int>(ExitCode::failed);
}

}  // namespace ballast::cli
