#include "ballast/kv/resp.h"

#include <fmt/format.h>

#include <charconv>

namespace ballast::kv {
namespace {

std::optional<std::int64_t> whole(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

bool RespParser::fail(std::string text) {
  error_ = std::move(text);
  buffer_.clear();
  at_ = 0;
  partial_.clear();
  return false;
}

// The line that begins at at_, without its end; nullopt while it is not whole.
std::optional<std::string_view> RespParser::line() {
  const std::size_t end = buffer_.find('\n', at_);
  if (end == std::string::npos) {
    if (buffer_.size() - at_ > limits_.inline_bytes) fail("ERR Protocol error: too big inline request");
    return std::nullopt;
  }
  if (end - at_ > limits_.inline_bytes) {
    fail("ERR Protocol error: too big inline request");
    return std::nullopt;
  }
  std::string_view text(buffer_.data() + at_, end - at_);
  if (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  at_ = end + 1;
  return text;
}

std::optional<RespParser::Request> RespParser::inline_request(std::string_view text) {
  Request request;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] == ' ' || text[i] == '\t') {
      ++i;
      continue;
    }
    std::size_t end = i;
    std::string word;
    if (text[i] == '"' || text[i] == '\'') {
      const char quote = text[i];
      for (end = i + 1; end < text.size() && text[end] != quote; ++end) word += text[end];
      if (end == text.size()) {
        fail("ERR Protocol error: unbalanced quotes in request");
        return std::nullopt;
      }
      ++end;
    } else {
      while (end < text.size() && text[end] != ' ' && text[end] != '\t') ++end;
      word = text.substr(i, end - i);
    }
    request.push_back(std::move(word));
    i = end;
  }
  return request;
}

std::optional<RespParser::Request> RespParser::next() {
  while (error_.empty()) {
    if (at_ > (1u << 16) && at_ * 2 > buffer_.size()) {
      buffer_.erase(0, at_);
      at_ = 0;
    }
    if (at_ == buffer_.size()) {
      buffer_.clear();
      at_ = 0;
      return std::nullopt;
    }
    if (!expected_) {
      const bool array = buffer_[at_] == '*';
      const auto text = line();
      if (!text) return std::nullopt;
      if (!array) {
        auto request = inline_request(*text);
        if (request && !request->empty()) return request;
        continue;
      }
      const auto count = whole(text->substr(1));
      if (!count || *count > static_cast<std::int64_t>(limits_.arguments)) {
        fail("ERR Protocol error: invalid multibulk length");
        return std::nullopt;
      }
      if (*count <= 0) continue;
      expected_ = static_cast<std::size_t>(*count);
      request_bytes_ = 0;
      continue;
    }
    if (!bulk_) {
      const char kind = buffer_[at_];
      const auto text = line();
      if (!text) return std::nullopt;
      if (kind != '$') {
        fail(
            fmt::format("ERR Protocol error: expected '$', got '{}'", kind >= 32 && kind < 127 ? kind : '?'));
        return std::nullopt;
      }
      const auto length = whole(text->substr(1));
      if (!length || *length < 0 || *length > static_cast<std::int64_t>(limits_.argument_bytes)) {
        fail("ERR Protocol error: invalid bulk length");
        return std::nullopt;
      }
      request_bytes_ += static_cast<std::size_t>(*length);
      if (request_bytes_ > limits_.request_bytes) {
        fail("ERR Protocol error: too big request");
        return std::nullopt;
      }
      bulk_ = static_cast<std::size_t>(*length);
      continue;
    }
    if (buffer_.size() - at_ < *bulk_ + 2) return std::nullopt;
    if (buffer_[at_ + *bulk_] != '\r' || buffer_[at_ + *bulk_ + 1] != '\n') {
      fail("ERR Protocol error: argument without its end of line");
      return std::nullopt;
    }
    partial_.push_back(buffer_.substr(at_, *bulk_));
    at_ += *bulk_ + 2;
    bulk_.reset();
    if (partial_.size() < *expected_) continue;
    expected_.reset();
    Request request = std::move(partial_);
    partial_.clear();
    return request;
  }
  return std::nullopt;
}

void resp_simple(std::string& out, std::string_view text) {
  out += '+';
  out += text;
  out += "\r\n";
}
void resp_error(std::string& out, std::string_view text) {
  out += '-';
  for (char c : text) out += c == '\r' || c == '\n' ? ' ' : c;
  out += "\r\n";
}
void resp_integer(std::string& out, std::int64_t number) {
  out += ':';
  out += std::to_string(number);
  out += "\r\n";
}
void resp_bulk(std::string& out, std::string_view bytes) {
  out += '$';
  out += std::to_string(bytes.size());
  out += "\r\n";
  out += bytes;
  out += "\r\n";
}
void resp_null(std::string& out) {
  out += "$-1\r\n";
}
void resp_array(std::string& out, std::size_t elements) {
  out += '*';
  out += std::to_string(elements);
  out += "\r\n";
}

}  // namespace ballast::kv
