// Any bytes, cut anywhere: the parser neither crashes nor holds more than its limits, and where the cuts fall
// does not matter.
#include <cstdlib>

#include "ballast/kv/resp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::kv;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const RespLimits limits{
      .arguments = 64, .argument_bytes = 4096, .request_bytes = 8192, .inline_bytes = 512};
  RespParser whole(limits), cut(limits);
  std::vector<RespParser::Request> first, second;
  whole.feed(bytes);
  while (auto request = whole.next()) first.push_back(std::move(*request));
  for (std::size_t i = 0; i < size; i += 3) {
    cut.feed(bytes.substr(i, 3));
    while (auto request = cut.next()) second.push_back(std::move(*request));
  }
  if (first != second || whole.error() != cut.error()) std::abort();
  for (const auto& request : first) {
    if (request.empty() || request.size() > 256) std::abort();
  }
  return 0;
}
