// Input streams that undo gzip and zstd by themselves: the first bytes decide, not the file's name.
//
//   InputStream in = InputStream::open("trace.csv.gz");      // "-" is standard input
//   std::size_t got = in.read(buffer, sizeof buffer);        // 0 at the end
//   in.read_exactly(&header, sizeof header, "the header");   // or InvalidInput naming file and byte
//
//   LineReader lines(std::move(in));
//   std::string_view line;
//   while (lines.next(line)) use(line, lines.line_number());
//
// Several gzip members or zstd frames one behind the other are one stream. Memory: two buffers of 64 KiB,
// whatever the file says about itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ballast::data {

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes; 0 only at the end.
  virtual std::size_t read(char* data, std::size_t size) = 0;
};

class InputStream {
 public:
  /// Throws Unavailable when the file cannot be opened.
  static InputStream open(const std::string& path);
  /// The same over bytes in memory, which must outlive the stream; `name` stands in error messages.
  static InputStream over(std::string name, std::string_view bytes);

  /// Up to `size` uncompressed bytes, fewer only at the end. Throws InvalidInput when the compressed data are
  /// damaged or end early, Unavailable when the file cannot be read.
  std::size_t read(void* data, std::size_t size);
  /// All `size` bytes; throws InvalidInput "FILE: byte N: the file ends within WHAT" otherwise.
  void read_exactly(void* data, std::size_t size, std::string_view what);
  /// `size` bytes, allocated as they come: a false size in a header costs no memory.
  std::vector<std::byte> read_bytes(std::uint64_t size, std::string_view what);
  /// Throws InvalidInput unless the stream ends here.
  void expect_end();

  const std::string& name() const { return name_; }
  /// Uncompressed bytes read so far.
  std::uint64_t offset() const { return offset_; }
  /// "plain", "gzip" or "zstd".
  const std::string& encoding() const { return encoding_; }

 private:
  InputStream(std::string name, std::unique_ptr<ByteSource> raw);
  std::string name_, encoding_;
  std::unique_ptr<ByteSource> source_;
  std::uint64_t offset_ = 0;
};

/// Lines without their end ("\n" or "\r\n"); a last line without an end counts.
class LineReader {
 public:
  explicit LineReader(InputStream in) : in_(std::move(in)), buffer_(1 << 16, '\0') {}

  /// False at the end. The view holds until the next call. Throws InvalidInput for a line above 16 MiB.
  bool next(std::string_view& line);
  std::uint64_t line_number() const { return number_; }
  const std::string& name() const { return in_.name(); }

 private:
  InputStream in_;
  std::string buffer_;
  std::size_t begin_ = 0, end_ = 0;
  std::uint64_t number_ = 0;
  bool ended_ = false;
};

}  // namespace ballast::data
