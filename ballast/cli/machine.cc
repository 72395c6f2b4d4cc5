#include "ballast/cli/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::cli {
namespace {

namespace fs = std::filesystem;

// Standard output of a command; empty when it cannot be run or fails.
std::string output_of(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return "";
  std::string output;
  std::array<char, 4096> chunk;
  while (const std::size_t got = std::fread(chunk.data(), 1, chunk.size(), pipe))
    output.append(chunk.data(), got);
  return ::pclose(pipe) == 0 ? output : "";
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    if (end > 0) lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// PyPI's rule: names are compared in lower case, with '-' for '_' and '.'.
std::string python_name(std::string_view name) {
  std::string plain;
  for (const char c : name)
    plain += c == '_' || c == '.' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return plain;
}

}  // namespace

std::vector<PackageSection> parse_packages(std::string_view text, const std::string& file) {
  std::vector<PackageSection> sections;
  std::uint64_t number = 0;
  while (!text.empty()) {
    ++number;
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      if (!line.ends_with(']')) throw InvalidInput::at(file, number, "a section without its ']'", "[name]");
      sections.push_back({std::string(line.substr(1, line.size() - 2)), {}});
      continue;
    }
    if (sections.empty())
      throw InvalidInput::at(file, number, "a package before the first section", "[name]");
    if (line.starts_with("source ")) line.remove_prefix(7);
    sections.back().packages.emplace_back(line.substr(0, std::min(line.find_first_of(" =["), line.size())));
  }
  return sections;
}

std::vector<MissingPackages> missing_packages(const std::vector<PackageSection>& sections,
                                              const std::set<std::string>& installed) {
  std::vector<MissingPackages> result;
  for (const auto& section : sections) {
    MissingPackages entry{section.name, section.packages.size()};
    for (const auto& package : section.packages)
      if (installed.count(package) == 0) entry.missing.push_back(package);
    result.push_back(std::move(entry));
  }
  return result;
}

std::string setup_folder() {
  std::error_code error;
  const auto self = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const fs::path& folder :
       {fs::path(BALLAST_SOURCE_DIR) / "setup", self.parent_path() / "share/ballast/setup"})
    if (fs::exists(folder / "apt.txt", error)) return folder.string();
  return "";
}

std::set<std::string> installed_debian_packages() {
  std::set<std::string> names;
  for (const auto& line : lines_of(output_of("dpkg-query -W -f '${db:Status-Status} ${Package}\\n'")))
    if (line.starts_with("installed ")) names.insert(line.substr(10));
  return names;
}

std::set<std::string> installed_python_packages() {
  std::set<std::string> names;
  const std::string cache = cache_folder();
  std::error_code error;
  std::vector<fs::path> folders{"/usr/lib/python3/dist-packages"};
  for (const auto& entry : fs::directory_iterator(cache + "/venv/lib", error))
    folders.push_back(entry.path() / "site-packages");
  for (const auto& folder : folders) {
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".dist-info") || name.ends_with(".egg-info"))
        names.insert(python_name(name.substr(0, name.find('-'))));
    }
  }
  for (const auto& entry : fs::directory_iterator(cache + "/src", error)) {
    const std::string name = entry.path().filename().string();
    if (fs::exists(entry.path() / ".complete", error))
      names.insert(python_name(name.substr(0, name.rfind('-'))));
  }
  return names;
}

std::vector<Tool> tools() {
  std::vector<Tool> found;
  for (const char* name : {"g++", "clang++-14", "nvcc", "cmake", "ninja", "ccache", "clang-format",
                           "clang-tidy", "mpirun", "python3", "chromium"}) {
    const auto lines = lines_of(output_of(fmt::format("command -v {0} >/dev/null && {0} --version", name)));
    found.push_back({name, lines.empty() ? "" : lines.front()});
  }
  return found;
}

std::vector<std::string> gpus() {
  return lines_of(
      output_of("command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,memory.total,driver_version "
                "--format=csv,noheader"));
}

}  // namespace ballast::cli
