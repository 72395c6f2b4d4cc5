#include "ballast/ragged/lengths.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::ragged {

const std::vector<LengthSet>& length_sets() {
  // Source: the length files published with the paper's artefact (arXiv:2110.10221), whole files.
  static const std::vector<LengthSet> sets = {
      {"race",
       512,
       87866,
       {15,  170, 210, 241, 269, 294, 314, 332, 347, 361, 374,
        386, 398, 411, 424, 438, 453, 473, 502, 512, 512},
       512,
       361.0},
      {"wiki512",
       512,
       873299,
       {5, 51, 75, 103, 140, 189, 246, 311, 381, 454, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512, 512},
       512,
       366.9},
      {"squad",
       384,
       133339,
       {37,  93,  119, 130, 138, 144, 150, 157, 163, 170, 177,
        185, 193, 203, 213, 226, 243, 263, 289, 334, 384},
       384,
       190.8},
      {"wiki128",
       128,
       969011,
       {7, 50, 66, 83, 103, 126, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128},
       128,
       114.8},
      {"mnli",
       128,
       392702,
       {5, 17, 21, 24, 26, 29, 31, 34, 36, 38, 41, 43, 45, 48, 51, 54, 58, 63, 69, 80, 128},
       108,
       43.4},
      {"xnli",
       128,
       392702,
       {5, 20, 26, 31, 36, 41, 46, 51, 56, 61, 66, 71, 77, 83, 90, 98, 107, 118, 128, 128, 128},
       128,
       70.3},
      {"mrpc",
       112,
       4076,
       {20, 36, 40, 43, 46, 48, 50, 53, 55, 57, 59, 61, 64, 65, 67, 70, 72, 75, 78, 84, 112},
       92,
       59.2},
      {"cola",
       48,
       8551,
       {4, 7, 8, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 13, 14, 15, 16, 17, 19, 22, 48},
       28,
       12.8},
  };
  return sets;
}

namespace {

std::int32_t draw(const LengthSet& set, double u) {
  // Linear between the quantiles up to 95 %, linear to the 99 % one, then a cubic to the largest.
  const double q95 = set.quantiles[19], top = set.quantiles[20];
  double value;
  if (u < 0.95) {
    const double at = u * 20;
    const auto low = static_cast<std::size_t>(at);
    value =
        set.quantiles[low] + (at - static_cast<double>(low)) * (set.quantiles[low + 1] - set.quantiles[low]);
  } else if (u < 0.99) {
    value = q95 + (set.q99 - q95) * (u - 0.95) / 0.04;
  } else {
    value = set.q99 + (top - set.q99) * std::pow((u - 0.99) / 0.01, 3);
  }
  return static_cast<std::int32_t>(std::lround(value));
}

}  // namespace

std::vector<std::string> length_names() {
  std::vector<std::string> names;
  for (const LengthSet& set : length_sets()) names.push_back(set.name);
  for (const char* name : {"zipf", "bimodal", "one-long", "all-equal", "all-one", "random_256_512"})
    names.push_back(name);
  return names;
}

std::vector<std::int32_t> draw_lengths(const std::string& name, std::int64_t count, std::uint64_t seed) {
  if (count < 0) throw InvalidInput("number of lengths", std::to_string(count), "a count of at least 0");
  Random random(seed, 0x1e96);
  std::vector<std::int32_t> lengths(static_cast<std::size_t>(count));
  const auto fill = [&](const auto& one) {
    for (std::size_t i = 0; i < lengths.size(); ++i) lengths[i] = static_cast<std::int32_t>(one(i));
    return lengths;
  };
  for (const LengthSet& set : length_sets())
    if (set.name == name) return fill([&](std::size_t) { return draw(set, random.uniform()); });
  if (name == "zipf")
    return fill([&](std::size_t) { return std::min(512.0, 4.0 / std::pow(1.0 - random.uniform(), 1.0)); });
  if (name == "bimodal")
    return fill([&](std::size_t) {
      return random.uniform() < 0.5 ? 16 + random.below(17) : 384 + random.below(129);
    });
  if (name == "one-long") return fill([&](std::size_t i) { return i == 0 ? 512 : 32; });
  if (name == "all-equal") return fill([&](std::size_t) { return 128; });
  if (name == "all-one") return fill([&](std::size_t) { return 1; });
  int average = 0, most = 0;
  if (std::sscanf(name.c_str(), "random_%d_%d", &average, &most) == 2 && average > 0 && most >= average &&
      2 * average >= most)
    return fill([&](std::size_t) {
      return 2 * average - most +
             static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * (most - average) + 1)));
    });
  cli::require_one_of("length set", name, length_names());
  throw InvalidInput("length set", name, "random_AVG_MAX with MAX/2 <= AVG <= MAX");
}

std::vector<std::int32_t> parse_lengths(const std::string& name, std::string_view text) {
  std::vector<std::int32_t> lengths;
  std::uint64_t line = 0;
  while (!text.empty()) {
    ++line;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (const auto comment = word.find('#'); comment != std::string_view::npos)
      word = word.substr(0, comment);
    while (!word.empty() && (word.back() == '\r' || word.back() == ' ' || word.back() == '\t'))
      word.remove_suffix(1);
    while (!word.empty() && (word.front() == ' ' || word.front() == '\t')) word.remove_prefix(1);
    if (word.empty()) continue;
    std::int64_t value = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || rest != word.data() + word.size() || value < 0 || value > (1 << 30))
      throw InvalidInput::at(name, line, fmt::format("'{}' is no length", word.substr(0, 40)),
                             "one integer from 0 to 2^30 a line, # comments");
    lengths.push_back(static_cast<std::int32_t>(value));
  }
  return lengths;
}

std::vector<std::int32_t> read_lengths(const std::string& path) {
  return parse_lengths(path, read_file(path));
}

void write_lengths(const std::string& path, std::span<const std::int32_t> lengths,
                   const std::string& comment) {
  std::string text = "# " + comment + "\n";
  for (const std::int32_t l : lengths) text += std::to_string(l) + "\n";
  write_file(path, text);
}

std::vector<std::int32_t> lengths_from(const std::string& name, std::int64_t count, std::uint64_t seed) {
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) return read_lengths(name);
  return draw_lengths(name, count, seed);
}

std::vector<GemmSize> parse_gemm_sizes(const std::string& name, std::string_view text) {
  std::vector<GemmSize> out;
  std::uint64_t line = 0;
  while (!text.empty()) {
    ++line;
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    rest = rest.substr(0, rest.find('#'));
    std::vector<std::int32_t> numbers;
    while (true) {
      const std::size_t start = rest.find_first_not_of(" \t\r");
      if (start == std::string_view::npos) break;
      rest.remove_prefix(start);
      const std::string_view word = rest.substr(0, rest.find_first_of(" \t\r"));
      rest.remove_prefix(word.size());
      std::int32_t value = 0;
      const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
      if (error != std::errc() || stop != word.data() + word.size() || value < 0 || value > (1 << 20))
        throw InvalidInput::at(name, line, fmt::format("'{}' is no size", word.substr(0, 40)),
                               "three integers M N K from 0 to 2^20 a line, # comments");
      numbers.push_back(value);
    }
    if (numbers.empty()) continue;
    if (numbers.size() != 3)
      throw InvalidInput::at(name, line, fmt::format("{} numbers", numbers.size()),
                             "three integers M N K from 0 to 2^20 a line, # comments");
    out.push_back({numbers[0], numbers[1], numbers[2]});
  }
  return out;
}

std::vector<GemmSize> gemm_sizes(const std::string& name, std::int64_t count, std::uint64_t seed) {
  std::error_code ignored;
  if (std::filesystem::exists(name, ignored)) {
    std::vector<GemmSize> all = parse_gemm_sizes(name, read_file(name));
    if (all.empty()) throw InvalidInput(name, "no product", "at least one line M N K");
    if (count > 0 && static_cast<std::int64_t>(all.size()) > count)
      all.resize(static_cast<std::size_t>(count));
    return all;
  }
  cli::require_one_of("set of products", name, {"large", "small", "tiny", "skewed"});
  Random random(seed, 0x9e);
  std::vector<GemmSize> out(static_cast<std::size_t>(count));
  const auto fill = [&](std::int32_t GemmSize::*side, std::uint64_t low, std::uint64_t high,
                        std::uint64_t step) {
    for (GemmSize& s : out)
      s.*side = static_cast<std::int32_t>(low + step * random.below((high - low) / step + 1));
  };
  for (const auto side : {&GemmSize::m, &GemmSize::n, &GemmSize::k}) {
    if (name == "large") fill(side, 512, 1408, 128);
    if (name == "small") fill(side, 64, 384, 64);
    if (name == "tiny" && side != &GemmSize::k) fill(side, 16, 127, 1);
    if (name == "tiny" && side == &GemmSize::k) fill(side, 16, 128, 16);
    if (name == "skewed") {
      for (std::size_t i = 0; i < out.size(); ++i) out[i].*side = i == 0 ? 2048 : 128;
    }
  }
  return out;
}

std::vector<std::vector<std::int32_t>> batches(std::span<const std::int32_t> lengths, std::int64_t size) {
  if (size <= 0) throw InvalidInput("batch size", std::to_string(size), "a positive integer");
  std::vector<std::vector<std::int32_t>> out;
  const auto n = static_cast<std::size_t>(size);
  for (std::size_t i = 0; i + n <= lengths.size(); i += n)
    out.emplace_back(lengths.begin() + static_cast<std::ptrdiff_t>(i),
                     lengths.begin() + static_cast<std::ptrdiff_t>(i + n));
  if (out.empty() && !lengths.empty()) out.emplace_back(lengths.begin(), lengths.end());
  return out;
}

}  // namespace ballast::ragged
