#include "ballast/base/temporary_folder.h"

#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"

namespace ballast {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ballast-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw Unavailable::from_errno(pattern, "cannot be made");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace ballast
