#include "ballast/llama/gguf.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/llama/test_model.h"

namespace ballast::llama {
namespace {

std::string temporary(const std::string& name) {
  return testing::TempDir() + "/" + std::to_string(::getpid()) + "-" + name;
}

TEST(Gguf, MetadataAndTensorsOfTheShippedModel) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const Gguf file(shipped_model());
  EXPECT_EQ(file.text("general.architecture"), "llama");
  EXPECT_EQ(file.integer("llama.block_count"), 30);
  EXPECT_EQ(file.integer("llama.embedding_length"), 576);
  EXPECT_EQ(file.strings("tokenizer.ggml.tokens").size(), 49152u);
  EXPECT_EQ(file.integers("tokenizer.ggml.token_type").size(), 49152u);
  EXPECT_GT(file.real("llama.attention.layer_norm_rms_epsilon"), 0);
  // Key and value heads: 3 of 64, from 576 inputs.
  EXPECT_EQ(file.tensor("blk.0.attn_k.weight").shape, (std::vector<std::int64_t>{192, 576}));
  EXPECT_EQ(file.tensor("token_embd.weight").shape, (std::vector<std::int64_t>{49152, 576}));
  EXPECT_EQ(file.find("no.such.tensor"), nullptr);
  EXPECT_THROW(file.integer("no.such.key"), InvalidInput);
  EXPECT_THROW(file.text("llama.block_count"), InvalidInput);
  EXPECT_THROW(file.read_f32("no.such.tensor"), InvalidInput);
}

// Q4_1 by its definition: blocks of 32 values, half-precision scale d and minimum m, then 16 bytes whose low
// nibbles are values 0..15 and whose high nibbles are values 16..31; value = d * nibble + m.
TEST(Gguf, DequantisesAsTheFormatSays) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const Gguf file(shipped_model());
  auto half = [](std::uint16_t bits) {
    const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
    const double magnitude =
        exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
    return (bits & 0x8000) != 0 ? -magnitude : magnitude;
  };
  const std::string name = "blk.3.ffn_gate.weight";
  ASSERT_EQ(file.tensor(name).type, "q4_1");
  const auto raw = file.read_raw(name);
  const auto values = file.read_f32(name);
  ASSERT_EQ(raw.size() / 20 * 32, values.size());
  for (std::size_t block = 0; block < raw.size() / 20; block += 97) {
    const std::byte* bytes = raw.data() + block * 20;
    std::uint16_t scale, minimum;
    std::memcpy(&scale, bytes, 2);
    std::memcpy(&minimum, bytes + 2, 2);
    for (int i = 0; i < 32; ++i) {
      const int packed = std::to_integer<int>(bytes[4 + i % 16]);
      const int nibble = i < 16 ? packed & 15 : packed >> 4;
      EXPECT_NEAR(values[block * 32 + static_cast<std::size_t>(i)], half(scale) * nibble + half(minimum),
                  1e-6);
    }
  }
}

TEST(Gguf, RefusesWhatIsNoGguf) {
  EXPECT_THROW(Gguf("/no/such/file.gguf"), Unavailable);
  const std::string path = temporary("bad.gguf");
  for (const std::string& content : {std::string(), std::string("GGUF"), std::string(4096, 'x'),
                                     std::string("GGUF\3\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f", 16)}) {
    write_file(path, content);
    EXPECT_THROW(Gguf{path}, InvalidInput) << content.size();
  }
  std::filesystem::remove(path);
}

TEST(Gguf, NamesTheTensorInWhichATruncatedFileEnds) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  const std::string whole = read_file(shipped_model());
  const std::string path = temporary("truncated.gguf");
  write_file(path, std::string_view(whole).substr(0, whole.size() / 2));
  try {
    Gguf file(path);
    FAIL() << "half a file was accepted";
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("the file ends inside tensor"), std::string::npos)
        << error.what();
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace ballast::llama
