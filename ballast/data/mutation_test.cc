// Damaged files: thousands of mutants of sound files of every format. A reader accepts or refuses them with
// InvalidInput; any other exception, crash or hang fails. (The libFuzzer targets do the same for hours.)
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <filesystem>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/fuzz_feed.h"
#include "ballast/data/packed_for_tests.h"

namespace ballast::data {
namespace {

std::string mutate(const std::string& sound, Random& random) {
  std::string bytes = sound;
  const std::uint64_t changes = 1 + random.below(4);
  for (std::uint64_t i = 0; i < changes && !bytes.empty(); ++i) {
    const std::size_t at = random.below(bytes.size());
    switch (random.below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.below(8)));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.insert(at, 1 + random.below(8), static_cast<char>(random()));
        break;
      case 4:
        bytes.erase(at, 1 + random.below(8));
        break;
      default: {
        const std::string part = sound.substr(random.below(sound.size()), random.below(32));
        bytes.replace(at, std::min(part.size(), bytes.size() - at), part);
      }
    }
  }
  return bytes;
}

/// Runs `feed` over the sound file, which it must accept, and over mutants, of which it must refuse some.
void damage(bool (*feed)(std::string_view), const std::string& sound, int mutants, std::uint64_t seed) {
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  ASSERT_TRUE(feed(sound));
  Random random(seed);
  int refused = 0;
  for (int i = 0; i < mutants; ++i) refused += !feed(mutate(sound, random));
  EXPECT_GT(refused, mutants / 100);
}

std::string temporary(const std::string& name) {
  return (std::filesystem::temp_directory_path() / ("ballast-mutation-" + std::to_string(::getpid()) + name))
      .string();
}

std::string take(const std::string& path) {
  std::string content = read_file(path);
  std::filesystem::remove(path);
  return content;
}

const std::vector<float> kValues{1, 2, 3, 4, 5, 6};

TEST(Mutation, Npy) {
  const std::string path = temporary(".npy");
  write_npy(path, Array::of<float>({2, 3}, kValues).view());
  damage(feed_npy, take(path), 20'000, 1);
}

TEST(Mutation, Npz) {
  const std::string path = temporary(".npz");
  write_npz(path, {{"a", Array::of<float>({2, 3}, kValues)}, {"b", Array::of<float>({6}, kValues)}});
  damage(feed_npz, take(path), 20'000, 2);
}

TEST(Mutation, Safetensors) {
  const std::string path = temporary(".safetensors");
  const Array a = Array::of<float>({2, 3}, kValues);
  write_safetensors(path, {{"a", a.view()}, {"b", a.view()}}, {{"format", "pt"}});
  damage(feed_safetensors, take(path), 20'000, 3);
}

TEST(Mutation, Idx) {
  const char header[] =
      "\0\0\x08\x02\0\0\0\x02\0\0\0\x03"
      "abcdef";
  damage(feed_idx, std::string(header, sizeof header - 1), 20'000, 4);
}

TEST(Mutation, Csv) {
  damage(feed_csv, "a,b,c\n1,2.5,true\n\"x, y\",\"q\"\"q\",0\n", 20'000, 5);
}

TEST(Mutation, Trace) {
  damage(feed_trace,
         "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 "
         "18:17:04.0319600,3180,8\n",
         20'000, 6);
  damage(feed_trace, "num_prefill_tokens,num_decode_tokens,num_total_tokens,pd_ratio\n3772,54,3826,69.8\n",
         5'000, 7);
}

TEST(Mutation, CompressedStreams) {
  std::string text;
  Random random(8);
  for (int i = 0; i < 400; ++i) text += "line " + std::to_string(random.below(50)) + "\n";
  damage(feed_stream, packed_gzip(text), 5'000, 9);
  std::string zstd(ZSTD_compressBound(text.size()), '\0');
  zstd.resize(ZSTD_compress(zstd.data(), zstd.size(), text.data(), text.size(), 3));
  damage(feed_stream, zstd, 5'000, 10);
}

}  // namespace
}  // namespace ballast::data
