// Lengths of sequences: the paper's eight data sets as distributions, synthetic ones, and users' files.
//
//   std::vector<std::int32_t> l = draw_lengths("mnli", 1280, seed);
//   std::vector<std::int32_t> own = read_lengths("lengths.txt");      // one integer a line, # comments
//   for (std::span<const std::int32_t> batch : batches(l, 32)) ...
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ballast::ragged {

/// One of the eight sets: quantiles at 0, 5, ..., 100 % over the authors' published length files, and the 99
/// % one.
struct LengthSet {
  std::string name;
  std::int32_t cap;
  std::int64_t sequences;
  std::vector<std::int32_t> quantiles;
  std::int32_t q99;
  double mean;
};
const std::vector<LengthSet>& length_sets();

/// `name`: a set (race, wiki512, squad, wiki128, mnli, xnli, mrpc, cola), or zipf, bimodal, one-long,
/// all-equal, all-one, random_AVG_MAX (uniform in [2 AVG - MAX, MAX]). Throws InvalidInput naming the
/// nearest.
std::vector<std::int32_t> draw_lengths(const std::string& name, std::int64_t count, std::uint64_t seed);
std::vector<std::string> length_names();

/// Throws InvalidInput with file and line. CRLF, blank lines and comments are accepted.
std::vector<std::int32_t> read_lengths(const std::string& path);
std::vector<std::int32_t> parse_lengths(const std::string& name, std::string_view text);
void write_lengths(const std::string& path, std::span<const std::int32_t> lengths,
                   const std::string& comment);

/// `name` as draw_lengths, else a file of this name.
std::vector<std::int32_t> lengths_from(const std::string& name, std::int64_t count, std::uint64_t seed);

/// One product of a batch of different ones.
struct GemmSize {
  std::int32_t m = 0, n = 0, k = 0;
};
/// `name`: large (512 to 1408 in steps of 128), small (64 to 384 in steps of 64), tiny (M, N 16 to 127, K 16
/// to 128 in steps of 16), skewed (one of 2048, the rest 128), or a file with one `M N K` a line, # comments.
/// Throws InvalidInput with file and line. Of a file, at most `count` products are taken; 0: all.
std::vector<GemmSize> gemm_sizes(const std::string& name, std::int64_t count, std::uint64_t seed);
std::vector<GemmSize> parse_gemm_sizes(const std::string& name, std::string_view text);

/// Consecutive chunks in the order given; a last incomplete one is left out unless it is the only one.
std::vector<std::vector<std::int32_t>> batches(std::span<const std::int32_t> lengths, std::int64_t size);

}  // namespace ballast::ragged
