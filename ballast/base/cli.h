// The command line that all programs share. A component's main.cc declares its verbs, one file a verb:
//
//   int main(int argc, char** argv) {
//     ballast::cli::Program program("orch", "task-data orchestration that skew cannot hurt");
//     ballast::orch::add_bench(program);
//     return program.main(argc, argv);
//   }
//
//   void add_bench(cli::Program& program) {
//     auto options = std::make_shared<BenchOptions>();
//     auto verb = program.verb("bench", "methods side by side on skewed batches",
//                              {"ballast orch bench --quick", "ballast orch bench --zipf 0,1.2 --json
//                              out.json"});
//     verb->add_option("--zipf", options->zipf, "exponents of the key distribution")->delimiter(',');
//     verb.run([options](const cli::Common& common) { ... });
//   }
//
// Every verb has --seed, --json [FILE.json], --report FILE.html and --trace FILE.json; what they mean is the
// same everywhere. A mistake in the words ends with exit code 2 and names the nearest right one.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/report.h"

namespace ballast::cli {

/// The flags of every verb, and where its results go.
struct Common {
  std::uint64_t seed = 1;
  bool json = false;         ///< --json: the result as one JSON document in place of tables
  std::string json_file;     ///< --json FILE.json: there; empty: standard output
  std::string report_file;   ///< --report FILE.html: a self-contained page; empty: none
  std::string trace_file;    ///< --trace FILE.json: a Chrome/Perfetto trace; empty: none
  std::string command_line;  ///< the command as typed, for reports

  /// True when people are to see tables and progress on standard output.
  bool for_people() const { return !json || !json_file.empty(); }
  /// Writes the document where --json asks for it; does nothing without --json.
  void write_json(const Json& document) const;
  /// Writes the page where --report asks for it; does nothing without --report.
  void write_report(const Report& report) const;
};

class Verb {
 public:
  using Action = std::function<void(const Common&)>;

  /// CLI11's object, to which options are added.
  CLI::App* operator->() { return app_; }
  CLI::App& app() { return *app_; }
  /// What the verb does. Errors are exceptions (errors.h); an exit code other than 0 is thrown as `Exit`.
  void run(Action action) { *action_ = std::move(action); }

 private:
  friend class Program;
  CLI::App* app_ = nullptr;
  std::shared_ptr<Action> action_;
};

/// Ends a verb with this exit code without a message (a validation that found differences, say).
struct Exit {
  int code;
};

class Program {
 public:
  Program(std::string component, std::string summary);
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// Declares `ballast COMPONENT NAME`; `examples` are shown by --help (give two).
  Verb verb(const std::string& name, const std::string& summary, const std::vector<std::string>& examples);

  /// Declares the component's stop in the guided tour: the verb `tour`. `minutes` is the most it may take.
  /// It fills a report section; the front command joins the sections of all components to one page.
  void tour(const std::string& summary, std::function<void(const Common&, Section&)> stop);

  /// Parses, runs, and turns exceptions into exit codes and one sentence on standard error.
  int main(int argc, char** argv);

 private:
  struct Entry;
  std::string component_;
  CLI::App app_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

/// The accepted word nearest to `given` (edit distance at most a third of its length), or nullopt.
std::optional<std::string> nearest(const std::string& given, const std::vector<std::string>& accepted);

/// For an option that takes one of several words: throws InvalidInput naming the nearest when `given` is none
/// of them.
void require_one_of(const std::string& flag, const std::string& given,
                    const std::vector<std::string>& accepted);

/// Installs a handler for Ctrl-C (SIGINT) and SIGTERM; a second signal ends the process at once. Also turns
/// the limit on file sizes (ulimit -f) into an error of the write.
void catch_interrupts();
/// True once the user asked to stop. Long work polls it and throws Interrupted where it is safe to stop.
bool interrupted();
/// Throws Interrupted if the user asked to stop.
void stop_if_interrupted();

}  // namespace ballast::cli
