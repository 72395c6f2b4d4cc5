// Requests from arbitrary bytes, whole and in pieces.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "ballast/serve/http/api_keys.h"
#include "ballast/serve/http/request_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::serve;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.empty()) return 0;
  // The first byte says how the bytes come; whole or in pieces, the same requests must come out.
  const std::size_t piece = 1 + static_cast<std::uint8_t>(text[0]) % 64;
  const std::string_view bytes = text.substr(1);
  auto read = [&](std::size_t step) {
    RequestReader reader(4096, 1024);
    std::string all;
    try {
      for (std::size_t at = 0; at < bytes.size(); at += step) {
        reader.add(bytes.substr(at, step));
        while (const auto request = reader.next()) {
          all += request->method + " " + request->path + "\n" + request->body + "\n";
          for (const auto& [name, value] : request->headers) all += name + ":" + value + "\n";
          if (!reader.keep_alive()) return all;
        }
      }
    } catch (const ApiError& error) {
      if (error.status / 100 != 4) __builtin_trap();
    }
    return all;
  };
  const std::string whole = read(bytes.size() + 1), pieces = read(piece);
  // Of a connection that ends in nonsense the whole may be refused before its pieces are.
  if (whole.size() > pieces.size() ? !whole.starts_with(pieces) : !pieces.starts_with(whole))
    __builtin_trap();
  return 0;
}
