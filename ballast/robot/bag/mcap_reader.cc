#include <fmt/format.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/mcap.h"

namespace ballast::bag {
namespace {

using mcap::Op;

std::uint32_t crc_of(ByteView bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, bytes.data(), bytes.size()));
}

/// Reads one record's content; every read is checked.
class Fields {
 public:
  Fields(ByteView content, std::string_view file, std::uint64_t offset)
      : content_(content), file_(file), offset_(offset) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text() {
    const auto bytes = take(number<std::uint32_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::map<std::string, std::string> text_map() {
    Fields inner(take(number<std::uint32_t>()), file_, offset_);
    std::map<std::string, std::string> map;
    while (inner.left() > 0) {
      auto key = inner.text();
      map[std::move(key)] = inner.text();
    }
    return map;
  }
  ByteView take(std::uint64_t size) {
    if (size > left()) fail(fmt::format("{} bytes claimed where {} are left", size, left()));
    const auto part = content_.subspan(at_, size);
    at_ += size;
    return part;
  }
  std::uint64_t left() const { return content_.size() - at_; }
  std::uint64_t at() const { return at_; }
  [[noreturn]] void fail(const std::string& problem) const {
    throw InvalidInput::at_byte(file_, offset_ + at_, problem);
  }

 private:
  ByteView content_;
  std::string_view file_;
  std::uint64_t offset_, at_ = 0;
};

}  // namespace

McapFile::McapFile(ByteView bytes, std::string name, const McapOptions& options)
    : bytes_(bytes), name_(std::move(name)), options_(options) {
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min<std::size_t>(bytes.size(), 64));
  if (start.starts_with("version https://git-lfs"))
    throw InvalidInput(name_ + " is a git-LFS pointer, not the data: fetch it with `git lfs pull`");
  if (bytes.size() < 8 || std::memcmp(bytes.data(), mcap::kMagic, 8) != 0)
    throw InvalidInput::at_byte(name_, 0, "no MCAP file", "the magic 89 4D 43 41 50 30 0D 0A");
  try {
    scan(bytes.subspan(8), 8, mcap::kNoChunk, true);
    if (!ended_) throw InvalidInput::at_byte(name_, bytes.size(), "the file ends before its data do");
  } catch (const InvalidInput& error) {
    if (!options.recover) throw;
    damage_.push_back(error.what());
  }
  std::erase_if(messages_, [&](const mcap::MessageEntry& entry) {
    if (channels_.contains(entry.channel)) return false;
    const std::string problem =
        fmt::format("{}: a message of channel {}, which is not declared", name_, entry.channel);
    if (!options_.recover) throw InvalidInput(problem);
    damage_.push_back(problem);
    return true;
  });
  std::stable_sort(messages_.begin(), messages_.end(),
                   [](const auto& a, const auto& b) { return a.log_time < b.log_time; });
}

void McapFile::scan(ByteView records, std::uint64_t base, std::uint32_t chunk, bool top) {
  std::uint64_t at = 0;
  while (at < records.size()) {
    const std::uint64_t left = records.size() - at;
    if (top && left == 8 && std::memcmp(records.data() + at, mcap::kMagic, 8) == 0) {
      ended_ = true;
      return;
    }
    if (left < 9) throw InvalidInput::at_byte(name_, base + at, "a record cut off in its head");
    std::uint64_t length;
    std::memcpy(&length, records.data() + at + 1, 8);
    if (length > left - 9)
      throw InvalidInput::at_byte(name_, base + at,
                                  fmt::format("a record of {} bytes where {} are left", length, left - 9));
    record(static_cast<Op>(records[at]), records.subspan(at + 9, length),
           chunk == mcap::kNoChunk ? base + at + 9 : at + 9, chunk);
    at += 9 + length;
  }
}

void McapFile::record(Op op, ByteView content, std::uint64_t offset, std::uint32_t chunk) {
  Fields fields(content, name_, offset);
  switch (op) {
    case Op::header:
      profile_ = fields.text();
      library_ = fields.text();
      return;
    case Op::schema: {
      mcap::Schema schema;
      schema.id = fields.number<std::uint16_t>();
      schema.name = fields.text();
      schema.encoding = fields.text();
      const auto data = fields.take(fields.number<std::uint32_t>());
      schema.data.assign(data.begin(), data.end());
      if (schema.id == 0) fields.fail("a schema of id 0");
      const auto id = schema.id;
      schemas_.insert_or_assign(id, std::move(schema));
      return;
    }
    case Op::channel: {
      mcap::Channel channel;
      channel.id = fields.number<std::uint16_t>();
      channel.schema = fields.number<std::uint16_t>();
      channel.topic = fields.text();
      channel.message_encoding = fields.text();
      channel.metadata = fields.text_map();
      if (channel.schema != 0 && !schemas_.contains(channel.schema))
        fields.fail(fmt::format("channel '{}' refers to schema {}, which is not declared", channel.topic,
                                channel.schema));
      const auto id = channel.id;
      channels_.insert_or_assign(id, std::move(channel));
      return;
    }
    case Op::message: {
      mcap::MessageEntry entry;
      entry.channel = fields.number<std::uint16_t>();
      entry.sequence = fields.number<std::uint32_t>();
      entry.log_time = fields.number<std::uint64_t>();
      entry.publish_time = fields.number<std::uint64_t>();
      entry.chunk = chunk;
      entry.offset = offset + fields.at();
      entry.size = fields.left();
      messages_.push_back(entry);
      return;
    }
    case Op::chunk: {
      if (chunk != mcap::kNoChunk) fields.fail("a chunk within a chunk");
      fields.number<std::uint64_t>();
      fields.number<std::uint64_t>();
      Chunk made;
      made.uncompressed = fields.number<std::uint64_t>();
      made.crc = fields.number<std::uint32_t>();
      made.compression = fields.text();
      made.size = fields.number<std::uint64_t>();
      made.offset = offset + fields.at();
      fields.take(made.size);
      const auto number = static_cast<std::uint32_t>(chunks_.size());
      chunks_.push_back(made);
      try {
        const auto records = decompress(made);
        scan(records, made.offset, number, false);
      } catch (const InvalidInput& error) {
        if (!options_.recover) throw;
        damage_.push_back(error.what());
      }
      return;
    }
    case Op::attachment: {
      mcap::Attachment attachment;
      attachment.log_time = fields.number<std::uint64_t>();
      attachment.create_time = fields.number<std::uint64_t>();
      attachment.name = fields.text();
      attachment.media_type = fields.text();
      const auto data = fields.take(fields.number<std::uint64_t>());
      attachment.data.assign(data.begin(), data.end());
      const auto covered = fields.at();
      const auto crc = fields.number<std::uint32_t>();
      if (options_.check_crc && crc != 0 && crc != crc_of(content.first(covered)))
        fields.fail(fmt::format("the checksum of attachment '{}' differs", attachment.name));
      attachments_.push_back(std::move(attachment));
      return;
    }
    case Op::statistics:
      statistics_.messages = fields.number<std::uint64_t>();
      statistics_.schemas = fields.number<std::uint16_t>();
      statistics_.channels = fields.number<std::uint32_t>();
      statistics_.attachments = fields.number<std::uint32_t>();
      statistics_.metadata = fields.number<std::uint32_t>();
      statistics_.chunks = fields.number<std::uint32_t>();
      statistics_.start = fields.number<std::uint64_t>();
      statistics_.end = fields.number<std::uint64_t>();
      has_statistics_ = true;
      return;
    case Op::metadata: {
      auto key = fields.text();
      metadata_.emplace_back(std::move(key), fields.text_map());
      return;
    }
    case Op::data_end: {
      const auto crc = fields.number<std::uint32_t>();
      const std::uint64_t covered = offset - 9;
      if (options_.check_crc && crc != 0 && crc != crc_of(bytes_.first(covered)))
        fields.fail("the checksum of the data section differs");
      return;
    }
    default:
      return;  // indexes are not needed: everything was read in order; unknown records are skipped
  }
}

std::vector<std::uint8_t> McapFile::decompress(const Chunk& chunk) const {
  const auto problem = [&](const std::string& text) {
    return InvalidInput::at_byte(name_, chunk.offset, text);
  };
  const ByteView packed = bytes_.subspan(chunk.offset, chunk.size);
  if (chunk.uncompressed > bytes_.size() * 64)
    throw problem(fmt::format("a chunk that claims {} bytes, over 64 times the file", chunk.uncompressed));
  std::vector<std::uint8_t> records(chunk.uncompressed);
  if (chunk.compression.empty()) {
    if (chunk.uncompressed != packed.size())
      throw problem("an uncompressed chunk of another size than it states");
    std::copy(packed.begin(), packed.end(), records.begin());
  } else if (chunk.compression == "zstd") {
    const auto got = ZSTD_decompress(records.data(), records.size(), packed.data(), packed.size());
    if (ZSTD_isError(got) || got != records.size()) throw problem("a zstd chunk that does not decompress");
  } else if (chunk.compression == "lz4") {
    LZ4F_dctx* context = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
      throw Unavailable("lz4: no memory");
    std::size_t in = 0, out = 0, hint = 1;
    while (hint != 0 && in < packed.size()) {
      std::size_t produced = records.size() - out, consumed = packed.size() - in;
      hint =
          LZ4F_decompress(context, records.data() + out, &produced, packed.data() + in, &consumed, nullptr);
      in += consumed;
      out += produced;
      if (LZ4F_isError(hint) || (consumed == 0 && produced == 0)) break;
    }
    LZ4F_freeDecompressionContext(context);
    if (LZ4F_isError(hint) || out != records.size()) throw problem("an lz4 chunk that does not decompress");
  } else {
    throw problem(fmt::format("chunk compression '{}'; accepted: none, zstd, lz4", chunk.compression));
  }
  if (options_.check_crc && chunk.crc != 0 && chunk.crc != crc_of(records))
    throw problem("the checksum of a chunk differs");
  return records;
}

ByteView McapFile::data(const mcap::MessageEntry& entry) {
  if (entry.chunk == mcap::kNoChunk) return bytes_.subspan(entry.offset, entry.size);
  if (cached_ != entry.chunk) {
    cache_ = decompress(chunks_[entry.chunk]);
    cached_ = entry.chunk;
  }
  return ByteView(cache_).subspan(entry.offset, entry.size);
}

}  // namespace ballast::bag
