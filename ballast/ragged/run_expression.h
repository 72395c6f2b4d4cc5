// An operator in one line of text, run on files: `ballast ragged run --op expr`.
#pragma once

#include <string>
#include <vector>

#include "ballast/base/cli.h"

namespace ballast::ragged {

struct ExpressionRun {
  std::string expression, dims, schedule, output;
  std::vector<std::string> lengths, scalars, inputs;  ///< NAME=VALUE
  bool check = false;  ///< compare with the interpreter, which checks every access
  int threads = 0;
};
void run_expression(const ExpressionRun& options, const cli::Common& common);

}  // namespace ballast::ragged
