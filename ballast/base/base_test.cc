#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/base/table.h"
#include "ballast/base/units.h"

namespace ballast {
namespace {

// The known-answer vectors that accompany the reference implementation of Philox4x32-10.
TEST(Random, PhiloxKnownAnswers) {
  using Words = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox(0, Words{0, 0, 0, 0}), (Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(philox(~0ull, Words{~0u, ~0u, ~0u, ~0u}),
            (Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(philox(0x299f31d0a4093822ull, Words{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}),
            (Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(Random, BelowIsUniform) {
  Random random(7);
  std::array<int, 10> hits{};
  for (int i = 0; i < 100'000; ++i) ++hits[random.below(10)];
  double chi = 0;
  for (int h : hits) chi += (h - 1e4) * (h - 1e4) / 1e4;
  EXPECT_LT(chi, 33.7);  // 9 degrees of freedom, p = 0.0001
}

TEST(File, CacheFolderFollowsTheVariable) {
  const std::string before = cache_folder();
  ::setenv("BALLAST_CACHE", "/elsewhere/x", 1);
  EXPECT_EQ(cache_folder(), "/elsewhere/x");
  ::setenv("BALLAST_CACHE", before.c_str(), 1);
  EXPECT_EQ(cache_folder(), before);
}

TEST(Units, ParsesAndPrintsSizes) {
  EXPECT_EQ(Bytes::parse("64 MiB"), Bytes::mib(64));
  EXPECT_EQ(Bytes::parse("1.5kb").count, 1500u);
  EXPECT_EQ(to_string(Bytes{1536}), "1.5 KiB");
  for (const char* bad : {"", "x", "-1", "1 parsec", "1e99 GB", "nan"})
    EXPECT_THROW(Bytes::parse(bad), InvalidInput) << bad;
  EXPECT_EQ(parse_count("--keys", "1e6"), 1'000'000u);
}

// 1e16 + 1 + ... is where naive sums depend on the order.
TEST(ExactSum, SameBitsInEveryOrderAndSplit) {
  Random random(11);
  std::vector<double> terms;
  for (int i = 0; i < 500; ++i)
    terms.push_back(std::ldexp(random.uniform(-1, 1), static_cast<int>(random.below(200)) - 100));
  ExactSum whole;
  for (double x : terms) whole.add(x);
  for (int trial = 0; trial < 20; ++trial) {
    random.shuffle(terms);
    ExactSum parts[3];
    for (std::size_t i = 0; i < terms.size(); ++i) parts[random.below(3)].add(terms[i]);
    ExactSum merged;
    for (const auto& part : parts) merged.merge(part);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(merged.value()), std::bit_cast<std::uint64_t>(whole.value()));
  }
  ExactSum tie;  // the exact sum is 2^53 + 1 + 2^-60: rounds up, naive addition gives 2^53
  for (double x : {0x1p53, 1.0, 0x1p-60}) tie.add(x);
  EXPECT_EQ(tie.value(), 0x1p53 + 2);
}

TEST(AtomicFile, AppearsCompleteOrNotAtAll) {
  const std::string path = testing::TempDir() + "ballast_atomic.txt";
  std::filesystem::remove(path);
  {
    AtomicFile file(path);
    file.write("half");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  write_file(path, "whole");
  EXPECT_EQ(read_file(path), "whole");
  EXPECT_THROW(write_file("/no/such/directory/x", "x"), Unavailable);
}

TEST(Table, RefusesARaggedRowAndAligns) {
  Table table("t", {"name", "n"});
  table.row({"a", "10"}).row({"bb", "5"});
  EXPECT_EQ(table.to_text(), "t\nname   n\n----  --\na     10\nbb     5\n");
  EXPECT_THROW(table.row({"x"}), InvalidInput);
  EXPECT_EQ(Table::from_json(table.to_json()).to_text(), table.to_text());
}

}  // namespace
}  // namespace ballast
