#include "ballast/federate/net/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <vector>

#include "ballast/base/file.h"
#include "ballast/federate/net/wire.h"

namespace ballast::federate {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kPrefix = "checkpoint-";

std::vector<std::uint64_t> numbers(const std::string& folder) {
  std::vector<std::uint64_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    std::uint64_t number = 0;
    const char* end = name.data() + name.size();
    const auto [rest, problem] = std::from_chars(name.data() + kPrefix.size(), end, number);
    if (problem == std::errc{} && rest == end) found.push_back(number);
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

std::string path_of(const std::string& folder, std::uint64_t number) {
  return fmt::format("{}/{}{}", folder, kPrefix, number);
}

}  // namespace

void write_checkpoint(const std::string& folder, std::uint64_t number, const std::string& record) {
  write_file(path_of(folder, number), blake2b(record) + record);
  const auto all = numbers(folder);
  for (std::size_t i = 3; i < all.size(); ++i) fs::remove(path_of(folder, all[i]));
}

std::optional<Checkpoint> newest_checkpoint(const std::string& folder) {
  for (std::uint64_t number : numbers(folder)) {
    const std::string path = path_of(folder, number), content = read_file(path);
    if (content.size() >= 32 && blake2b(std::string_view(content).substr(32)) == content.substr(0, 32))
      return Checkpoint{number, content.substr(32)};
    fmt::print(stderr, "{}: damaged (its hash does not fit); the checkpoint before it is used\n", path);
  }
  return std::nullopt;
}

}  // namespace ballast::federate
