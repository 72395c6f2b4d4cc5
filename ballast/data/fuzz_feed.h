// One function a reader that takes any bytes: it may accept them or refuse them with InvalidInput, nothing
// else. The fuzz targets and the mutation tests share them.
#pragma once

#include <array>
#include <string_view>

#include "ballast/base/errors.h"
#include "ballast/data/csv.h"
#include "ballast/data/idx.h"
#include "ballast/data/npy.h"
#include "ballast/data/safetensors.h"
#include "ballast/data/trace.h"

namespace ballast::data {

template <typename Read>
bool accepts(Read read) {
  try {
    read();
    return true;
  } catch (const InvalidInput&) {
    return false;
  }
}

inline bool feed_stream(std::string_view bytes) {
  return accepts([&] {
    InputStream in = InputStream::over("fuzz", bytes);
    std::array<char, 1000> buffer;
    std::uint64_t total = 0;
    while (in.read(buffer.data(), buffer.size()) == buffer.size() && total < (1 << 24))
      total += buffer.size();
  });
}

inline bool feed_csv(std::string_view bytes) {
  return accepts([&] {
    CsvReader rows(InputStream::over("fuzz", bytes));
    while (rows.next()) {
      for (std::size_t i = 0; i < rows.columns().size(); ++i) {
        accepts([&] { (void)rows.integer(i); });
        accepts([&] { (void)rows.number(i); });
        accepts([&] { (void)rows.boolean(i); });
      }
    }
  });
}

inline bool feed_npy(std::string_view bytes) {
  return accepts([&] { (void)read_npy(InputStream::over("fuzz", bytes)); });
}
inline bool feed_npz(std::string_view bytes) {
  return accepts([&] { (void)parse_npz("fuzz", bytes); });
}
inline bool feed_idx(std::string_view bytes) {
  return accepts([&] { (void)read_idx(InputStream::over("fuzz", bytes)); });
}
inline bool feed_safetensors(std::string_view bytes) {
  return accepts(
      [&] { (void)parse_safetensors("fuzz", std::as_bytes(std::span(bytes.data(), bytes.size()))); });
}
inline bool feed_trace(std::string_view bytes) {
  return accepts([&] {
    const Trace trace = read_trace(InputStream::over("fuzz", bytes));
    if (trace.span_s() < 1e5) (void)facts_of(trace);
  });
}

}  // namespace ballast::data
