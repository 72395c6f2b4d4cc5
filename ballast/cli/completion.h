// `ballast completion bash|zsh|fish`: a script that completes components, verbs and flags without starting a
// program.
#pragma once

#include <string>
#include <vector>

#include "ballast/cli/description.h"

namespace ballast::cli {

/// Words are those behind `completion`. Prints the script.
int completion(const std::vector<std::string>& words);

/// The script for one shell: "bash", "zsh" or "fish".
std::string completion_script(const std::string& shell, const std::vector<ProgramDescription>& programs);

}  // namespace ballast::cli
