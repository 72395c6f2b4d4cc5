#include "ballast/codesign/genotype_source.h"

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::codesign {

Genotype genotype_from_word(const Space& space, const std::string& word, std::uint64_t seed) {
  if (word.ends_with(".json")) {
    const Json json = read_json(word);
    if (json.is_object() && json.value("schema", "") == "ballast.codesign.search/1") {
      const Json* best = nullptr;
      for (const auto& member : json.at("front")) {
        if (best == nullptr || member.value("accuracy", 0.0) > best->value("accuracy", 0.0)) best = &member;
      }
      if (best == nullptr) throw InvalidInput(word + ": the front is empty");
      return genotype_from_json(best->at("genotype"));
    }
    return genotype_from_json(json);
  }
  cli::require_one_of("--genotype", word, {"largest", "largest-conv", "smallest", "random"});
  if (word == "largest") return largest(space, Blocks::hybrid);
  if (word == "largest-conv") return largest(space, Blocks::conv_only);
  if (word == "smallest") return smallest(space, Blocks::conv_only);
  Random random(seed);
  return sample(space, random, Blocks::hybrid);
}

}  // namespace ballast::codesign
