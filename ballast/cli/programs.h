// The component programs that lie beside the front command, and how they are started.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

namespace ballast::cli {

struct ComponentProgram {
  const char* name;
  const char* summary;
};

/// The components with a program, in the order of the tour.
std::span<const ComponentProgram> components();

/// The front command's own words: tour, doctor and their like.
std::span<const ComponentProgram> front_words();

/// Full path of ballast-NAME, beside this program or in ../libexec/ballast; empty if it was not built.
std::string program_path(const std::string& name);

/// Replaces this process by ballast-NAME with these arguments (arguments[0] is NAME). Throws InvalidInput for
/// an unknown name and Unavailable with the way to build it for one that was left out.
int start_component(const std::string& name, char** arguments);

/// How a program ended that was started and waited for.
struct RunOutcome {
  int exit_code = 0;  ///< 128 + the signal, if one ended it
  bool timed_out = false;
  double seconds = 0;
};

/// Runs a program with its output in `output_file`, and calls `tick` about ten times a second with the
/// seconds spent. It is ended when it runs longer than `limit_s`, or when the user pressed Ctrl-C and it has
/// not stopped by itself within two seconds.
RunOutcome run_and_wait(const std::vector<std::string>& words, const std::string& output_file, double limit_s,
                        const std::function<void(double seconds)>& tick = {});

}  // namespace ballast::cli
