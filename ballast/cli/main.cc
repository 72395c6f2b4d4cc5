// `ballast COMPONENT VERB ...`: starts the program ballast-COMPONENT that lies beside this one, as git does.
// Links nothing heavy, so that help appears at once.
#include <cstdio>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/cli/completion.h"
#include "ballast/cli/doctor.h"
#include "ballast/cli/join_report.h"
#include "ballast/cli/manual.h"
#include "ballast/cli/programs.h"
#include "ballast/cli/tour.h"

namespace {

int help() {
  std::puts(
      "Ballast keeps uneven work level.\n\n"
      "usage: ballast COMPONENT VERB [flags]      ballast COMPONENT --help\n"
      "       ballast tour [COMPONENT...]         a guided run of every component, ending in a page\n"
      "       ballast report FILE.json...         results of several runs joined to one page\n"
      "       ballast doctor                      what is built, what is missing, how to get it\n"
      "       ballast completion bash|zsh|fish    completion of all words for your shell\n"
      "       ballast man FOLDER                  man pages of all programs\n"
      "       ballast --version\n\ncomponents:");
  for (const auto& component : ballast::cli::components()) {
    std::printf("  %-10s %s%s\n", component.name, component.summary,
                ballast::cli::program_path(component.name).empty() ? "  (not built)" : "");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "--help";
  try {
    if (word == "--help" || word == "-h" || word == "help") return help();
    if (word == "--version") {
      std::puts("ballast " BALLAST_VERSION);
      return 0;
    }
    if (word == "doctor") return ballast::cli::doctor({argv + 2, argv + argc});
    if (word == "tour") return ballast::cli::tour({argv + 2, argv + argc});
    if (word == "report") return ballast::cli::join_report({argv + 2, argv + argc});
    if (word == "completion") return ballast::cli::completion({argv + 2, argv + argc});
    if (word == "man") return ballast::cli::manual({argv + 2, argv + argc});
    return ballast::cli::start_component(word, argv + 1);
  } catch (const ballast::InvalidInput& error) {
    std::fprintf(stderr, "ballast: %s\n", error.what());
    return static_cast<int>(ballast::ExitCode::invalid_input);
  } catch (const ballast::Unavailable& error) {
    std::fprintf(stderr, "ballast: %s\n", error.what());
    return static_cast<int>(ballast::ExitCode::unavailable);
  } catch (const ballast::Interrupted&) {
    std::fprintf(stderr, "ballast: interrupted\n");
    return static_cast<int>(ballast::ExitCode::interrupted);
  }
}
