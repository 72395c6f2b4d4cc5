#include "ballast/serve/http/api_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/serve/http/api_error.h"

namespace ballast::serve {
namespace {

bool same_secret(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned char>(a[i] ^ (b.empty() ? 0 : b[i % b.size()]));
  return difference == 0;
}

}  // namespace

ApiKeys ApiKeys::read(const std::string& path) {
  if (path.empty()) return {};
  return parse(read_file(path, 1 << 20), path);
}

ApiKeys ApiKeys::parse(const std::string& text, const std::string& name) {
  ApiKeys result;
  std::istringstream lines(text);
  std::uint64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    std::istringstream words(line);
    ApiKey key;
    if (!(words >> key.secret) || key.secret[0] == '#') continue;
    for (std::string word; words >> word && word[0] != '#';) {
      const auto equals = word.find('=');
      const std::string field = word.substr(0, equals);
      const std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
      double figure = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), figure);
      const bool positive =
          error == std::errc() && end == value.data() + value.size() && figure > 0 && figure < 1e9;
      if (field == "tier" && !value.empty())
        key.tier = value;
      else if (field == "rate" && positive)
        key.rate = figure;
      else if (field == "burst" && positive && figure >= 1)
        key.burst = figure;
      else if (field == "concurrent" && positive && figure >= 1)
        key.concurrent = static_cast<int>(figure);
      else
        throw InvalidInput::at(name, number, fmt::format("'{}'", word),
                               "tier=NAME, rate=NUMBER, burst=NUMBER, concurrent=NUMBER");
    }
    if (key.burst <= 0) key.burst = std::max(1.0, key.rate);
    key.tokens = key.burst;
    result.keys_.push_back(std::move(key));
  }
  if (result.keys_.empty()) throw InvalidInput(fmt::format("{}: holds no key", name));
  return result;
}

ApiKey* ApiKeys::find(std::string_view authorization) {
  if (keys_.empty()) return nullptr;
  constexpr std::string_view kBearer = "Bearer ";
  ApiKey* found = nullptr;
  if (authorization.starts_with(kBearer)) {
    for (ApiKey& key : keys_) {
      if (same_secret(authorization.substr(kBearer.size()), key.secret)) found = &key;
    }
  }
  if (found == nullptr)
    throw ApiError(401, "invalid_api_key", "a valid key is needed: Authorization: Bearer KEY");
  return found;
}

void ApiKeys::admit(ApiKey* key, double now_ms) {
  if (key == nullptr) return;
  if (key->concurrent > 0 && key->here >= key->concurrent) {
    ApiError error(429, "rate_limit_exceeded",
                   fmt::format("this key may have {} requests here at a time", key->concurrent));
    error.retry_after_ms = 1000;
    throw error;
  }
  if (key->rate > 0) {
    key->tokens = std::min(key->burst, key->tokens + (now_ms - key->filled_ms) * key->rate / 1000);
    key->filled_ms = now_ms;
    if (key->tokens < 1) {
      ApiError error(429, "rate_limit_exceeded",
                     fmt::format("this key may ask {:g} times a second", key->rate));
      error.retry_after_ms = (1 - key->tokens) / key->rate * 1000;
      throw error;
    }
    key->tokens -= 1;
  }
  ++key->here;
}

}  // namespace ballast::serve
