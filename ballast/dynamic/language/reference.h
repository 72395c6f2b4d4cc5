// The reference interpreter: walks the checked syntax tree, one instance at a time, one operator at a time,
// in double precision with plain loops. It shares nothing with the compiler and is its oracle.
//
//   Reference reference(module, parameters);
//   Value out = reference.run({tree}, seed, instance);      // the same decisions as Session takes
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ballast/dynamic/language/value.h"

namespace ballast::dynamic {

/// Parameters by name, row-major.
using Parameters = std::map<std::string, std::vector<float>>;
/// Draws the initial values that the module declares; each parameter from its own stream of the seed.
Parameters initial_parameters(const Module& module, std::uint64_t seed);

struct Limits {
  std::int64_t nodes = 20'000'000;     ///< operators of a mini-batch
  std::int64_t depth = 100'000;        ///< calls that are open at once
  std::int64_t steps = 2'000'000'000;  ///< calls and loop iterations of an instance
};

class Reference {
 public:
  Reference(const Module& module, Parameters parameters, const Limits& limits = {});
  /// Arguments in the order of the entry function. Throws InvalidInput naming the function when a limit is
  /// passed.
  Value run(std::span<const Value> arguments, std::uint64_t seed = 1, std::uint64_t instance = 0) const;
  /// The same with full precision: all numbers of the result.
  std::vector<double> numbers(std::span<const Value> arguments, std::uint64_t seed = 1,
                              std::uint64_t instance = 0) const;

 private:
  const Module& module_;
  Parameters parameters_;
  Limits limits_;
};

/// One operator in double precision. `index` is the i32 of embedding and pick_neg_log_softmax.
std::vector<double> reference_op(const OpCall& call, const std::vector<Shape>& shapes,
                                 const std::vector<const std::vector<double>*>& operands, std::int64_t index,
                                 const Shape& result);

/// Runs `work` on a thread of its own with a stack of this size (reserved, not committed); exceptions pass
/// through.
void run_on_stack(std::size_t bytes, const std::function<void()>& work);

}  // namespace ballast::dynamic
