#include "ballast/data/npy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/npy_header.h"

namespace ballast::data {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::uint32_t kLongestHeader = 1 << 20;

struct TypeCode {
  DType type;
  std::string_view code;  // kind and size; the byte order stands before it
};
constexpr TypeCode kCodes[] = {{DType::boolean, "b1"}, {DType::u8, "u1"},  {DType::i8, "i1"},
                               {DType::u16, "u2"},     {DType::i16, "i2"}, {DType::u32, "u4"},
                               {DType::i32, "i4"},     {DType::u64, "u8"}, {DType::i64, "i8"},
                               {DType::f16, "f2"},     {DType::f32, "f4"}, {DType::f64, "f8"}};

// The header is the text of a Python dictionary with the keys descr, fortran_order and shape; this walks over
// it.
class HeaderParser {
 public:
  HeaderParser(const std::string& file, std::uint64_t base, std::string_view text)
      : file_(file), base_(base), text_(text) {}

  NpyHeader parse() {
    NpyHeader header;
    bool has_descr = false, has_order = false, has_shape = false;
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        read_type(header);
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        header.fortran_order = boolean();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        header.shape = shape();
      } else {
        fail(fmt::format("unexpected key '{}'", key.substr(0, 40)));
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    blanks();
    if (at_ != text_.size()) fail("text behind the header's dictionary");
    if (!has_descr || !has_order || !has_shape) fail("the header lacks descr, fortran_order or shape");
    return header;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw InvalidInput::at_byte(file_, base_ + at_, problem,
                                "a NumPy header with descr, fortran_order and shape");
  }
  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(fmt::format("'{}' is missing in the header", c));
  }
  bool word(std::string_view w) {
    blanks();
    if (!text_.substr(at_).starts_with(w)) return false;
    at_ += w.size();
    return true;
  }
  std::string quoted() {
    blanks();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    if (quote != '\'' && quote != '"') fail("a quoted text is missing in the header");
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a quoted text of the header never ends");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  bool boolean() {
    if (word("True")) return true;
    if (!word("False")) fail("fortran_order is neither True nor False");
    return false;
  }
  Shape shape() {
    Shape extents;
    expect('(');
    while (!take(')')) {
      blanks();
      std::uint64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), extent);
      if (error != std::errc()) fail("the shape holds something that is no extent");
      at_ = static_cast<std::size_t>(end - text_.data());
      word("L");  // Python 2 wrote long integers so
      extents.push_back(extent);
      if (extents.size() > 32) fail("the shape has more than 32 extents");
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }
  void read_type(NpyHeader& header) {
    blanks();
    if (at_ < text_.size() && text_[at_] == '[') fail("structured arrays are not read");
    const std::string descr = quoted();
    const char order = descr.empty() ? '\0' : descr[0];
    for (const auto& [type, code] : kCodes) {
      if (std::strchr("<>|=", order) == nullptr || order == '\0' || std::string_view(descr).substr(1) != code)
        continue;
      if (order == '|' && size_of(type) > 1) break;
      header.dtype = type;
      header.big_endian = order == '>';
      return;
    }
    fail(fmt::format("element type '{}' is not read", descr.substr(0, 40)));
  }

  const std::string& file_;
  std::uint64_t base_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

NpyHeader read_npy_header(InputStream& in) {
  std::array<char, 8> start{};
  in.read_exactly(start.data(), start.size(), "the magic of a .npy file");
  if (std::string_view(start.data(), 6) != kMagic)
    throw InvalidInput::at_byte(in.name(), 0, "this is no .npy file", "a file that begins with \\x93NUMPY");
  const int major = static_cast<unsigned char>(start[6]);
  if (major < 1 || major > 3)
    throw InvalidInput::at_byte(in.name(), 6, fmt::format("format version {}", major), "1, 2 or 3");
  std::array<unsigned char, 4> raw{};
  in.read_exactly(raw.data(), major == 1 ? 2 : 4, "the header's length");
  const std::uint32_t length = raw[0] | raw[1] << 8 | raw[2] << 16 | std::uint32_t{raw[3]} << 24;
  if (length > kLongestHeader)
    throw InvalidInput::at_byte(in.name(), 8, fmt::format("a header of {} bytes", length),
                                fmt::format("up to {}", kLongestHeader));
  const std::uint64_t base = in.offset();
  std::string text(length, '\0');
  in.read_exactly(text.data(), length, "the header");
  NpyHeader header = HeaderParser(in.name(), base, text).parse();
  if (!byte_count(header.shape, size_of(header.dtype), header.bytes))
    throw InvalidInput::at_byte(in.name(), base,
                                fmt::format("shape {} is too large", to_string(header.shape)));
  return header;
}

Array read_npy(InputStream in) {
  const NpyHeader header = read_npy_header(in);
  Array array{header.dtype, header.shape, header.fortran_order, {}};
  array.bytes = in.read_bytes(header.bytes, "the array's elements");
  in.expect_end();
  if (header.big_endian) swap_bytes(array.bytes, size_of(array.dtype));
  return array;
}

std::string npy_header_text(const ArrayView& array, bool fortran_order) {
  std::string_view code;
  for (const auto& entry : kCodes)
    if (entry.type == array.dtype) code = entry.code;
  if (code.empty())
    throw InvalidInput("element type of a .npy file", to_string(array.dtype), "a type that NumPy has");
  std::uint64_t bytes = 0;
  if (!byte_count(array.shape, size_of(array.dtype), bytes) || bytes != array.bytes.size())
    throw InvalidInput(fmt::format("an array of shape {} of {} has {} bytes, not {}", to_string(array.shape),
                                   to_string(array.dtype), bytes, array.bytes.size()));
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': {}, 'shape': {}, }}",
                                 size_of(array.dtype) == 1 ? '|' : '<', code,
                                 fortran_order ? "True" : "False", to_string(array.shape));
  // Magic, version, length and header together are a multiple of 64 bytes, and a line end closes the header.
  text.append(63 - (kMagic.size() + 4 + text.size()) % 64, ' ');
  text += '\n';
  std::string out(kMagic);
  out += {'\x01', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return out + text;
}

void write_npy(const std::string& path, const ArrayView& array) {
  AtomicFile file(path);
  file.write(npy_header_text(array, false));
  file.write(array.bytes);
  file.commit();
}

}  // namespace ballast::data
