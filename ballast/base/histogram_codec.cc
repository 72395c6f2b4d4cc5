// HdrHistogram's exchange format V2, big endian:
//
//   compressed:    0x1c849314, bytes that follow (i32), zlib stream of the uncompressed form
//   uncompressed:  0x1c849313, payload bytes (i32), normalizing index offset (i32), significant digits (i32),
//                  lowest (i64), highest (i64), integer to double conversion ratio (f64), payload
//   payload:       the cells upwards to the last non-empty one, each a ZigZag LEB128 number of at most 9
//   bytes;
//                  a negative number -n stands for n empty cells
#include <fmt/format.h>
#include <zlib.h>

#include <bit>
#include <cstring>

#include "ballast/base/base64.h"
#include "ballast/base/errors.h"
#include "ballast/base/histogram.h"

namespace ballast {
namespace {

constexpr std::uint32_t kCookie = 0x1c849313, kCompressedCookie = 0x1c849314;
constexpr std::uint32_t kCookieFamily = 0x1c849300;
constexpr std::size_t kLimitBytes = std::size_t{64} << 20;

template <typename Integer>
void put(std::string& out, Integer value) {
  for (int shift = 8 * static_cast<int>(sizeof value) - 8; shift >= 0; shift -= 8)
    out += static_cast<char>(static_cast<std::uint64_t>(value) >> shift & 255);
}

void put_zigzag(std::string& out, std::int64_t value) {
  auto bits = static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
  for (int i = 0; i < 8; ++i) {
    if (bits < 128) {
      out += static_cast<char>(bits);
      return;
    }
    out += static_cast<char>(bits | 128);
    bits >>= 7;
  }
  out += static_cast<char>(bits);  // the ninth byte carries eight bits
}

// Reads big-endian fields; every complaint names the byte.
class Reader {
 public:
  Reader(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  template <typename Integer>
  Integer get(const char* what) {
    if (left() < sizeof(Integer)) refuse(fmt::format("ends inside its {}", what));
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) value = value << 8 | byte();
    return static_cast<Integer>(value);
  }

  std::int64_t get_zigzag() {
    std::uint64_t bits = 0;
    for (int i = 0; i < 9; ++i) {
      if (left() == 0) refuse("ends inside a count");
      const std::uint64_t b = byte();
      if (i == 8) {
        bits |= b << 56;
        break;
      }
      bits |= (b & 127) << (7 * i);
      if (b < 128) break;
    }
    return static_cast<std::int64_t>(bits >> 1 ^ (0 - (bits & 1)));
  }

  std::size_t left() const { return bytes_.size() - at_; }
  std::string_view rest() const { return bytes_.substr(at_); }
  [[noreturn]] void refuse(const std::string& problem) const {
    throw InvalidInput::at_byte(where_, at_, problem, "an HdrHistogram V2 histogram of integers");
  }

 private:
  std::uint64_t byte() { return static_cast<unsigned char>(bytes_[at_++]); }
  std::string_view bytes_, where_;
  std::size_t at_ = 0;
};

std::string inflate_all(std::string_view bytes, const Reader& reader) {
  z_stream stream{};
  if (::inflateInit(&stream) != Z_OK) throw Unavailable("zlib cannot start");
  struct End {
    z_stream* s;
    ~End() { ::inflateEnd(s); }
  } end{&stream};
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  char chunk[1 << 14];
  for (int code = Z_OK; code != Z_STREAM_END;) {
    stream.next_out = reinterpret_cast<Bytef*>(chunk);
    stream.avail_out = sizeof chunk;
    code = ::inflate(&stream, Z_NO_FLUSH);
    if (code != Z_OK && code != Z_STREAM_END) reader.refuse("its zlib stream is damaged");
    out.append(chunk, sizeof chunk - stream.avail_out);
    if (out.size() > kLimitBytes) reader.refuse("unpacks to more than 64 MiB");
  }
  return out;
}

}  // namespace

std::string Histogram::encode_bytes() const {
  std::string payload;
  for (std::size_t i = 0, end = used_cells(); i < end; ++i) {
    if (counts_[i] != 0) {
      put_zigzag(payload, counts_[i]);
      continue;
    }
    std::int64_t empty = 1;
    while (i + 1 < end && counts_[i + 1] == 0) ++empty, ++i;
    put_zigzag(payload, -empty);
  }
  std::string bytes;
  put(bytes, kCookie);
  put(bytes, static_cast<std::uint32_t>(payload.size()));
  put(bytes, std::uint32_t{0});
  put(bytes, static_cast<std::uint32_t>(range_.significant_digits));
  put(bytes, range_.lowest);
  put(bytes, range_.highest);
  put(bytes, std::bit_cast<std::uint64_t>(1.0));
  return bytes + payload;
}

std::string Histogram::encode_compressed_bytes() const {
  const std::string plain = encode_bytes();
  uLongf size = ::compressBound(plain.size());
  std::string packed(size, '\0');
  const int code =
      ::compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                  reinterpret_cast<const Bytef*>(plain.data()), plain.size(), Z_DEFAULT_COMPRESSION);
  if (code != Z_OK) throw Unavailable("zlib cannot compress a histogram");
  packed.resize(size);
  std::string bytes;
  put(bytes, kCompressedCookie);
  put(bytes, static_cast<std::uint32_t>(size));
  return bytes + packed;
}

std::string Histogram::encode() const {
  return base64_encode(encode_compressed_bytes());
}

Histogram Histogram::decode(std::string_view base64, std::string_view where) {
  const auto bytes = base64_decode(base64);
  if (!bytes)
    throw InvalidInput(fmt::format("{}: not base64; accepted: an HdrHistogram V2 histogram", where));
  return decode_bytes(*bytes, where);
}

Histogram Histogram::decode_bytes(std::string_view bytes, std::string_view where) {
  Reader reader(bytes, where);
  const auto cookie = reader.get<std::uint32_t>("cookie");
  if (cookie == kCompressedCookie) {
    const auto size = reader.get<std::uint32_t>("length");
    if (size != reader.left())
      reader.refuse(fmt::format("says that {} bytes follow where {} do", size, reader.left()));
    const std::string plain = inflate_all(reader.rest(), reader);
    if (Reader(plain, where).get<std::uint32_t>("cookie") != kCookie)
      reader.refuse("holds something other than a V2 histogram");
    return decode_bytes(plain, where);
  }
  if (cookie != kCookie) {
    reader.refuse((cookie & 0xffffff00) == kCookieFamily ? "an older version of the format"
                                                         : fmt::format("unknown cookie 0x{:08x}", cookie));
  }
  const auto payload_bytes = reader.get<std::uint32_t>("header");
  const auto offset = reader.get<std::uint32_t>("header");
  HistogramRange range;
  range.significant_digits = reader.get<std::int32_t>("header");
  range.lowest = reader.get<std::int64_t>("header");
  range.highest = reader.get<std::int64_t>("header");
  const auto ratio = std::bit_cast<double>(reader.get<std::uint64_t>("header"));
  if (offset != 0) reader.refuse("a shifted histogram (normalizing index offset)");
  if (ratio != 1.0) reader.refuse("a histogram of floating-point values");
  if (payload_bytes != reader.left())
    reader.refuse(fmt::format("says that {} bytes follow where {} do", payload_bytes, reader.left()));

  Histogram histogram(range);
  std::size_t cell = 0;
  while (reader.left() > 0) {
    const std::int64_t number = reader.get_zigzag();
    const std::uint64_t step = number < 0 ? 0 - static_cast<std::uint64_t>(number) : 1;
    if (step > histogram.counts_.size() - cell) reader.refuse("has more cells than its range");
    if (number > 0) {
      if (number > std::numeric_limits<std::int64_t>::max() - histogram.total_)
        reader.refuse("counts more than 2^63 records");
      histogram.counts_[cell] = number;
      histogram.total_ += number;
      histogram.min_ = std::min(histogram.min_, histogram.value_at(cell));
      histogram.max_ = histogram.value_at(cell);
    }
    cell += static_cast<std::size_t>(step);
  }
  return histogram;
}

}  // namespace ballast
