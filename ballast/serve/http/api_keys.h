// Who may ask, and how much. A file with one key a line, each with limits of its own:
//
//   # comment
//   secret-one
//   secret-two   tier=coder   rate=5   burst=10   concurrent=4
//
// rate: requests a second in the long run; burst: how many at once (default: rate, at least 1); concurrent:
// how many may be here at the same time; tier: the tier of requests that name none. Comparing tells nothing
// by its time.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ballast::serve {

struct ApiKey {
  std::string secret, tier;
  double rate = 0, burst = 0;  ///< 0: no limit
  int concurrent = 0;          ///< 0: no limit
  // its present state
  double tokens = 0, filled_ms = 0;
  int here = 0;
};

class ApiKeys {
 public:
  ApiKeys() = default;
  /// Throws InvalidInput with file and line, or when the file holds no key.
  static ApiKeys read(const std::string& path);
  static ApiKeys parse(const std::string& text, const std::string& name);

  bool empty() const { return keys_.empty(); }
  const std::vector<ApiKey>& keys() const { return keys_; }
  /// The key of an Authorization header ("Bearer KEY"). nullptr without keys; throws ApiError 401 for none of
  /// them.
  ApiKey* find(std::string_view authorization);
  /// Counts a request of this key; throws ApiError 429 `rate_limit_exceeded` (with a time to retry) when it
  /// has had its share. `now_ms`: any steady clock.
  static void admit(ApiKey* key, double now_ms);
  static void leave(ApiKey* key) {
    if (key != nullptr) --key->here;
  }

 private:
  std::vector<ApiKey> keys_;
};

}  // namespace ballast::serve
