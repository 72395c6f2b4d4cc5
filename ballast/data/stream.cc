#include "ballast/data/stream.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "ballast/base/errors.h"

namespace ballast::data {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 16;
constexpr std::size_t kLongestLine = std::size_t{1} << 24;

class FileSource : public ByteSource {
 public:
  explicit FileSource(const std::string& path) : path_(path) {
    descriptor_ = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw Unavailable::from_errno(path, "cannot be opened");
  }
  ~FileSource() override { ::close(descriptor_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  std::size_t read(char* data, std::size_t size) override {
    for (;;) {
      const ssize_t got = ::read(descriptor_, data, size);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) throw Unavailable::from_errno(path_, "cannot be read");
    }
  }

 private:
  std::string path_;
  int descriptor_;
};

class MemorySource : public ByteSource {
 public:
  explicit MemorySource(std::string_view bytes) : rest_(bytes) {}
  std::size_t read(char* data, std::size_t size) override {
    size = std::min(size, rest_.size());
    if (size != 0) std::memcpy(data, rest_.data(), size);
    rest_.remove_prefix(size);
    return size;
  }

 private:
  std::string_view rest_;
};

/// The raw bytes with some that were looked at already put back in front.
class BufferedSource {
 public:
  BufferedSource(std::unique_ptr<ByteSource> raw, std::string_view peeked) : raw_(std::move(raw)) {
    std::memcpy(buffer_.data(), peeked.data(), peeked.size());
    end_ = peeked.size();
  }
  /// Makes at least one byte available; false at the end.
  bool fill() {
    if (begin_ < end_) return true;
    begin_ = 0;
    end_ = raw_->read(buffer_.data(), buffer_.size());
    return end_ > 0;
  }
  const char* data() const { return buffer_.data() + begin_; }
  std::size_t size() const { return end_ - begin_; }
  void consume(std::size_t size) {
    begin_ += size;
    consumed_ += size;
  }
  std::uint64_t consumed() const { return consumed_; }

 private:
  std::unique_ptr<ByteSource> raw_;
  std::array<char, kBufferBytes> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t consumed_ = 0;
};

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(BufferedSource in) : in_(std::move(in)) {}
  std::size_t read(char* data, std::size_t size) override {
    if (!in_.fill()) return 0;
    size = std::min(size, in_.size());
    std::memcpy(data, in_.data(), size);
    in_.consume(size);
    return size;
  }

 private:
  BufferedSource in_;
};

class GzipSource : public ByteSource {
 public:
  GzipSource(std::string name, BufferedSource in) : name_(std::move(name)), in_(std::move(in)) {
    BALLAST_CHECK(inflateInit2(&z_, 15 + 16) == Z_OK);
  }
  ~GzipSource() override { inflateEnd(&z_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  std::size_t read(char* data, std::size_t size) override {
    for (;;) {
      if (!in_.fill()) {
        if (between_members_) return 0;
        throw InvalidInput::at_byte(name_, in_.consumed(), "the gzip data end early");
      }
      if (between_members_ && in_.data()[0] != '\x1f') {
        // Padding with zeros behind the last member is common on tapes and block devices; other bytes are
        // not.
        if (in_.data()[0] != '\0')
          throw InvalidInput::at_byte(name_, in_.consumed(), "bytes behind the gzip data");
        in_.consume(1);
        continue;
      }
      between_members_ = false;
      z_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in_.data()));
      z_.avail_in = static_cast<uInt>(in_.size());
      z_.next_out = reinterpret_cast<Bytef*>(data);
      z_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
      const uInt room = z_.avail_out;
      const int code = inflate(&z_, Z_NO_FLUSH);
      in_.consume(in_.size() - z_.avail_in);
      if (code == Z_STREAM_END) {
        between_members_ = true;
        inflateReset(&z_);
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        throw InvalidInput::at_byte(
            name_, in_.consumed(),
            fmt::format("the gzip data are damaged ({})", z_.msg == nullptr ? "bad stream" : z_.msg));
      }
      if (room != z_.avail_out) return room - z_.avail_out;
    }
  }

 private:
  std::string name_;
  BufferedSource in_;
  z_stream z_{};
  bool between_members_ = false;
};

class ZstdSource : public ByteSource {
 public:
  ZstdSource(std::string name, BufferedSource in)
      : name_(std::move(name)), in_(std::move(in)), stream_(ZSTD_createDStream()) {
    BALLAST_CHECK(stream_ != nullptr);
    ZSTD_DCtx_setParameter(stream_, ZSTD_d_windowLogMax, 27);
  }
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }
  ZstdSource(const ZstdSource&) = delete;
  ZstdSource& operator=(const ZstdSource&) = delete;

  std::size_t read(char* data, std::size_t size) override {
    for (;;) {
      // Decoded bytes may wait inside when the output was full, so an empty input is no end by itself.
      const bool more = in_.fill();
      if (!more && between_frames_) return 0;
      ZSTD_inBuffer from{in_.data(), more ? in_.size() : 0, 0};
      ZSTD_outBuffer to{data, size, 0};
      const std::size_t code = ZSTD_decompressStream(stream_, &to, &from);
      in_.consume(from.pos);
      if (ZSTD_isError(code))
        throw InvalidInput::at_byte(name_, in_.consumed(),
                                    fmt::format("the zstd data are damaged ({})", ZSTD_getErrorName(code)));
      between_frames_ = code == 0;
      if (to.pos > 0) return to.pos;
      if (!more && !between_frames_)
        throw InvalidInput::at_byte(name_, in_.consumed(), "the zstd data end early");
    }
  }

 private:
  std::string name_;
  BufferedSource in_;
  ZSTD_DStream* stream_;
  bool between_frames_ = false;
};

}  // namespace

InputStream::InputStream(std::string name, std::unique_ptr<ByteSource> raw) : name_(std::move(name)) {
  std::array<char, 4> magic{};
  std::size_t got = 0;
  while (got < magic.size()) {
    const std::size_t more = raw->read(magic.data() + got, magic.size() - got);
    if (more == 0) break;
    got += more;
  }
  const std::string_view peeked(magic.data(), got);
  BufferedSource in(std::move(raw), peeked);
  if (peeked.starts_with("\x1f\x8b")) {
    encoding_ = "gzip";
    source_ = std::make_unique<GzipSource>(name_, std::move(in));
  } else if (peeked == "\x28\xb5\x2f\xfd") {
    encoding_ = "zstd";
    source_ = std::make_unique<ZstdSource>(name_, std::move(in));
  } else {
    encoding_ = "plain";
    source_ = std::make_unique<PlainSource>(std::move(in));
  }
}

InputStream InputStream::open(const std::string& path) {
  return {path == "-" ? "standard input" : path, std::make_unique<FileSource>(path)};
}

InputStream InputStream::over(std::string name, std::string_view bytes) {
  return {std::move(name), std::make_unique<MemorySource>(bytes)};
}

std::size_t InputStream::read(void* data, std::size_t size) {
  std::size_t got = 0;
  while (got < size) {
    const std::size_t more = source_->read(static_cast<char*>(data) + got, size - got);
    if (more == 0) break;
    got += more;
  }
  offset_ += got;
  return got;
}

void InputStream::read_exactly(void* data, std::size_t size, std::string_view what) {
  if (read(data, size) < size)
    throw InvalidInput::at_byte(name_, offset_, fmt::format("the file ends within {}", what));
}

std::vector<std::byte> InputStream::read_bytes(std::uint64_t size, std::string_view what) {
  std::vector<std::byte> bytes;
  while (bytes.size() < size) {
    const std::size_t before = bytes.size();
    const std::size_t step = std::min<std::uint64_t>(size - before, std::max<std::size_t>(before, 1 << 20));
    bytes.resize(before + step);
    read_exactly(bytes.data() + before, step, what);
  }
  return bytes;
}

void InputStream::expect_end() {
  char byte;
  const std::uint64_t end = offset_;
  if (read(&byte, 1) != 0) throw InvalidInput::at_byte(name_, end, "bytes behind the end of the data");
}

bool LineReader::next(std::string_view& line) {
  std::size_t searched = begin_;
  for (;;) {
    if (const void* found = std::memchr(buffer_.data() + searched, '\n', end_ - searched)) {
      const auto at = static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
      line = std::string_view(buffer_).substr(begin_, at - begin_);
      begin_ = at + 1;
      break;
    }
    if (ended_) {
      if (begin_ == end_) return false;
      line = std::string_view(buffer_).substr(begin_, end_ - begin_);
      begin_ = end_;
      break;
    }
    // Move the started line to the front and read behind it.
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    searched = end_;
    if (end_ == buffer_.size()) {
      if (buffer_.size() >= kLongestLine)
        throw InvalidInput::at(name(), number_ + 1, "the line is longer than 16 MiB");
      buffer_.resize(buffer_.size() * 2);
    }
    const std::size_t got = in_.read(buffer_.data() + end_, buffer_.size() - end_);
    ended_ = got == 0;
    end_ += got;
  }
  ++number_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

}  // namespace ballast::data
