#include "ballast/federate/compression.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <numeric>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::federate {
namespace {

template <typename T>
void put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

template <typename T>
T get(std::string_view bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

// Round to nearest even; too large becomes infinity, which the validation of updates refuses.
std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const float magnitude = std::abs(value);
  if (!(magnitude < 65520.0f))
    return static_cast<std::uint16_t>(sign | (std::isnan(value) ? 0x7e00u : 0x7c00u));
  if (magnitude < 6.103515625e-05f) {  // subnormal: multiples of 2^-24
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyint(magnitude * 0x1p24f)));
  }
  std::uint32_t rest = bits & 0x7fffffffu;
  rest += 0xfffu + (rest >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | ((rest - 0x38000000u) >> 13));
}

float from_half(std::uint16_t half) {
  const float sign = half & 0x8000u ? -1.0f : 1.0f;
  const int exponent = half >> 10 & 31, mantissa = half & 1023;
  if (exponent == 0) return sign * std::ldexp(static_cast<float>(mantissa), -24);
  if (exponent == 31) return mantissa != 0 ? std::nanf("") : sign * INFINITY;
  return sign * std::ldexp(static_cast<float>(1024 + mantissa), exponent - 25);
}

std::size_t kept(double fraction, std::size_t size) {
  return std::min(size, std::max<std::size_t>(
                            1, static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(size)))));
}

}  // namespace

Compression Compression::from_string(const std::string& word) {
  if (word.starts_with("topk:")) {
    Compression c{Kind::topk};
    const char* end = word.data() + word.size();
    const auto [rest, error] = std::from_chars(word.data() + 5, end, c.keep);
    if (error != std::errc{} || rest != end || !(c.keep > 0 && c.keep <= 1))
      throw InvalidInput("--compress", word, "topk: with a fraction in (0, 1], such as topk:0.05");
    return c;
  }
  cli::require_one_of("--compress", word, {"none", "fp16", "int8", "topk", "topk:FRACTION"});
  if (word == "fp16") return {Kind::fp16};
  if (word == "int8") return {Kind::int8};
  if (word == "topk") return {Kind::topk};
  return {};
}

std::string Compression::to_string() const {
  if (kind == Kind::topk) return "topk:" + std::to_string(keep);
  return kind == Kind::none ? "none" : kind == Kind::fp16 ? "fp16" : "int8";
}

std::size_t Compression::bytes(std::size_t size) const {
  switch (kind) {
    case Kind::fp16:
      return 2 * size;
    case Kind::int8:
      return 4 + size;
    case Kind::topk:
      return 8 * kept(keep, size);
    case Kind::none:
      break;
  }
  return 4 * size;
}

std::string Compression::encode(const Params& trained, const Params& start, Params& residual,
                                std::uint64_t key) const {
  const std::size_t size = trained.size();
  std::string out;
  out.reserve(bytes(size));
  if (kind == Kind::none) {
    out.assign(reinterpret_cast<const char*>(trained.data()), 4 * size);
    return out;
  }
  Params difference(size);
  for (std::size_t i = 0; i < size; ++i) difference[i] = trained[i] - start[i];
  if (kind == Kind::fp16) {
    for (float d : difference) put(out, to_half(d));
  } else if (kind == Kind::int8) {
    float largest = 0;
    for (float d : difference) largest = std::max(largest, std::abs(d));
    if (!std::isfinite(largest)) throw InvalidInput("an update holds values that are no finite numbers");
    put(out, largest);
    Random random(key, 0x71);
    for (float d : difference) {
      const double level = largest == 0 ? 0 : static_cast<double>(d) / largest * 127;
      put(out, static_cast<std::int8_t>(std::clamp(std::floor(level + random.uniform()), -127.0, 127.0)));
    }
  } else {
    residual.resize(size, 0);
    for (std::size_t i = 0; i < size; ++i) difference[i] += residual[i];
    std::vector<std::uint32_t> order(size);
    std::iota(order.begin(), order.end(), 0u);
    const auto k = static_cast<std::ptrdiff_t>(kept(keep, size));
    std::nth_element(order.begin(), order.begin() + k - 1, order.end(),
                     [&](std::uint32_t a, std::uint32_t b) {
                       const float x = std::abs(difference[a]), y = std::abs(difference[b]);
                       return x > y || (x == y && a < b);
                     });
    order.resize(static_cast<std::size_t>(k));
    std::sort(order.begin(), order.end());
    residual = difference;
    for (std::uint32_t i : order) {
      put(out, i);
      put(out, difference[i]);
      residual[i] = 0;
    }
  }
  return out;
}

Params Compression::decode(std::string_view payload, const Params& start) const {
  const std::size_t size = start.size();
  if (payload.size() != bytes(size)) {
    throw InvalidInput("update", std::to_string(payload.size()) + " bytes",
                       std::to_string(bytes(size)) + " bytes");
  }
  Params params(size);
  if (kind == Kind::none) {
    std::memcpy(params.data(), payload.data(), payload.size());
    return params;
  }
  params = start;
  if (kind == Kind::fp16) {
    for (std::size_t i = 0; i < size; ++i) params[i] += from_half(get<std::uint16_t>(payload, 2 * i));
  } else if (kind == Kind::int8) {
    const float step = get<float>(payload, 0) / 127;
    for (std::size_t i = 0; i < size; ++i)
      params[i] += step * static_cast<float>(get<std::int8_t>(payload, 4 + i));
  } else {
    for (std::size_t at = 0; at < payload.size(); at += 8) {
      const auto i = get<std::uint32_t>(payload, at);
      if (i >= size) throw InvalidInput("an update names a parameter that the model does not have");
      params[i] += get<float>(payload, at + 4);
    }
  }
  return params;
}

}  // namespace ballast::federate
