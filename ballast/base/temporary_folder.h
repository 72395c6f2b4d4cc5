// A folder that goes with its owner.
//
//   const TemporaryFolder folder;
//   write_file(folder.file("a.txt"), "...");
#pragma once

#include <string>

namespace ballast {

/// A unique, empty folder below the system's temporary one ($TMPDIR); removed with all that is in it. Throws
/// Unavailable when it cannot be made.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace ballast
