// What `ballast doctor` looks at: tools, Debian packages by section of setup/apt.txt, Python packages of
// setup/pypi.txt, GPUs. Reading the lists is separate from asking the machine, so that tests can give their
// own.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ballast::cli {

/// One [section] of a package list: its packages in order, without versions and "source " marks.
struct PackageSection {
  std::string name;
  std::vector<std::string> packages;
};

/// Reads the format of setup/apt.txt and setup/pypi.txt; `file` is for complaints. Throws InvalidInput with
/// the line for a package before the first section.
std::vector<PackageSection> parse_packages(std::string_view text, const std::string& file);

/// A section and those of its packages that `installed` lacks.
struct MissingPackages {
  std::string section;
  std::size_t wanted = 0;
  std::vector<std::string> missing = {};
};
std::vector<MissingPackages> missing_packages(const std::vector<PackageSection>& sections,
                                              const std::set<std::string>& installed);

/// The folder setup/ of the source tree, or of the installed copy (share/ballast/setup); empty if neither is
/// there.
std::string setup_folder();

/// Names of the Debian packages that are installed; empty where there is no dpkg.
std::set<std::string> installed_debian_packages();
/// Names (lower case, with '-') of the Python packages in the project's environment and the system's, and the
/// names of the sources that were fetched.
std::set<std::string> installed_python_packages();

struct Tool {
  std::string name;
  std::string version;  ///< the first line that it prints; empty: not here
};
/// Compilers and build tools, each asked for its version.
std::vector<Tool> tools();

/// One line a GPU, as its driver names it; empty without one.
std::vector<std::string> gpus();

}  // namespace ballast::cli
