// What machines send to each other: bytes in buffers, nothing else.
//
//   Outbox out = me.outbox();
//   out.to(3).put(std::uint64_t{7});             // appended to the one message for machine 3
//   Inbox in = me.exchange(std::move(out));
//   for (int source = 0; source < in.machines(); ++source)
//     for (Reader r = in.from(source); !r.empty();) use(r.get<std::uint64_t>());
//
// A message is the whole buffer for one destination; an empty buffer is no message. Every buffer keeps room
// for the frame header (40 bytes) before its payload, so that a frame leaves without a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ballast/base/errors.h"

namespace ballast::cluster {

/// What stands before every payload on the wire.
struct FrameHeader {
  static constexpr std::uint32_t kMagic = 0x314c4142;  // "BAL1"
  std::uint32_t magic = kMagic;
  std::uint32_t source = 0;
  std::uint32_t destination = 0;
  std::uint32_t stage = 0;
  std::uint32_t superstep = 0;
  std::uint32_t flags = 0;  ///< bit 0: the checksum is set
  std::uint64_t length = 0;
  std::uint64_t checksum = 0;  ///< XXH3-64 of the payload
};
inline constexpr std::size_t kFrameHeaderBytes = sizeof(FrameHeader);
static_assert(kFrameHeaderBytes == 40);

/// Growing bytes behind room for one frame header. Appending does not clear memory first.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(frame_); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  std::byte* data() { return frame_ + kFrameHeaderBytes; }
  const std::byte* data() const { return frame_ + kFrameHeaderBytes; }
  std::span<const std::byte> bytes() const {
    return frame_ == nullptr ? std::span<const std::byte>() : std::span(data(), size_);
  }
  void clear() { size_ = 0; }

  void reserve(std::size_t payload) {
    if (payload <= capacity_ && frame_ != nullptr) return;
    std::size_t grown = capacity_ < 88 ? 88 : capacity_ * 2;
    if (grown < payload) grown = payload;
    if (size_ == 0) {
      std::free(std::exchange(frame_, nullptr));  // nothing to keep: growing must not copy
      capacity_ = 0;
    }
    void* moved = std::realloc(frame_, kFrameHeaderBytes + grown);
    if (moved == nullptr) throw std::bad_alloc();
    frame_ = static_cast<std::byte*>(moved);
    capacity_ = grown;
  }
  /// Room for `count` more bytes, uninitialised, counted as part of the payload.
  std::byte* extend(std::size_t count) {
    reserve(size_ + count);
    std::byte* place = data() + size_;
    size_ += count;
    return place;
  }
  void resize(std::size_t count) {
    reserve(count);
    size_ = count;
  }
  void append(const void* from, std::size_t count) {
    if (count != 0) std::memcpy(extend(count), from, count);
  }
  void append(std::span<const std::byte> from) { append(from.data(), from.size()); }
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>, "give encode/decode for types that are not plain bytes");
    std::memcpy(extend(sizeof(T)), &value, sizeof(T));
  }
  /// An unsigned integer in 7-bit groups: small numbers take one byte.
  void put_varint(std::uint64_t value) {
    while (value >= 0x80) {
      put(static_cast<std::uint8_t>(value | 0x80));
      value >>= 7;
    }
    put(static_cast<std::uint8_t>(value));
  }

  /// Header and payload as they go on the wire; the buffer must not be empty.
  std::span<std::byte> frame() { return {frame_, kFrameHeaderBytes + size_}; }
  /// Makes the buffer hold a frame of this many bytes (header included), to be filled by a transport.
  std::span<std::byte> resize_frame(std::size_t count) {
    resize(count - kFrameHeaderBytes);
    return frame();
  }

  void swap(Buffer& other) noexcept {
    std::swap(frame_, other.frame_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  std::byte* frame_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Reads a payload from front to back. Reading past the end throws InvalidInput: bytes from another machine
/// are input.
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::span<const std::byte> bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  bool empty() const { return at_ == end_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  template <typename T>
  T get() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::uint64_t get_varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = get<std::uint8_t>();
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    throw InvalidInput("a message holds a number of more than 64 bits");
  }
  std::span<const std::byte> take(std::size_t count) {
    if (count > left()) throw InvalidInput("a message ends in the middle of a record");
    std::span<const std::byte> bytes(at_, count);
    at_ += count;
    return bytes;
  }

 private:
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;
};

/// Buffers that wait to be used again, so that a steady exchange allocates nothing.
class BufferPool {
 public:
  Buffer take() {
    if (buffers_.empty()) return {};
    Buffer buffer = std::move(buffers_.back());
    buffers_.pop_back();
    held_ -= buffer.capacity();
    return buffer;
  }
  void give(Buffer&& buffer) {
    if (buffer.capacity() == 0 || held_ + buffer.capacity() > kMostHeld) return;
    buffer.clear();
    held_ += buffer.capacity();
    buffers_.push_back(std::move(buffer));
  }

 private:
  static constexpr std::size_t kMostHeld = std::size_t{64} << 20;
  std::vector<Buffer> buffers_;
  std::size_t held_ = 0;
};

/// One buffer a destination. Made by Machine::outbox().
class Outbox {
 public:
  explicit Outbox(int machines, BufferPool* pool = nullptr)
      : buffers_(static_cast<std::size_t>(machines)), pool_(pool) {}

  int machines() const { return static_cast<int>(buffers_.size()); }
  Buffer& to(int machine) {
    Buffer& buffer = buffers_[static_cast<std::size_t>(machine)];
    if (pool_ != nullptr && buffer.capacity() == 0) buffer = pool_->take();
    return buffer;
  }
  /// Payload bytes so far, the message to oneself included.
  std::uint64_t bytes() const {
    std::uint64_t total = 0;
    for (const auto& buffer : buffers_) total += buffer.size();
    return total;
  }
  std::vector<Buffer>& buffers() { return buffers_; }

 private:
  std::vector<Buffer> buffers_;
  BufferPool* pool_;
};

/// One message a source, in the order of machine ids. Gives its buffers back to the machine's pool.
class Inbox {
 public:
  Inbox() = default;
  Inbox(std::vector<Buffer> buffers, BufferPool* pool) : buffers_(std::move(buffers)), pool_(pool) {}
  Inbox(Inbox&&) = default;
  Inbox& operator=(Inbox&& other) noexcept {
    buffers_.swap(other.buffers_);
    std::swap(pool_, other.pool_);
    return *this;
  }
  ~Inbox() {
    if (pool_ == nullptr) return;
    for (auto& buffer : buffers_) pool_->give(std::move(buffer));
  }

  int machines() const { return static_cast<int>(buffers_.size()); }
  Reader from(int machine) const { return Reader(bytes_from(machine)); }
  std::span<const std::byte> bytes_from(int machine) const {
    return buffers_[static_cast<std::size_t>(machine)].bytes();
  }

 private:
  std::vector<Buffer> buffers_;
  BufferPool* pool_ = nullptr;
};

}  // namespace ballast::cluster
