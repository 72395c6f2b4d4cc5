// Any bytes as what machines send each other, as a part of a checkpoint or as a YCSB properties file: read or
// refused. What is read is written to as many bytes as it says, and they are read as the same again.
#include <cstdlib>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/cluster/cluster.h"
#include "ballast/data/ycsb_properties.h"
#include "ballast/kv/ordered.h"
#include "ballast/kv/store.h"
#include "ballast/kv/ycsb.h"

namespace {

template <typename T>
void there_and_back(ballast::cluster::Reader reader) {
  const T value = T::decode(reader);
  ballast::cluster::Buffer first, second;
  value.encode(first);
  if (first.size() != value.encoded_size()) std::abort();
  ballast::cluster::Reader again(first.bytes());
  T::decode(again).encode(second);
  if (!again.empty() || first.size() != second.size() ||
      std::memcmp(first.data(), second.data(), first.size()) != 0)
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  using namespace ballast::kv;
  if (size == 0) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    const cluster::Reader reader(bytes);
    switch (data[0] % 8) {
      case 0:
        there_and_back<Operation>(reader);
        break;
      case 1:
        there_and_back<Answer>(reader);
        break;
      case 2:
        there_and_back<Write>(reader);
        break;
      case 3:
        there_and_back<Cell>(reader);
        break;
      case 4:
        there_and_back<RangeOperation>(reader);
        break;
      case 5:
        there_and_back<RangeWrites>(reader);
        break;
      case 6:
        data::ycsb_properties(text, "input");
        break;
      default: {
        cluster::Cluster::run(1, [&](cluster::Machine& me) {
          Store store(me);
          store.from_bytes(text);
          Store again(me);
          again.from_bytes(store.to_bytes());
          if (again.to_bytes() != store.to_bytes()) std::abort();
        });
      }
    }
  } catch (const InvalidInput&) {
  }
  return 0;
}
