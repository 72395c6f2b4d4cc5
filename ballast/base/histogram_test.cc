#include "ballast/base/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/base64.h"
#include "ballast/base/errors.h"
#include "ballast/base/histogram_log.h"
#include "ballast/base/histogram_vectors_test.h"
#include "ballast/base/random.h"

namespace ballast {
namespace {

constexpr std::uint64_t kSeed = 20251;  // of every draw below

// Values over nine decades, as latencies in nanoseconds are.
std::vector<std::int64_t> draw(std::size_t n, std::uint64_t stream) {
  Random random(kSeed, stream);
  std::vector<std::int64_t> values;
  for (std::size_t i = 0; i < n; ++i)
    values.push_back(static_cast<std::int64_t>(std::pow(10.0, random.uniform(0, 9.5))));
  return values;
}

Histogram filled(const std::vector<std::int64_t>& values, const HistogramRange& range = {}) {
  Histogram histogram(range);
  for (const auto v : values) histogram.record(v);
  return histogram;
}

Histogram rebuild(const vectors::Vector& vector) {
  Histogram h({vector.lowest, vector.highest, vector.digits});
  const std::string name = vector.name;
  if (name == "few") {
    for (std::int64_t v : {1, 2, 2047, 2048, 4095, 1000000}) h.record(v);
    h.record(3'599'999'999);
  } else if (name == "lcg") {
    std::uint64_t x = 12345;
    for (int i = 0; i < 100; ++i) {
      x = (x * 1103515245 + 12345) % (1u << 31);
      h.record(static_cast<std::int64_t>(100 + x % 9000000));
    }
  } else if (name == "low1000") {
    h.record(1000, 7);
    h.record(5'000'000'000, 123456789);
  } else if (name == "co") {
    h.record_corrected(100000, 10000);
    h.record_corrected(1000, 10000);
  } else if (name == "wide") {
    h.record(123456789012345, std::int64_t{1} << 40);
  }
  return h;
}

TEST(Histogram, EqualsAnIndependentImplementation) {
  for (const auto& vector : vectors::kVectors) {
    SCOPED_TRACE(std::string(vector.name) + " with " + std::to_string(vector.digits) + " digits");
    const Histogram theirs = Histogram::decode(vector.text);
    const Histogram ours = rebuild(vector);
    EXPECT_EQ(ours, theirs);
    // Byte for byte before compression: zlib's own output may differ between its versions.
    EXPECT_EQ(ours.encode_bytes(), theirs.encode_bytes());
    EXPECT_EQ(Histogram::decode(ours.encode()), theirs);
    EXPECT_EQ(ours.count(), vector.count);
    EXPECT_EQ(ours.max(), vector.max);
    if (vector.count > 0) {
      EXPECT_EQ(ours.min(), vector.min);
    }
    EXPECT_NEAR(ours.mean(), vector.mean, 1e-9 * std::abs(vector.mean));
    EXPECT_NEAR(ours.standard_deviation(), vector.standard_deviation, 1e-6 * std::abs(vector.mean));
    if (vector.count % 4 == 0) {  // else theirs rounds the rank to the nearest, and ours up
      EXPECT_EQ(ours.percentile(25), vector.p25);
      EXPECT_EQ(ours.percentile(50), vector.p50);
      EXPECT_EQ(ours.percentile(75), vector.p75);
    }
    EXPECT_EQ(ours.percentile(100), vector.p100);
  }
}

// The text of the other implementation, unpacked, is what we write: no other arrangement of cells hides
// behind decode.
TEST(Histogram, WritesTheSameBytes) {
  for (const auto& vector : vectors::kVectors) {
    const std::string ours = rebuild(vector).encode(), theirs = vector.text;
    EXPECT_EQ(ours.size(), theirs.size()) << vector.name;
    EXPECT_EQ(ours.substr(0, 8), theirs.substr(0, 8)) << vector.name;  // cookie
  }
}

TEST(Histogram, PercentilesWithinATenthOfAPercentOfExact) {
  auto values = draw(20'000, 1);
  const Histogram histogram = filled(values);
  std::sort(values.begin(), values.end());
  for (double p : {0.01, 1.0, 10.0, 29.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(p * 200 - 1e-9));
    const double exact = static_cast<double>(values[rank - 1]);
    const double got = static_cast<double>(histogram.percentile(p));
    EXPECT_GE(got, exact) << p;
    EXPECT_LE(got, exact * 1.001) << p;
  }
  EXPECT_LE(static_cast<double>(std::abs(histogram.min() - values.front())),
            1e-3 * static_cast<double>(values.front()));
  EXPECT_LE(static_cast<double>(std::abs(histogram.max() - values.back())),
            1e-3 * static_cast<double>(values.back()));
}

TEST(Histogram, RanksAreExactWhereValuesAre) {
  Histogram histogram;
  for (int v = 1; v <= 100; ++v) histogram.record(v);
  for (int p = 1; p <= 100; ++p) EXPECT_EQ(histogram.percentile(p), p);
  EXPECT_EQ(histogram.percentile(-5), 1);
  EXPECT_EQ(histogram.percentile(1e9), 100);
  EXPECT_EQ(histogram.percentile(std::nan("")), 1);
  EXPECT_DOUBLE_EQ(histogram.percentile_of(25), 25);
  EXPECT_EQ(histogram.count_between(10, 19), 10);
  EXPECT_EQ(histogram.count_between(-3, 0), 0);
  EXPECT_EQ(histogram.count_between(5, 4), 0);
}

TEST(Histogram, EveryCellHoldsItsValuesAtEveryResolution) {
  Random random(kSeed, 2);
  for (int digits = 1; digits <= 5; ++digits) {
    for (const std::int64_t lowest : {std::int64_t{1}, std::int64_t{1000}, std::int64_t{65536}}) {
      const std::int64_t highest = std::int64_t{1} << 50;
      Histogram histogram({lowest, highest, digits});
      for (int i = 0; i < 200; ++i) {
        const auto value = static_cast<std::int64_t>(std::exp2(random.uniform(0, 50)));
        const std::int64_t low = histogram.lowest_equivalent(value),
                           high = histogram.highest_equivalent(value);
        ASSERT_LE(low, value);
        ASSERT_GE(high, value);
        ASSERT_LT(high - low, std::max<double>(static_cast<double>(lowest),
                                               std::pow(10.0, -digits) * static_cast<double>(value) + 1));
        if (high < highest) {
          ASSERT_EQ(histogram.lowest_equivalent(high + 1), high + 1);
        }
      }
    }
  }
}

TEST(Histogram, MergeIsAssociativeAndEqualsRecordingAll) {
  std::vector<std::int64_t> all;
  std::vector<Histogram> parts;
  for (std::uint64_t stream = 10; stream < 13; ++stream) {
    const auto values = draw(1000, stream);
    all.insert(all.end(), values.begin(), values.end());
    parts.push_back(filled(values));
  }
  Histogram left = parts[0], right = parts[2];
  left.merge(parts[1]);
  left.merge(parts[2]);
  right.merge(parts[1]);
  right.merge(parts[0]);
  EXPECT_EQ(left, right);
  EXPECT_EQ(left, filled(all));
  EXPECT_EQ(left.percentile(99), filled(all).percentile(99));

  Histogram coarse(
      {1, 3'600'000'000'000, 2});  // another range: still every record, to the coarser resolution
  coarse.merge(left);
  EXPECT_EQ(coarse.count(), left.count());
  EXPECT_NEAR(static_cast<double>(coarse.percentile(50)), static_cast<double>(left.percentile(50)),
              0.01 * static_cast<double>(left.percentile(50)));
}

// A loop that sends every 10 and stalls once for 1000: open-loop clients would have seen 990, 980, ..., 10
// too.
TEST(Histogram, CorrectsCoordinatedOmission) {
  Histogram corrected, plain;
  for (int i = 0; i < 99; ++i) {
    plain.record(10);
    corrected.record_corrected(10, 10);
  }
  plain.record(1000);
  corrected.record_corrected(1000, 10);
  EXPECT_EQ(plain.percentile(90), 10);
  EXPECT_EQ(corrected.count(), 99 + 100);
  EXPECT_EQ(corrected.count_between(11, 1000), 99);
  EXPECT_EQ(corrected.percentile(75), 510);  // rank 150: 100 tens, then 20, 30, ..., the 50th of them is 510
  EXPECT_EQ(plain.corrected(10), corrected);
  EXPECT_EQ(plain.corrected(0), plain);
}

TEST(Histogram, CountsWhatLiesOutside) {
  Histogram histogram({1, 1000, 3});
  histogram.record(-5);
  histogram.record(5000, 2);
  histogram.record(10);
  EXPECT_EQ(histogram.clamped(), 3);
  EXPECT_EQ(histogram.count(), 4);
  EXPECT_EQ(histogram.max(), 1000);
  EXPECT_EQ(histogram.min(), 0);
  histogram.reset();
  EXPECT_EQ(histogram.count() + histogram.clamped() + histogram.max() + histogram.percentile(50), 0);
  EXPECT_THROW(Histogram({0, 100, 3}), InvalidInput);
  EXPECT_THROW(Histogram({1, 1, 3}), InvalidInput);
  EXPECT_THROW(Histogram({1, 100, 6}), InvalidInput);
  EXPECT_THROW(Histogram({std::int64_t{1} << 60, std::int64_t{1} << 62, 5}), InvalidInput);
}

TEST(Histogram, SurvivesItsEncodingAtTheEndsOfTheRange) {
  for (int digits = 1; digits <= 5; ++digits) {
    Histogram histogram({1, std::numeric_limits<std::int64_t>::max(), digits});
    histogram.record(0);
    histogram.record(std::numeric_limits<std::int64_t>::max(), std::int64_t{1} << 62);
    const Histogram back = Histogram::decode(histogram.encode());
    EXPECT_EQ(back, histogram);
    EXPECT_EQ(back.max(), std::numeric_limits<std::int64_t>::max());
    EXPECT_EQ(back.min(), 0);
  }
}

// Every cut and every flipped byte is either refused or read as a consistent histogram; nothing crashes or
// grows.
TEST(Histogram, RefusesDamagedBytes) {
  const Histogram histogram = filled(draw(300, 20));
  for (const std::string& whole : {histogram.encode_bytes(), histogram.encode_compressed_bytes()}) {
    for (std::size_t cut = 0; cut < whole.size(); ++cut)
      EXPECT_THROW(Histogram::decode_bytes(whole.substr(0, cut)), InvalidInput) << cut;
    for (std::size_t at = 0; at < whole.size(); ++at) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ 0x41);
      try {
        const Histogram other = Histogram::decode_bytes(flipped);
        EXPECT_EQ(Histogram::decode_bytes(other.encode_bytes()), other);
      } catch (const InvalidInput&) {
      }
    }
  }
  EXPECT_THROW(Histogram::decode("HISTFAAAABx4nJNpmSzMgADMUJoRRFybvITB/gNEAABQ2gS!"), InvalidInput);
  EXPECT_THROW(Histogram::decode(""), InvalidInput);
  try {
    Histogram::decode_bytes(base64_decode("HISEAAAAAAA=").value(), "run.hlog:4");
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("run.hlog:4"), std::string::npos) << error.what();
  }
}

TEST(Base64, RoundTripsAndRefuses) {
  EXPECT_EQ(base64_encode("Ballast"), "QmFsbGFzdA==");  // RFC 4648's alphabet and padding
  Random random(kSeed, 3);
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    bytes += static_cast<char>(random.below(256));
  }
  for (const char* bad :
       {"A", "AB", "ABC", "====", "A===", "AB=C", "AB==CDEF", "AAB=x", "QmFsbGFzdB==", "A B="})
    EXPECT_EQ(base64_decode(bad), std::nullopt) << bad;
}

TEST(HistogramLog, RoundTripsWithTagsAndTimes) {
  HistogramLog log;
  log.start_epoch_s = 1'764'000'000.25;
  log.intervals.push_back({.start_s = 0.127, .length_s = 1.007, .histogram = filled(draw(50, 30))});
  log.intervals.push_back({.tag = "A", .start_s = 1.134, .length_s = 1, .histogram = filled(draw(50, 31))});
  log.intervals.push_back({.tag = "A", .start_s = 2.134, .length_s = 1, .histogram = filled(draw(50, 32))});
  const HistogramLog back = HistogramLog::parse(log.to_text(), "log");
  ASSERT_EQ(back.intervals.size(), 3u);
  EXPECT_DOUBLE_EQ(back.start_epoch_s, log.start_epoch_s);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(back.intervals[i].tag, log.intervals[i].tag);
    EXPECT_NEAR(back.intervals[i].start_s, log.intervals[i].start_s, 1e-6);
    EXPECT_EQ(back.intervals[i].histogram, log.intervals[i].histogram);
  }
  EXPECT_EQ(back.total("A").count(), 100);
  EXPECT_EQ(back.total("none").count(), 0);
  log.intervals[0].tag = "a,b";
  EXPECT_THROW(log.to_text(), InvalidInput);
}

// Absolute times, times relative to a start line, CR LF, comments: as HdrHistogram's own writers leave them.
TEST(HistogramLog, ReadsTheFormsOfTheFormat) {
  const std::string empty = vectors::kVectors[0].text;
  const HistogramLog absolute = HistogramLog::parse(
      "#[Logged with jHiccup 2.0.5]\r\n#[StartTime: 1441812279.474 (seconds since epoch), Wed Sep 09 "
      "2015]\r\n"
      "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\r\n"
      "1441812279.601,1.007,2.769," +
          empty + "\r\n",
      "log");
  EXPECT_NEAR(absolute.intervals.at(0).start_s, 0.127, 1e-6);
  const HistogramLog relative = HistogramLog::parse(
      "#[StartTime: 1441812279.474 (seconds since epoch), Wed]\n0.127,1.007,2.769," + empty, "log");
  EXPECT_NEAR(relative.intervals.at(0).start_s, 0.127, 1e-6);
  const HistogramLog bare = HistogramLog::parse("5.5,1,0," + empty + "\n6.5,1,0," + empty + "\n", "log");
  EXPECT_NEAR(bare.intervals.at(1).start_s, 1.0, 1e-9);
  EXPECT_TRUE(HistogramLog::parse("", "log").intervals.empty());
  for (const char* bad :
       {"x\n", "Tag=A\n", "1,2\n", "1,2,3,4\n", "#ok\n\n1,2,nan,HISTFAAA\n", "Tag=A,1,2,HISTF\n"})
    EXPECT_THROW(HistogramLog::parse(bad, "log"), InvalidInput) << bad;
  try {
    HistogramLog::parse("#ok\n\n1,2,x,HIST\n", "run.hlog");
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_EQ(std::string(error.what()).substr(0, 10), "run.hlog:3");
  }
  EXPECT_THROW(HistogramLog::read("/no/such/file.hlog"), Unavailable);
}

}  // namespace
}  // namespace ballast
