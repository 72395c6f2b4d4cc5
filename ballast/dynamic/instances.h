// Instances for the models that come with Ballast: generated ones whose shape follows public data sets
// (workloads.h), keyed by (seed, instance), and readers of users' files.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/dynamic/language/value.h"
#include "ballast/dynamic/workloads.h"

namespace ballast::dynamic {

using Instance = std::vector<Value>;  ///< arguments of the entry function

/// `count` instances that fit the module's entry function, which must be of one of the kinds that the models
/// of models/ have (trees, lists of words, lattices, tensors); words are below the module's constant V.
/// Throws InvalidInput for another signature.
std::vector<Instance> draw_instances(const Module& module, int count, std::uint64_t seed,
                                     std::uint64_t first = 0);

struct ReadOptions {
  bool skip_bad = false;  ///< count malformed records and go on
};
struct ReadResult {
  std::vector<Instance> instances;
  std::int64_t skipped = 0;
  std::vector<std::string> first_errors;  ///< of what was skipped
};
/// By the file's name: .jsonl (arguments as a JSON array, typed by the entry function), .ptb or .txt (Penn
/// brackets, for tree models), .conll or .tags (tagged sentences, for models of word lists), .lattice
/// (lattices as JSON lines). Words become numbers below V by their hash. Errors name the record.
ReadResult read_instances(const Module& module, const std::string& path, const ReadOptions& options = {});
/// From text, for tests: `format` is the file's ending.
ReadResult parse_instances(const Module& module, const std::string& text, const std::string& format,
                           const std::string& where, const ReadOptions& options = {});
/// A sentence as the model takes it: List[i32], or List[Word] with words that are long or no plain lower case
/// spelled out.
Value sentence_value(const Module& module, const Type& type, const std::vector<std::string>& tokens);
/// Number of a word: stable, in [0, vocabulary).
std::int64_t word_number(const std::string& word, std::int64_t vocabulary);

/// Lengths as in the public data sets that the specification names.
int draw_length(const std::string& kind, std::uint64_t seed, std::uint64_t instance);

}  // namespace ballast::dynamic
