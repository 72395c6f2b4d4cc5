#include "ballast/base/python_files.h"

#include <filesystem>

#include "ballast/base/file.h"

namespace ballast {

std::string find_python_file(const std::string& relative) {
  std::error_code error;
  // One folder a Python version, python3.11 and the like.
  for (const auto& python : std::filesystem::directory_iterator(cache_folder() + "/venv/lib", error)) {
    const auto path = python.path() / "site-packages" / relative;
    if (std::filesystem::exists(path, error)) return path.string();
  }
  return "";
}

}  // namespace ballast
