// .npz: a ZIP archive whose members are .npy files. Read through the central directory, as ZIP demands; sizes
// and offsets of its ZIP64 extension are understood.
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/mapped_file.h"
#include "ballast/data/npy.h"
#include "ballast/data/npy_header.h"

namespace ballast::data {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                        kEnd64Locator = 0x07064b50;

class Archive {
 public:
  Archive(const std::string& name, std::string_view bytes) : name_(name), bytes_(bytes) {}

  std::map<std::string, Array> read() {
    std::map<std::string, Array> arrays;
    std::uint64_t count = 0, at = directory(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      need(at, 46, "the archive's directory");
      if (u32(at) != kCentral) fail(at, "no entry of the archive's directory here");
      const std::uint16_t flags = u16(at + 8), method = u16(at + 10);
      std::uint64_t packed = u32(at + 20), size = u32(at + 24), offset = u32(at + 42);
      const std::uint64_t name_size = u16(at + 28), extra = u16(at + 30), comment = u16(at + 32);
      need(at, 46 + name_size + extra + comment, "the archive's directory");
      std::string member(bytes_.substr(at + 46, name_size));
      widen(at + 46 + name_size, extra, size, packed, offset);
      if (flags & 1) fail(at, fmt::format("member '{}' is encrypted", member));
      const std::string content = unpack(member, method, packed, size, offset);
      if (crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())) !=
          u32(at + 16))
        fail(offset, fmt::format("member '{}' does not match its checksum", member));
      Array array = read_npy(InputStream::over(name_ + "[" + member + "]", content));
      if (member.ends_with(".npy")) member.resize(member.size() - 4);
      if (!arrays.emplace(member, std::move(array)).second)
        fail(at, fmt::format("member '{}' twice", member));
      at += 46 + name_size + extra + comment;
    }
    return arrays;
  }

 private:
  [[noreturn]] void fail(std::uint64_t at, const std::string& problem) const {
    throw InvalidInput::at_byte(name_, at, problem, "a ZIP archive of .npy files");
  }
  void need(std::uint64_t at, std::uint64_t size, const char* what) const {
    if (at > bytes_.size() || size > bytes_.size() - at)
      fail(at, fmt::format("the file ends within {}", what));
  }
  std::uint64_t number(std::uint64_t at, int size) const {
    std::uint64_t value = 0;
    for (int i = size - 1; i >= 0; --i)
      value = value << 8 | static_cast<unsigned char>(bytes_[at + static_cast<std::uint64_t>(i)]);
    return value;
  }
  std::uint16_t u16(std::uint64_t at) const { return static_cast<std::uint16_t>(number(at, 2)); }
  std::uint32_t u32(std::uint64_t at) const { return static_cast<std::uint32_t>(number(at, 4)); }

  // Where the directory begins and how many entries it has.
  std::uint64_t directory(std::uint64_t& count) const {
    constexpr std::uint64_t kEndBytes = 22;
    if (bytes_.size() < kEndBytes) fail(0, "this is no ZIP archive");
    const std::uint64_t last = bytes_.size() - kEndBytes, first = last > 65'535 ? last - 65'535 : 0;
    for (std::uint64_t at = last;; --at) {
      if (u32(at) == kEnd && u16(at + 20) == bytes_.size() - at - kEndBytes) {
        count = u16(at + 10);
        std::uint64_t begin = u32(at + 16);
        if (count == 0xffff || begin == 0xffffffff) {
          if (at < 20 || u32(at - 20) != kEnd64Locator) fail(at, "the archive's ZIP64 directory is missing");
          const std::uint64_t end64 = number(at - 12, 8);
          need(end64, 56, "the archive's ZIP64 directory");
          if (u32(end64) != kEnd64) fail(end64, "the archive's ZIP64 directory is missing");
          count = number(end64 + 32, 8);
          begin = number(end64 + 48, 8);
        }
        return begin;
      }
      if (at == first) fail(0, "this is no ZIP archive");
    }
  }

  // Replaces the sizes that do not fit into 32 bits by those of the ZIP64 extra field.
  void widen(std::uint64_t at, std::uint64_t size, std::uint64_t& full, std::uint64_t& packed,
             std::uint64_t& offset) const {
    const std::uint64_t end = at + size;
    while (at + 4 <= end) {
      const std::uint16_t id = u16(at), length = u16(at + 2);
      at += 4;
      if (length > end - at) fail(at, "an extra field of the archive is too long");
      if (id == 1) {
        std::uint64_t field = at;
        for (std::uint64_t* value : {&full, &packed, &offset}) {
          if (*value != 0xffffffff) continue;
          if (field + 8 > at + length) fail(at, "the ZIP64 sizes of a member are missing");
          *value = number(field, 8);
          field += 8;
        }
      }
      at += length;
    }
  }

  std::string unpack(const std::string& member, std::uint16_t method, std::uint64_t packed,
                     std::uint64_t size, std::uint64_t offset) const {
    need(offset, 30, "a member's header");
    if (u32(offset) != kLocal) fail(offset, fmt::format("member '{}' has no header here", member));
    const std::uint64_t begin = offset + 30 + u16(offset + 26) + u16(offset + 28);
    need(begin, packed, "a member's data");
    const std::string_view data = bytes_.substr(begin, packed);
    if (method == 0) {
      if (packed != size) fail(offset, fmt::format("member '{}' has two different sizes", member));
      return std::string(data);
    }
    if (method != 8)
      fail(offset, fmt::format("member '{}' is packed by method {}, not stored or deflated", member, method));
    // Deflate cannot expand more than 1032-fold, so a false size is found before memory is taken.
    if (size > packed * 1040 + 1024)
      fail(offset, fmt::format("member '{}' cannot unpack to {} bytes", member, size));
    std::string out(size, '\0');
    z_stream z{};
    BALLAST_CHECK(inflateInit2(&z, -15) == Z_OK);
    int code = Z_OK;
    std::uint64_t in_at = 0, out_at = 0;
    constexpr std::uint64_t kStep = std::uint64_t{1} << 30;
    while (code == Z_OK) {
      const auto give = static_cast<uInt>(std::min(kStep, packed - in_at));
      const auto room = static_cast<uInt>(std::min(kStep, size - out_at));
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data() + in_at));
      z.avail_in = give;
      z.next_out = reinterpret_cast<Bytef*>(out.data() + out_at);
      z.avail_out = room;
      code = inflate(&z, Z_NO_FLUSH);
      in_at += give - z.avail_in;
      out_at += room - z.avail_out;
    }
    inflateEnd(&z);
    if (code != Z_STREAM_END || out_at != size)
      fail(begin, fmt::format("the data of member '{}' are damaged", member));
    return out;
  }

  const std::string& name_;
  std::string_view bytes_;
};

void put(std::string& out, std::uint64_t value, int size) {
  for (int i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
}

}  // namespace

std::map<std::string, Array> parse_npz(const std::string& name, std::string_view bytes) {
  return Archive(name, bytes).read();
}

std::map<std::string, Array> read_npz(const std::string& path) {
  const MappedFile file(path);
  return parse_npz(path, {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
}

void write_npz(const std::string& path, const std::map<std::string, Array>& arrays) {
  AtomicFile file(path);
  std::string central;
  std::uint64_t offset = 0;
  for (const auto& [name, array] : arrays) {
    const std::string header = npy_header_text(array.view(), array.fortran_order), member = name + ".npy";
    const std::uint64_t size = header.size() + array.bytes.size();
    if (offset + size + member.size() > 0xf0000000u || arrays.size() > 65'000)
      throw InvalidInput(path, "an archive of more than 3.75 GiB or 65 000 arrays",
                         "smaller archives, or .npy files");
    uLong crc = crc32(0, reinterpret_cast<const Bytef*>(header.data()), static_cast<uInt>(header.size()));
    if (!array.bytes.empty())  // zlib takes a null pointer for a restart
      crc = crc32_z(crc, reinterpret_cast<const Bytef*>(array.bytes.data()), array.bytes.size());
    // What the local header and the directory have in common: version 2.0, no flags, stored, 1 January 1980.
    std::string common;
    for (const std::uint64_t value : {20, 0, 0, 0, 0x21}) put(common, value, 2);
    for (const std::uint64_t value : {std::uint64_t{crc}, size, size}) put(common, value, 4);
    put(common, member.size(), 2);
    put(common, 0, 2);
    std::string local;
    put(local, kLocal, 4);
    local += common + member;
    file.write(local);
    file.write(header);
    file.write(std::span<const std::byte>(array.bytes));
    put(central, kCentral, 4);
    put(central, 20, 2);
    central += common;
    for (const int width : {2, 2, 2, 4}) put(central, 0, width);
    put(central, offset, 4);
    central += member;
    offset += local.size() + size;
  }
  const std::uint64_t directory_bytes = central.size();
  put(central, kEnd, 4);
  put(central, 0, 4);
  put(central, arrays.size(), 2);
  put(central, arrays.size(), 2);
  put(central, directory_bytes, 4);
  put(central, offset, 4);
  put(central, 0, 2);
  file.write(central);
  file.commit();
}

}  // namespace ballast::data
