#include "ballast/index/snapshot.h"

#include <fmt/format.h>

#include <cstring>

namespace ballast::index {
namespace {

constexpr std::string_view kMagic = "BALBIDX1";
constexpr std::size_t kBlockBytes = std::size_t{1} << 16;
constexpr std::uint32_t kMostPayload = std::uint32_t{1} << 30;
constexpr std::size_t kMostKey = 255;

template <typename T>
void put_raw(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

}  // namespace

std::string snapshot_word(std::uint64_t word) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[static_cast<std::size_t>(i)] = static_cast<char>(word >> (56 - 8 * i));
  return bytes;
}

std::uint64_t word_of_snapshot(std::string_view bytes) {
  if (bytes.size() != 8)
    throw InvalidInput("key or value of a snapshot", fmt::format("{} bytes long", bytes.size()), "8 bytes");
  std::uint64_t word = 0;
  for (const char byte : bytes) word = word << 8 | static_cast<unsigned char>(byte);
  return word;
}

SnapshotWriter::SnapshotWriter(const std::string& path, SnapshotKeys keys) : file_(path) {
  std::string head(kMagic);
  put_raw(head, static_cast<std::uint32_t>(keys));
  put_raw(head, std::uint32_t{0});
  file_.write(head);
}

void SnapshotWriter::put(std::string_view key, std::string_view value) {
  if (key.size() > kMostKey)
    throw InvalidInput("key", fmt::format("{} bytes long", key.size()), "at most 255 bytes");
  BALLAST_CHECK(entries_ == 0 || last_ < key, "the keys of a snapshot must ascend");
  put_varint(payload_, key.size());
  payload_.append(key);
  put_varint(payload_, value.size());
  payload_.append(value);
  last_.assign(key);
  ++entries_;
  ++in_block_;
  if (payload_.size() >= kBlockBytes) flush();
}

void SnapshotWriter::flush() {
  if (in_block_ == 0) return;
  const std::uint64_t checksum = checksum64(payload_);
  std::string head;
  put_raw(head, in_block_);
  put_raw(head, static_cast<std::uint32_t>(payload_.size()));
  put_raw(head, checksum);
  put_raw(checksums_, checksum);
  file_.write(head);
  file_.write(payload_);
  payload_.clear();
  in_block_ = 0;
}

void SnapshotWriter::commit() {
  flush();
  std::string end;
  put_raw(end, std::uint64_t{0});
  put_raw(end, entries_);
  put_raw(end, checksum64(checksums_));
  file_.write(end);
  file_.commit();
}

SnapshotReader::SnapshotReader(const std::string& path) : SnapshotReader(data::InputStream::open(path)) {}

SnapshotReader::SnapshotReader(data::InputStream in) : in_(std::move(in)) {
  char magic[8];
  std::uint32_t kind[2];
  in_.read_exactly(magic, sizeof magic, "the header");
  if (std::string_view(magic, 8) != kMagic)
    throw InvalidInput::at_byte(in_.name(), 0, "this is no .bidx snapshot");
  in_.read_exactly(kind, sizeof kind, "the header");
  if (kind[0] > 1)
    throw InvalidInput::at_byte(in_.name(), 8, fmt::format("keys of kind {}", kind[0]), "0 or 1");
  keys_ = static_cast<SnapshotKeys>(kind[0]);
}

void SnapshotReader::refuse(const std::string& problem) const {
  throw InvalidInput::at_byte(in_.name(), in_.offset(), problem);
}

void SnapshotReader::require(SnapshotKeys keys) const {
  if (keys == keys_) return;
  throw InvalidInput(fmt::format("{}: keys are {}; accepted: {}", in_.name(),
                                 keys_ == SnapshotKeys::u64 ? "64-bit numbers" : "byte strings",
                                 keys == SnapshotKeys::u64 ? "64-bit numbers" : "byte strings"));
}

void SnapshotReader::open_block() {
  std::uint32_t head[2];
  in_.read_exactly(head, sizeof head, "the header of a block");
  if (head[0] == 0) {
    std::uint64_t end[2];
    in_.read_exactly(end, sizeof end, "the end record");
    if (end[0] != entries_) refuse(fmt::format("{} entries are named, {} were read", end[0], entries_));
    if (end[1] != checksum64(checksums_)) refuse("the checksum of the file is wrong");
    in_.expect_end();
    ended_ = true;
    return;
  }
  std::uint64_t checksum;
  in_.read_exactly(&checksum, sizeof checksum, "the header of a block");
  if (head[1] > kMostPayload || head[1] < 2 * std::uint64_t{head[0]}) refuse("a block of impossible size");
  const auto bytes = in_.read_bytes(head[1], "a block");
  payload_.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (checksum64(payload_) != checksum) refuse("the checksum of a block is wrong");
  put_raw(checksums_, checksum);
  left_ = head[0];
  at_ = 0;
}

bool SnapshotReader::next(std::string& key, std::string& value) {
  if (ended_) return false;
  if (left_ == 0) {
    if (at_ != payload_.size()) refuse("bytes are left behind the entries of a block");
    open_block();
    if (ended_) return false;
  }
  const auto take = [&](std::string& to, std::size_t most) {
    std::uint64_t length = 0;
    for (int shift = 0;; shift += 7) {
      if (at_ == payload_.size() || shift > 56) refuse("an entry ends early");
      const auto byte = static_cast<unsigned char>(payload_[at_++]);
      length |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) break;
    }
    if (length > most || length > payload_.size() - at_) refuse("an entry ends early");
    to.assign(payload_, at_, length);
    at_ += length;
  };
  take(key, kMostKey);
  take(value, kMostPayload);
  if (keys_ == SnapshotKeys::u64 && key.size() != 8) refuse("a key is not of 8 bytes");
  if (entries_ > 0 && key <= last_) refuse("the keys do not ascend");
  last_ = key;
  --left_;
  ++entries_;
  return true;
}

void write_snapshot(const std::string& path, std::span<const Entry> sorted) {
  SnapshotWriter out(path, SnapshotKeys::u64);
  for (const auto& [key, value] : sorted) out.put(snapshot_word(key), snapshot_word(value));
  out.commit();
}

std::vector<Entry> read_snapshot(data::InputStream in) {
  SnapshotReader reader(std::move(in));
  reader.require(SnapshotKeys::u64);
  std::vector<Entry> entries;
  std::string key, value;
  while (reader.next(key, value)) entries.push_back({word_of_snapshot(key), word_of_snapshot(value)});
  return entries;
}

}  // namespace ballast::index
