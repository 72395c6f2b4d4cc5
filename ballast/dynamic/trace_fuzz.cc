// Any text is a graph trace, a policy, a layout problem, WordNet's nouns or a dictionary, or an InvalidInput.
#include <string>

#include "ballast/base/errors.h"
#include "ballast/dynamic/corpora.h"
#include "ballast/dynamic/fsm.h"
#include "ballast/dynamic/plan/memory_plan.h"

namespace {

template <typename Work>
void attempt(const Work& work) {
  try {
    work();
  } catch (const ballast::InvalidInput&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::dynamic;
  const std::string text(reinterpret_cast<const char*>(data), size);
  attempt([&] { parse_synsets(text, "fuzz"); });
  attempt([&] { Dictionary::parse(text, "fuzz"); });
  attempt([&] { chinese_sentences(text); });
  const ballast::Json json = ballast::Json::parse(text, nullptr, false);
  if (json.is_discarded()) return 0;
  attempt([&] {
    const Graph graph = Graph::from_json(json, "fuzz");
    lower_bound(graph);
  });
  attempt([&] { FsmTable::from_json(json, {"leaf", "node"}, "fuzz"); });
  attempt([&] { BlockBatches::from_json(json, "fuzz"); });
  return 0;
}
