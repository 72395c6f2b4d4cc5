#include <fmt/format.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/mcap.h"

namespace ballast::bag {
namespace {

using mcap::Op;

template <typename T>
void put(std::string& out, T value) {
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}
void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out += text;
}
void put_map(std::string& out, const std::map<std::string, std::string>& map) {
  std::string body;
  for (const auto& [key, value] : map) {
    put_text(body, key);
    put_text(body, value);
  }
  put_text(out, body);
}
std::string record(Op op, std::string_view content) {
  std::string out;
  put(out, static_cast<std::uint8_t>(op));
  put(out, static_cast<std::uint64_t>(content.size()));
  out += content;
  return out;
}

std::uint32_t crc_more(std::uint32_t crc, std::string_view bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

std::string compressed(Compression kind, const std::string& bytes) {
  if (kind == Compression::none) return bytes;
  std::string out;
  if (kind == Compression::zstd) {
    out.resize(ZSTD_compressBound(bytes.size()));
    const auto size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 1);
    if (ZSTD_isError(size)) throw Unavailable("zstd cannot compress a chunk");
    out.resize(size);
  } else {
    out.resize(LZ4F_compressFrameBound(bytes.size(), nullptr));
    const auto size = LZ4F_compressFrame(out.data(), out.size(), bytes.data(), bytes.size(), nullptr);
    if (LZ4F_isError(size)) throw Unavailable("lz4 cannot compress a chunk");
    out.resize(size);
  }
  return out;
}

const char* word(Compression kind) {
  return kind == Compression::none ? "" : kind == Compression::zstd ? "zstd" : "lz4";
}

}  // namespace

McapWriter::McapWriter(const std::string& path, Compression compression, std::string profile,
                       std::size_t chunk_bytes)
    : file_(path), compression_(compression), chunk_bytes_(chunk_bytes) {
  append({reinterpret_cast<const char*>(mcap::kMagic), 8});
  std::string header;
  put_text(header, profile);
  put_text(header, "ballast");
  append(record(Op::header, header));
  statistics_.start = UINT64_MAX;
}

void McapWriter::append(std::string_view bytes) {
  file_.write(bytes);
  data_crc_ = crc_more(data_crc_, bytes);
  written_ += bytes.size();
}

std::uint16_t McapWriter::add_schema(const std::string& name, const std::string& encoding,
                                     const std::string& data) {
  std::string content;
  put(content, ++statistics_.schemas);
  put_text(content, name);
  put_text(content, encoding);
  put_text(content, data);
  const auto whole = record(Op::schema, content);
  chunk_ += whole;
  schemas_ += whole;
  return statistics_.schemas;
}

std::uint16_t McapWriter::add_channel(std::uint16_t schema, const std::string& topic,
                                      const std::string& encoding,
                                      const std::map<std::string, std::string>& metadata) {
  const auto id = static_cast<std::uint16_t>(++statistics_.channels);
  std::string content;
  put(content, id);
  put(content, schema);
  put_text(content, topic);
  put_text(content, encoding);
  put_map(content, metadata);
  const auto whole = record(Op::channel, content);
  chunk_ += whole;
  channels_ += whole;
  return id;
}

void McapWriter::write(std::uint16_t channel, std::uint32_t sequence, std::uint64_t log_time,
                       std::uint64_t publish_time, ByteView data) {
  BALLAST_CHECK(channel >= 1 && channel <= statistics_.channels);
  index_[channel].emplace_back(log_time, chunk_.size());
  std::string content;
  content.reserve(22 + data.size());
  put(content, channel);
  put(content, sequence);
  put(content, log_time);
  put(content, publish_time);
  content.append(reinterpret_cast<const char*>(data.data()), data.size());
  chunk_ += record(Op::message, content);
  chunk_start_ = std::min(chunk_start_, log_time);
  chunk_end_ = std::max(chunk_end_, log_time);
  ++statistics_.messages;
  ++counts_[channel];
  if (chunk_.size() >= chunk_bytes_) flush_chunk();
}

void McapWriter::flush_chunk() {
  if (chunk_.empty()) return;
  const bool any = !index_.empty();
  const std::uint64_t start = any ? chunk_start_ : 0, end = any ? chunk_end_ : 0;
  const std::string packed = compressed(compression_, chunk_);
  std::string content;
  put(content, start);
  put(content, end);
  put(content, static_cast<std::uint64_t>(chunk_.size()));
  put(content, crc_more(0, chunk_));
  put_text(content, word(compression_));
  put(content, static_cast<std::uint64_t>(packed.size()));
  content += packed;
  const std::uint64_t chunk_offset = written_;
  append(record(Op::chunk, content));
  const std::uint64_t chunk_length = written_ - chunk_offset;
  std::string offsets;
  for (const auto& [channel, entries] : index_) {
    put(offsets, channel);
    put(offsets, written_);
    std::string index, body;
    for (const auto& [time, offset] : entries) {
      put(body, time);
      put(body, offset);
    }
    put(index, channel);
    put_text(index, body);
    append(record(Op::message_index, index));
  }
  std::string chunk_index;
  put(chunk_index, start);
  put(chunk_index, end);
  put(chunk_index, chunk_offset);
  put(chunk_index, chunk_length);
  put_text(chunk_index, offsets);
  put(chunk_index, written_ - chunk_offset - chunk_length);
  put_text(chunk_index, word(compression_));
  put(chunk_index, static_cast<std::uint64_t>(packed.size()));
  put(chunk_index, static_cast<std::uint64_t>(chunk_.size()));
  chunk_indexes_ += record(Op::chunk_index, chunk_index);
  ++statistics_.chunks;
  if (any) {
    statistics_.start = std::min(statistics_.start, start);
    statistics_.end = std::max(statistics_.end, end);
  }
  chunk_.clear();
  index_.clear();
  chunk_start_ = UINT64_MAX;
  chunk_end_ = 0;
}

void McapWriter::add_metadata(const std::string& name, const std::map<std::string, std::string>& values) {
  flush_chunk();
  std::string content;
  put_text(content, name);
  put_map(content, values);
  std::string index;
  put(index, written_);
  const auto whole = record(Op::metadata, content);
  put(index, static_cast<std::uint64_t>(whole.size()));
  put_text(index, name);
  append(whole);
  metadata_indexes_ += record(Op::metadata_index, index);
  ++statistics_.metadata;
}

void McapWriter::finish() {
  flush_chunk();
  std::string end;
  put(end, data_crc_);
  append(record(Op::data_end, end));
  const std::uint64_t summary_start = written_;
  if (statistics_.start == UINT64_MAX) statistics_.start = 0;
  std::string statistics;
  put(statistics, statistics_.messages);
  put(statistics, statistics_.schemas);
  put(statistics, statistics_.channels);
  put(statistics, statistics_.attachments);
  put(statistics, statistics_.metadata);
  put(statistics, statistics_.chunks);
  put(statistics, statistics_.start);
  put(statistics, statistics_.end);
  std::string counts;
  for (const auto& [channel, count] : counts_) {
    put(counts, channel);
    put(counts, count);
  }
  put_text(statistics, counts);
  std::string summary, offsets;
  const auto group = [&](Op op, const std::string& records) {
    if (records.empty()) return;
    std::string offset;
    put(offset, static_cast<std::uint8_t>(op));
    put(offset, summary_start + summary.size());
    put(offset, static_cast<std::uint64_t>(records.size()));
    summary += records;
    offsets += record(Op::summary_offset, offset);
  };
  group(Op::schema, schemas_);
  group(Op::channel, channels_);
  group(Op::statistics, record(Op::statistics, statistics));
  group(Op::chunk_index, chunk_indexes_);
  group(Op::metadata_index, metadata_indexes_);
  std::string footer;
  put(footer, summary_start);
  put(footer, summary_start + summary.size());
  // The checksum covers the summary, the offsets and the footer up to itself.
  std::string head;
  put(head, static_cast<std::uint8_t>(Op::footer));
  put(head, std::uint64_t{20});
  put(footer, crc_more(0, summary + offsets + head + footer));
  file_.write(summary);
  file_.write(offsets);
  file_.write(record(Op::footer, footer));
  file_.write(std::string_view(reinterpret_cast<const char*>(mcap::kMagic), 8));
  file_.commit();
}

}  // namespace ballast::bag
