// Where the bytes of a graph file come from, and the two ways of reading them: lines of text and binary
// numbers. Every complaint is one InvalidInput sentence that names the file and the line or the byte.
//
//   TextReader text(open_source("soc.el.gz"));
//   while (text.next_line()) {
//     const auto u = text.integer("source"), v = text.integer("target");
//     text.end_of_line();
//   }
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/graph/graph.h"

namespace ballast::graph {

class ByteSource {
 public:
  explicit ByteSource(std::string file) : file_(std::move(file)) {}
  virtual ~ByteSource() = default;
  /// Up to `size` bytes; 0 only at the end.
  virtual std::size_t read(char* buffer, std::size_t size) = 0;
  const std::string& file() const { return file_; }

 private:
  std::string file_;
};

/// A file, unpacked on the fly when it ends in .gz or .zst. Throws Unavailable when it cannot be opened or
/// read.
std::unique_ptr<ByteSource> open_source(const std::string& path);
/// Bytes in memory (tests, fuzzing), under a file name for messages.
std::unique_ptr<ByteSource> memory_source(std::string name, std::string_view bytes);

class TextReader {
 public:
  explicit TextReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  /// Goes to the next line that is neither blank nor a comment (beginning with one of `comments`); false at
  /// the end.
  bool next_line(std::string_view comments = "#%");
  /// Goes to the next line whatever it holds.
  bool next_raw_line();

  std::string_view line() const { return line_; }
  std::uint64_t line_number() const { return number_; }
  const std::string& file() const { return source_->file(); }

  /// The next word of the line, empty at its end.
  std::string_view word();
  bool at_end_of_line();
  std::uint64_t integer(std::string_view what, std::uint64_t least = 0, std::uint64_t most = UINT64_MAX);
  /// A vertex id below `vertices`.
  VertexId vertex(std::string_view what, std::uint64_t vertices = kMaxVertices) {
    return static_cast<VertexId>(integer(what, 0, vertices - 1));
  }
  double real(std::string_view what);
  /// Throws unless the line holds no more words.
  void end_of_line();
  [[noreturn]] void fail(std::string_view problem, std::string_view accepted = {}) const;

 private:
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  std::size_t begin_ = 0;
  bool ended_ = false;
  std::string_view line_, rest_;
  std::uint64_t number_ = 0;
};

class BinaryReader {
 public:
  explicit BinaryReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)) {}

  template <typename T>
  T number(std::string_view what) {
    T value;
    bytes(&value, sizeof value, what);
    return value;
  }
  /// Exactly `size` bytes, or the sentence that the file ends inside `what`.
  void bytes(void* into, std::size_t size, std::string_view what);
  void skip(std::uint64_t size, std::string_view what);
  /// `count` numbers; grows with what is really there, so that a lying header cannot take the memory.
  template <typename T>
  std::vector<T> numbers(std::uint64_t count, std::string_view what);

  bool at_end();
  std::uint64_t offset() const { return offset_; }
  const std::string& file() const { return source_->file(); }
  void expect_end(std::string_view what);
  /// Complaint about the bytes that end at the present offset (`back` bytes before it).
  [[noreturn]] void fail(std::string_view problem, std::string_view accepted = {},
                         std::uint64_t back = 0) const;

 private:
  bool fill();
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::uint64_t offset_ = 0;
};

template <typename T>
std::vector<T> BinaryReader::numbers(std::uint64_t count, std::string_view what) {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 16;
  std::vector<T> result;
  while (count > 0) {
    const auto now = static_cast<std::size_t>(count < kPiece ? count : kPiece);
    const std::size_t old = result.size();
    result.resize(old + now);
    bytes(result.data() + old, now * sizeof(T), what);
    count -= now;
  }
  return result;
}

}  // namespace ballast::graph
