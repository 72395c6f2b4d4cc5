// Any text is a model, or an InvalidInput; and any text behind a treelstm is data, or an InvalidInput.
#include <string>

#include "ballast/base/errors.h"
#include "ballast/dynamic/compiler/core.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::dynamic;
  static const Module tree = load_model("treelstm"), lattice = load_model("latticelstm");
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    lower(Module::from_text(text));
  } catch (const ballast::InvalidInput&) {
  }
  for (const auto& [module, format] :
       {std::pair(&tree, "ptb"), std::pair(&tree, "jsonl"), std::pair(&lattice, "lattice")}) {
    try {
      parse_instances(*module, text, format, "fuzz");
    } catch (const ballast::InvalidInput&) {
    }
  }
  return 0;
}
