// The MCAP container (mcap.dev/spec): records of `opcode u8, length u64, content`, little-endian, between two
// magics; messages in chunks, an index behind them. Reading never trusts a length: nothing is read past the
// end, and nothing larger than 64 times the file is allocated.
//
//   McapFile file(bytes, "a.mcap");
//   for (const auto& entry : file.messages()) use(file.channel(entry.channel), file.data(entry));
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/base/file.h"

namespace ballast::bag {

using ByteView = std::span<const std::uint8_t>;

namespace mcap {

inline constexpr std::uint8_t kMagic[8] = {0x89, 'M', 'C', 'A', 'P', 0x30, '\r', '\n'};

enum class Op : std::uint8_t {
  header = 1,
  footer,
  schema,
  channel,
  message,
  chunk,
  message_index,
  chunk_index,
  attachment,
  attachment_index,
  statistics,
  metadata,
  metadata_index,
  summary_offset,
  data_end,
};

struct Schema {
  std::uint16_t id = 0;
  std::string name, encoding, data;
};
struct Channel {
  std::uint16_t id = 0, schema = 0;
  std::string topic, message_encoding;
  std::map<std::string, std::string> metadata;
};
struct Attachment {
  std::uint64_t log_time = 0, create_time = 0;
  std::string name, media_type;
  std::vector<std::uint8_t> data;
};
struct Statistics {
  std::uint64_t messages = 0;
  std::uint16_t schemas = 0;
  std::uint32_t channels = 0, attachments = 0, metadata = 0, chunks = 0;
  std::uint64_t start = 0, end = 0;
};

/// Where a message lies; its data are fetched by McapFile::data.
struct MessageEntry {
  std::uint64_t log_time = 0, publish_time = 0;
  std::uint32_t sequence = 0;
  std::uint16_t channel = 0;
  std::uint32_t chunk = 0;             ///< number of the chunk, or kNoChunk
  std::uint64_t offset = 0, size = 0;  ///< of the data, within the chunk's records or the file
};
inline constexpr std::uint32_t kNoChunk = UINT32_MAX;

}  // namespace mcap

struct McapOptions {
  bool recover = false;  ///< keep what is whole of a damaged file and note the damage, instead of refusing
  bool check_crc = true;
};

class McapFile {
 public:
  /// `bytes` must outlive the object. Throws InvalidInput naming `name` and the byte for anything damaged,
  /// unless recovering.
  McapFile(ByteView bytes, std::string name, const McapOptions& options = {});

  const std::string& profile() const { return profile_; }
  const std::string& library() const { return library_; }
  const std::map<std::uint16_t, mcap::Schema>& schemas() const { return schemas_; }
  const std::map<std::uint16_t, mcap::Channel>& channels() const { return channels_; }
  /// In the order of log time, those of equal time in file order.
  const std::vector<mcap::MessageEntry>& messages() const { return messages_; }
  const std::vector<mcap::Attachment>& attachments() const { return attachments_; }
  const std::vector<std::pair<std::string, std::map<std::string, std::string>>>& metadata() const {
    return metadata_;
  }
  /// As the file states; nullptr when it has none.
  const mcap::Statistics* statistics() const { return has_statistics_ ? &statistics_ : nullptr; }
  std::size_t chunks() const { return chunks_.size(); }
  /// What was damaged, when recovering.
  const std::vector<std::string>& damage() const { return damage_; }

  /// The message's bytes, valid until the next call. The last chunks stay decompressed.
  ByteView data(const mcap::MessageEntry& entry);

 private:
  struct Chunk {
    std::string compression;
    std::uint64_t offset = 0, size = 0, uncompressed = 0;
    std::uint32_t crc = 0;
  };
  void scan(ByteView records, std::uint64_t base, std::uint32_t chunk, bool top);
  void record(mcap::Op op, ByteView content, std::uint64_t offset, std::uint32_t chunk);
  std::vector<std::uint8_t> decompress(const Chunk& chunk) const;

  ByteView bytes_;
  std::string name_;
  McapOptions options_;
  std::string profile_, library_;
  std::map<std::uint16_t, mcap::Schema> schemas_;
  std::map<std::uint16_t, mcap::Channel> channels_;
  std::vector<mcap::MessageEntry> messages_;
  std::vector<mcap::Attachment> attachments_;
  std::vector<std::pair<std::string, std::map<std::string, std::string>>> metadata_;
  mcap::Statistics statistics_;
  bool has_statistics_ = false, ended_ = false;
  std::vector<Chunk> chunks_;
  std::vector<std::string> damage_;
  std::uint32_t cached_ = mcap::kNoChunk;
  std::vector<std::uint8_t> cache_;
};

enum class Compression { none, zstd, lz4 };

/// Writes a chunked, indexed file that appears under its name complete or not at all.
class McapWriter {
 public:
  McapWriter(const std::string& path, Compression compression, std::string profile = "ros2",
             std::size_t chunk_bytes = 1 << 20);

  std::uint16_t add_schema(const std::string& name, const std::string& encoding, const std::string& data);
  std::uint16_t add_channel(std::uint16_t schema, const std::string& topic, const std::string& encoding,
                            const std::map<std::string, std::string>& metadata);
  void write(std::uint16_t channel, std::uint32_t sequence, std::uint64_t log_time,
             std::uint64_t publish_time, ByteView data);
  void add_metadata(const std::string& name, const std::map<std::string, std::string>& values);
  /// Must be called once, last.
  void finish();

 private:
  void append(std::string_view bytes);
  void flush_chunk();
  AtomicFile file_;
  Compression compression_;
  std::size_t chunk_bytes_;
  std::uint64_t written_ = 0;
  std::uint32_t data_crc_ = 0;
  std::string chunk_;
  std::uint64_t chunk_start_ = UINT64_MAX, chunk_end_ = 0;
  std::map<std::uint16_t, std::vector<std::pair<std::uint64_t, std::uint64_t>>> index_;
  std::string schemas_, channels_, chunk_indexes_, metadata_indexes_;
  std::map<std::uint16_t, std::uint64_t> counts_;
  mcap::Statistics statistics_;
};

}  // namespace ballast::bag
