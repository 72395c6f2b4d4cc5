#include "ballast/ragged/lengths.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/ragged/plan.h"
#include "ballast/ragged/work.h"

namespace ballast::ragged {
namespace {

TEST(Lengths, SetsHaveTheMeansOfTheirFiles) {
  for (const LengthSet& set : length_sets()) {
    const auto l = draw_lengths(set.name, 200000, 1);
    const double mean = std::accumulate(l.begin(), l.end(), 0.0) / static_cast<double>(l.size());
    EXPECT_NEAR(mean, set.mean, 0.01 * set.mean) << set.name;
    EXPECT_GE(*std::min_element(l.begin(), l.end()), set.quantiles.front());
    EXPECT_LE(*std::max_element(l.begin(), l.end()), set.cap);
    EXPECT_EQ(l, draw_lengths(set.name, 200000, 1));
  }
}

TEST(Lengths, WrongNamesGetTheNearestRightOne) {
  try {
    draw_lengths("mlni", 3, 1);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("mnli"), std::string::npos) << error.what();
  }
  EXPECT_THROW(draw_lengths("random_10_100", 3, 1), InvalidInput);
  for (const std::int32_t l : draw_lengths("random_300_512", 100, 1)) EXPECT_TRUE(l >= 88 && l <= 512);
}

TEST(Lengths, FilesAreReadByTheLine) {
  EXPECT_EQ(parse_lengths("f", "# comment\r\n 12\r\n\n7 # seven\n0"), (std::vector<std::int32_t>{12, 7, 0}));
  const auto message = [](const char* text) -> std::string {
    try {
      parse_lengths("f.txt", text);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("1\ntwo\n").find("f.txt:2: 'two'"), std::string::npos);
  EXPECT_NE(message("1\n\n-3\n").find("f.txt:3"), std::string::npos);
  EXPECT_NE(message("99999999999999999999\n").find("f.txt:1"), std::string::npos);
}

TEST(Lengths, BatchesAreConsecutiveChunks) {
  const std::vector<std::int32_t> l{1, 2, 3, 4, 5};
  EXPECT_EQ(batches(l, 2), (std::vector<std::vector<std::int32_t>>{{1, 2}, {3, 4}}));
  EXPECT_EQ(batches(l, 9).size(), 1u);
  EXPECT_THROW(batches(l, 0), InvalidInput);
}

TEST(Work, AgreesWithHandCounts) {
  // d = 2, f = 3, lengths 1 and 2: tokens 3, squares 5; 3 (16 + 12) + 4 * 5 = 104. Padded: 4 tokens, squares
  // 8: 144.
  const LayerSizes s{2, 1, 3};
  const std::vector<std::int32_t> l{1, 2};
  EXPECT_EQ(layer_work(l, s).exact, 104);
  EXPECT_EQ(layer_work(l, s).padded, 144);
  EXPECT_EQ(layer_work(l, s).packed, 3 * 28 + 4 * 8);
  EXPECT_EQ(layer_work(l, s).partial, 64 * 28 + 2 * (2 * (64 * 64 + 64 * 16)));
  EXPECT_EQ(microbatch_work(l, 1, s), 104);
  EXPECT_EQ(microbatch_work(l, 2, s), 144);
  EXPECT_EQ(activation_floats(l, s, false), 3 * 21 + 2 * 5);
}

TEST(Work, PaddingWastesWhatTheSpecificationSays) {
  // Specification R1: geometric means over the eight sets 1.68, 1.74, 1.78 (+-6 %) for batches of 32, 64,
  // 128.
  const double want[] = {1.68, 1.74, 1.78};
  int at = 0;
  for (std::int64_t size : {32, 64, 128}) {
    double product = 1;
    for (const LengthSet& set : length_sets()) {
      double exact = 0, padded = 0;
      for (const auto& batch : batches(draw_lengths(set.name, 100 * size, 3), size)) {
        exact += layer_work(batch, {}).exact;
        padded += layer_work(batch, {}).padded;
      }
      product *= padded / exact;
    }
    EXPECT_NEAR(std::pow(product, 1.0 / 8), want[at], 0.06 * want[at]) << size;
    ++at;
  }
}

TEST(Plan, TilesCoverEveryRowOnceHeavyFirst) {
  const std::vector<std::int32_t> l{3, 0, 130, 64, 65};
  const Plan p = Plan::ragged(l);
  EXPECT_EQ(p.offsets, (std::vector<std::int32_t>{0, 3, 3, 133, 197, 262}));
  std::vector<int> covered(static_cast<std::size_t>(p.rows));
  for (std::size_t t = 0; t < p.tile_start.size(); ++t)
    for (std::int32_t i = p.tile_row[t]; i < std::min(p.tile_row[t] + 64, p.tile_length[t]); ++i)
      ++covered[static_cast<std::size_t>(p.tile_start[t] + i)];
  EXPECT_TRUE(std::all_of(covered.begin(), covered.end(), [](int c) { return c == 1; }));
  EXPECT_TRUE(std::is_sorted(p.tile_length.begin(), p.tile_length.end(), std::greater<>()));
  EXPECT_EQ(p.positions[133], 0);
  EXPECT_EQ(p.positions[196], 63);
}

TEST(Plan, RefusesLengthsOutsideTheirRange) {
  const std::vector<std::int32_t> negative{4, -1}, large{513}, empty;
  try {
    Plan::ragged(negative);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_STREQ(error.what(), "len[1] is '-1'; accepted: lengths from 0 to 512");
  }
  EXPECT_THROW(Plan::ragged(large), InvalidInput);
  EXPECT_THROW(Plan::padded(large, 100, 1000), InvalidInput);
  EXPECT_EQ(Plan::ragged(empty).tiles(), 0);
}

}  // namespace
}  // namespace ballast::ragged
