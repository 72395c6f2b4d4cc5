#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdlib>
#include <cstring>

#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/idx.h"
#include "ballast/data/npy.h"
#include "ballast/data/packed_for_tests.h"
#include "ballast/data/safetensors.h"
#include "ballast/data/test_files.h"

namespace ballast::data {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string drain(std::string_view bytes, std::size_t step) {
  InputStream in = InputStream::over("t", bytes);
  std::string all, part(step, '\0');
  for (;;) {
    const std::size_t got = in.read(part.data(), step);
    all.append(part, 0, got);
    if (got < step) return all;
  }
}

TEST(Stream, UndoesGzipAndZstdAndTheirConcatenation) {
  std::string text;
  Random random(3);
  for (int i = 0; i < 60'000; ++i) text += static_cast<char>('a' + random.below(4));
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{7}, std::size_t{65'536}, std::size_t{1'000'000}}) {
    EXPECT_EQ(drain(text, step), text);
    EXPECT_EQ(drain(packed_gzip(text) + packed_gzip("more"), step), text + "more");
    EXPECT_EQ(drain(zstd(text) + zstd("more"), step), text + "more");
  }
  EXPECT_EQ(drain("", 4), "");
  EXPECT_EQ(drain("ab", 4), "ab");
  EXPECT_EQ(drain(packed_gzip("x") + std::string(10, '\0'), 4), "x");
  EXPECT_EQ(InputStream::over("t", packed_gzip("x")).encoding(), "gzip");
}

TEST(Stream, RefusesDamage) {
  const std::string packed = packed_gzip(std::string(1000, 'x'));
  EXPECT_THAT(refusal([&] { drain(packed.substr(0, packed.size() - 3), 100); }),
              HasSubstr("the gzip data end early"));
  EXPECT_THAT(refusal([&] { drain(packed + "tail", 100); }), HasSubstr("bytes behind the gzip data"));
  std::string bad = packed;
  bad[bad.size() - 6] ^= 1;
  EXPECT_THAT(refusal([&] { drain(bad, 100); }), HasSubstr("the gzip data are damaged"));
  const std::string frame = zstd(std::string(1000, 'x'));
  EXPECT_THAT(refusal([&] { drain(frame.substr(0, frame.size() - 3), 100); }),
              HasSubstr("the zstd data end early"));
  EXPECT_THROW(InputStream::open("/nonexistent/file"), Unavailable);
}

class Formats : public FolderTest {};

template <typename T>
void npy_round_trip(const std::string& path, Shape shape) {
  std::uint64_t bytes = 0;
  ASSERT_TRUE(byte_count(shape, sizeof(T), bytes));
  Array array{dtype_of<T>(), shape, false, std::vector<std::byte>(bytes)};
  Random random(sizeof(T));
  for (auto& byte : array.bytes) byte = static_cast<std::byte>(random.below(2));
  write_npy(path, array.view());
  EXPECT_EQ(read_npy(InputStream::open(path)), array);
  EXPECT_EQ(read_file(path).find("NUMPY"), 1u);
}

TEST_F(Formats, NpyRoundTrip) {
  npy_round_trip<bool>(path("a.npy"), {3, 5});
  npy_round_trip<std::int8_t>(path("b.npy"), {});
  npy_round_trip<std::uint16_t>(path("c.npy"), {0, 4});
  npy_round_trip<std::int32_t>(path("d.npy"), {7});
  npy_round_trip<std::uint64_t>(path("e.npy"), {2, 3, 4, 5});
  npy_round_trip<float>(path("f.npy"), {1, 1, 1});
  npy_round_trip<double>(path("g.npy"), {300, 500});
  EXPECT_THROW(write_npy(path("h.npy"), ArrayView{DType::bf16, {1}, {}}), InvalidInput);
}

// A file as NumPy writes it, byte by byte: big-endian int16, version 1.0.
TEST(Npy, ReadsBigEndian) {
  std::string file("\x93NUMPY\x01\x00\x46\x00", 10);
  std::string header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 1), }";
  header.resize(0x46 - 1, ' ');
  file += header + "\n" + std::string("\x01\x02\xff\xfe", 4);
  const Array array = read_npy(InputStream::over("x.npy", file));
  EXPECT_EQ(array.shape, (Shape{2, 1}));
  EXPECT_TRUE(array.fortran_order);
  EXPECT_EQ(array.as<std::int16_t>()[0], 0x0102);
  EXPECT_EQ(array.as<std::int16_t>()[1], -2);
  EXPECT_EQ(refusal([&] { array.as<float>(); }), "element type of the array is 'int16'; accepted: float32");
}

std::string npy_with(const std::string& header, const std::string& data = "") {
  std::string file("\x93NUMPY\x01\x00", 8);
  file += {static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  return file + header + data;
}

TEST(Npy, RefusesBadHeaders) {
  const auto refused = [](const std::string& file) {
    return refusal([&] { read_npy(InputStream::over("x.npy", file)); });
  };
  const std::string accepted = "; accepted: a NumPy header with descr, fortran_order and shape";
  EXPECT_EQ(refused("hello, world"),
            "x.npy: byte 0: this is no .npy file; accepted: a file that begins with \\x93NUMPY");
  EXPECT_EQ(refused("\x93NUM"), "x.npy: byte 4: the file ends within the magic of a .npy file");
  EXPECT_EQ(refused(std::string("\x93NUMPY\x09\x00", 8)),
            "x.npy: byte 6: format version 9; accepted: 1, 2 or 3");
  EXPECT_EQ(refused(npy_with("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}")),
            "x.npy: byte 24: element type '|O' is not read" + accepted);
  EXPECT_EQ(refused(npy_with("{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (1,)}")),
            "x.npy: byte 20: structured arrays are not read" + accepted);
  EXPECT_EQ(refused(npy_with("{'descr': '<f4', 'shape': (1,)}")),
            "x.npy: byte 41: the header lacks descr, fortran_order or shape" + accepted);
  EXPECT_EQ(
      refused(npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999)}")),
      "x.npy: byte 10: shape (99999999999, 99999999999) is too large");
  // A false shape is found by the end of the data, not by taking 4 TB of memory.
  EXPECT_THAT(
      refused(npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,)}", "abcd")),
      HasSubstr("the file ends within the array's elements"));
  EXPECT_THAT(refused(npy_with("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", "abcdefgh")),
              HasSubstr("bytes behind the end of the data"));
}

TEST_F(Formats, NpzRoundTripAndDamage) {
  const std::vector<float> values{1, 2, 3, 4};
  const std::map<std::string, Array> arrays{{"w", Array::of<float>({2, 2}, values)},
                                            {"empty", Array::of<float>({0}, {})}};
  write_npz(path("x.npz"), arrays);
  EXPECT_EQ(read_npz(path("x.npz")), arrays);
  write_npz(path("none.npz"), {});
  EXPECT_TRUE(read_npz(path("none.npz")).empty());
  std::string bytes = read_file(path("x.npz"));
  bytes[bytes.rfind("\x93NUMPY") + 128 + 2] ^= 1;
  EXPECT_THAT(refusal([&] { parse_npz("x.npz", bytes); }), HasSubstr("does not match its checksum"));
  EXPECT_EQ(refusal([] { parse_npz("x.npz", "no archive at all, just text"); }),
            "x.npz: byte 0: this is no ZIP archive; accepted: a ZIP archive of .npy files");
}

// Independent oracle: NumPy itself, where the virtual environment has it.
TEST_F(Formats, NumPyReadsWhatWeWriteAndWeReadWhatNumPyWrites) {
  const std::string python = cache_folder() + "/venv/bin/python";
  if (std::system((python + " -c 'import numpy' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "no NumPy on this machine";
  const std::vector<double> values{0.5, -1, 2, 3, 1e300, -0.0};
  write_npy(path("ours.npy"), Array::of<double>({3, 2}, values).view());
  write_npz(path("ours.npz"), {{"v", Array::of<double>({6}, values)}});
  const std::string script =
      "import numpy as n,sys\n"
      "f=sys.argv[1]\n"
      "a=n.load(f+'/ours.npy'); assert a.shape==(3,2) and a[2,0]==1e300\n"
      "b=n.load(f+'/ours.npz')['v']; assert (b.reshape(3,2)==a).all()\n"
      "n.save(f+'/theirs.npy', n.asfortranarray(a))\n"
      "n.savez_compressed(f+'/theirs.npz', v=b, h=n.arange(5,dtype='>u4'), s=n.float16(1.5))\n";
  put("check.py", script);
  ASSERT_EQ(std::system((python + " " + path("check.py") + " " + path("")).c_str()), 0);
  const Array theirs = read_npy(InputStream::open(path("theirs.npy")));
  EXPECT_TRUE(theirs.fortran_order);
  EXPECT_EQ(theirs.as<double>()[1], 2);  // column-major: down the first column
  const auto all = read_npz(path("theirs.npz"));
  EXPECT_EQ(all.at("v"), Array::of<double>({6}, values));
  EXPECT_EQ(all.at("h").as<std::uint32_t>()[4], 4u);
  EXPECT_EQ(all.at("s").dtype, DType::f16);
}

TEST(Idx, ReadsBigEndianElements) {
  const std::string file("\0\0\x0B\x01\0\0\0\x02\x01\x02\xff\xfe", 12);
  const Array array = read_idx(InputStream::over("x.idx", file));
  EXPECT_EQ(array.shape, Shape{2});
  EXPECT_EQ(array.as<std::int16_t>()[0], 0x0102);
  EXPECT_EQ(array.as<std::int16_t>()[1], -2);
}

TEST(Idx, RefusesWhatIsNone) {
  const auto refused = [](const std::string& file) {
    return refusal([&] { read_idx(InputStream::over("x.idx", file)); });
  };
  EXPECT_EQ(refused("abcdef"),
            "x.idx: byte 0: this is no IDX file; accepted: two zero bytes, then an element type of 8, 9, 11, "
            "12, 13 or "
            "14");
  EXPECT_EQ(refused(std::string("\0\0\x08\0", 4)), "x.idx: byte 3: 0 dimensions; accepted: 1 to 8");
  EXPECT_EQ(refused(std::string("\0\0\x08\x01\0\0\0\x05"
                                "abc",
                                11)),
            "x.idx: byte 11: the file ends within the elements");
  EXPECT_EQ(refused(std::string("\0\0\x08\x01\0\0\0\x02"
                                "abc",
                                11)),
            "x.idx: byte 10: bytes behind the end of the data");
}

TEST(Idx, FashionMnistIsWhole) {
  const std::string folder = try_dataset("fashion-mnist");
  if (folder.empty()) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const Array images = read_idx(InputStream::open(folder + "/t10k-images-idx3-ubyte.gz"));
  const Array labels = read_idx(InputStream::open(folder + "/t10k-labels-idx1-ubyte.gz"));
  EXPECT_EQ(images.shape, (Shape{10'000, 28, 28}));
  EXPECT_EQ(labels.shape, Shape{10'000});
  std::array<int, 10> count{};
  for (const std::uint8_t label : labels.as<std::uint8_t>()) ++count.at(label);
  EXPECT_THAT(count, testing::Each(1000));
}

TEST_F(Formats, SafetensorsRoundTrip) {
  const std::vector<float> values{1, 2, 3, 4, 5, 6};
  const std::vector<std::uint8_t> bytes{7, 8, 9};
  const Array a = Array::of<float>({2, 3}, values), b = Array::of<std::uint8_t>({3}, bytes);
  write_safetensors(path("x.safetensors"),
                    {{"a.bytes", b.view()}, {"z.weight", a.view()}, {"none", {DType::bf16, {0, 5}, {}}}},
                    {{"format", "pt"}});
  const SafetensorsFile file(path("x.safetensors"));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors().size(), 3u);
  const auto weight = file.tensor("z.weight");
  EXPECT_EQ(weight.shape, (Shape{2, 3}));
  EXPECT_TRUE(std::equal(values.begin(), values.end(), weight.as<float>().begin()));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(weight.bytes.data()) % 8, 0u);
  EXPECT_EQ(file.tensor("a.bytes").as<std::uint8_t>()[2], 9);
  EXPECT_EQ(refusal([&] { file.tensor("z.weigth"); }),
            path("x.safetensors") + " has no tensor 'z.weigth'; did you mean 'z.weight'?");
}

TEST(Safetensors, RefusesBadHeaders) {
  const auto refused = [](const std::string& header, std::size_t data_bytes) {
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    file[1] = static_cast<char>(header.size() >> 8);
    file += header + std::string(data_bytes, 'x');
    return refusal([&] { parse_safetensors("m", std::as_bytes(std::span(file.data(), file.size()))); });
  };
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_EQ(refused("{" + a + "}", 4), "accepted");
  EXPECT_EQ(refused("{" + a + "}", 5), "m: byte 66: bytes behind the last tensor");
  EXPECT_EQ(refused("{" + a + "," + a + "}", 4), "m: byte 8: tensor 'a' stands twice in the header");
  EXPECT_EQ(refused("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})", 6),
            "m: byte 8: tensor 'b' overlaps the one before it");
  EXPECT_EQ(refused("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})", 12),
            "m: byte 8: there is a hole before tensor 'b'");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4),
            "m: byte 8: tensor 'a' of shape (2,) and type float32 has 4 bytes of data");
  EXPECT_EQ(
      refused(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4),
      "m: byte 8: tensor 'a' has dtype \"F33\"; accepted: BOOL, U8 to U64, I8 to I64, F8_E4M3, F8_E5M2, F16, "
      "BF16, F32, F64");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}})", 4),
            "m: byte 8: tensor 'a' lies at bytes 0 to 400 of 4 bytes of data");
  EXPECT_EQ(refused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4),
            "m: byte 8: tensor 'a': shape holds no natural number");
  EXPECT_EQ(refused("[]", 0), "m: byte 8: the header is no JSON object");
  EXPECT_EQ(refused("{", 0), "m: byte 8: the header is no JSON");
  EXPECT_EQ(refusal([] { parse_safetensors("m", {}); }),
            "m: byte 0: the file ends within the header's length");
}

// Independent oracle: the safetensors of a wheel that is in the virtual environment, where it is.
TEST_F(Formats, SafetensorsLibraryReadsWhatWeWrite) {
  const std::string python = cache_folder() + "/venv/bin/python";
  if (std::system((python + " -c 'import safetensors.numpy' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "the safetensors package is not in the virtual environment";
  const std::vector<float> values{1, 2, 3};
  const Array a = Array::of<float>({3}, values);
  write_safetensors(path("x.safetensors"), {{"a", a.view()}});
  put("check.py",
      "import sys,safetensors.numpy as s\nassert s.load_file(sys.argv[1])['a'].tolist()==[1,2,3]\n");
  EXPECT_EQ(std::system((python + " " + path("check.py") + " " + path("x.safetensors")).c_str()), 0);
}

}  // namespace
}  // namespace ballast::data
