#include "ballast/graph/formats/source.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/data/stream.h"

namespace ballast::graph {
namespace {

constexpr std::size_t kBlock = std::size_t{1} << 18;

class StreamSource : public ByteSource {
 public:
  explicit StreamSource(data::InputStream stream) : ByteSource(stream.name()), stream_(std::move(stream)) {}
  std::size_t read(char* buffer, std::size_t size) override { return stream_.read(buffer, size); }

 private:
  data::InputStream stream_;
};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == ',' || c == '\r' || c == '\v' || c == '\f';
}

}  // namespace

std::unique_ptr<ByteSource> open_source(const std::string& path) {
  return std::make_unique<StreamSource>(data::InputStream::open(path));
}

std::unique_ptr<ByteSource> memory_source(std::string name, std::string_view bytes) {
  return std::make_unique<StreamSource>(data::InputStream::over(std::move(name), bytes));
}

bool TextReader::next_raw_line() {
  std::size_t searched = begin_;
  for (;;) {
    const auto end = buffer_.find('\n', searched);
    if (end != std::string::npos || (ended_ && begin_ < buffer_.size())) {
      const std::size_t stop = end == std::string::npos ? buffer_.size() : end;
      line_ = rest_ = std::string_view(buffer_).substr(begin_, stop - begin_);
      begin_ = std::min(buffer_.size(), stop + 1);
      ++number_;
      return true;
    }
    if (ended_) return false;
    buffer_.erase(0, begin_);
    begin_ = 0;
    searched = buffer_.size();
    buffer_.resize(searched + kBlock);
    const std::size_t got = source_->read(buffer_.data() + searched, kBlock);
    buffer_.resize(searched + got);
    ended_ = got == 0;
  }
}

bool TextReader::next_line(std::string_view comments) {
  while (next_raw_line()) {
    std::size_t first = 0;
    while (first < line_.size() && is_space(line_[first])) ++first;
    if (first == line_.size() || comments.find(line_[first]) != std::string_view::npos) continue;
    return true;
  }
  return false;
}

std::string_view TextReader::word() {
  std::size_t first = 0;
  while (first < rest_.size() && is_space(rest_[first])) ++first;
  std::size_t last = first;
  while (last < rest_.size() && !is_space(rest_[last])) ++last;
  const auto found = rest_.substr(first, last - first);
  rest_.remove_prefix(last);
  return found;
}

bool TextReader::at_end_of_line() {
  while (!rest_.empty() && is_space(rest_.front())) rest_.remove_prefix(1);
  return rest_.empty();
}

std::uint64_t TextReader::integer(std::string_view what, std::uint64_t least, std::uint64_t most) {
  const auto text = word();
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty()) fail(fmt::format("the {} is missing", what));
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
    fail(fmt::format("{} '{}'", what, text), most == UINT64_MAX
                                                 ? fmt::format("an integer of at least {}", least)
                                                 : fmt::format("integers from {} to {}", least, most));
  return value;
}

double TextReader::real(std::string_view what) {
  const auto text = word();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty()) fail(fmt::format("the {} is missing", what));
  if (error != std::errc() || end != text.data() + text.size() || std::isnan(value))
    fail(fmt::format("{} '{}'", what, text), "a number");
  return value;
}

void TextReader::end_of_line() {
  if (const auto text = word(); !text.empty())
    fail(fmt::format("unexpected '{}' at the end of the line", text));
}

void TextReader::fail(std::string_view problem, std::string_view accepted) const {
  throw InvalidInput::at(file(), number_, problem, accepted);
}

bool BinaryReader::fill() {
  if (begin_ < buffer_.size()) return true;
  buffer_.resize(kBlock);
  buffer_.resize(source_->read(buffer_.data(), kBlock));
  begin_ = 0;
  return !buffer_.empty();
}

void BinaryReader::bytes(void* into, std::size_t size, std::string_view what) {
  char* place = static_cast<char*>(into);
  while (size > 0) {
    if (!fill()) fail(fmt::format("the file ends inside {}", what));
    const std::size_t now = std::min(size, buffer_.size() - begin_);
    std::memcpy(place, buffer_.data() + begin_, now);
    place += now;
    begin_ += now;
    offset_ += now;
    size -= now;
  }
}

void BinaryReader::skip(std::uint64_t size, std::string_view what) {
  while (size > 0) {
    if (!fill()) fail(fmt::format("the file ends inside {}", what));
    const std::uint64_t now = std::min<std::uint64_t>(size, buffer_.size() - begin_);
    begin_ += now;
    offset_ += now;
    size -= now;
  }
}

bool BinaryReader::at_end() {
  return !fill();
}

void BinaryReader::expect_end(std::string_view what) {
  if (!at_end()) fail(fmt::format("more bytes follow {}", what));
}

void BinaryReader::fail(std::string_view problem, std::string_view accepted, std::uint64_t back) const {
  throw InvalidInput::at_byte(file(), offset_ - back, problem, accepted);
}

}  // namespace ballast::graph
