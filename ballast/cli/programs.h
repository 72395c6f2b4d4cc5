// The component programs that lie beside the front command, and how they are started.
#pragma once

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

/// Full path of ballast-NAME, beside this program or in ../libexec/ballast; empty if it was not built.
std::string program_path(const std::string& name);

/// Replaces this process by ballast-NAME with these arguments (arguments[0] is NAME). Throws InvalidInput for
/// an unknown name and Unavailable with the way to build it for one that was left out.
int start_component(const std::string& name, char** arguments);

/// Runs a program, waits, and returns its exit code; its output goes to `output_file` (empty: inherited).
int run_and_wait(const std::vector<std::string>& words, const std::string& output_file);

}  // namespace ballast::cli
