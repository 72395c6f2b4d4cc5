// Tuning by profile: for each kernel of a model the tile of lanes and the way of reading scattered operands
// that is fastest at the batch sizes that a sample run shows. Trials are shared among the kernels by weight:
//
//   uniform  the same for each
//   static   by the call graph: 5 * (sum over the calling functions of their component's level) + 1, a level
//            being the longest path of strongly connected components from the entry (ACRoBat)
//   pgo      runs * lanes a run * work of a lane, counted in the sample run
//
//   Tuning t = tune(exe, parameters, sample, {.weights = "pgo", .trials = 96});
//   exe.choices = t.choices;                       // sessions that are made from now on use them
//
// A choice never changes a result: a lane is computed in the same order in every tile.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {

struct TuneOptions {
  std::string weights = "pgo";  ///< uniform, static or pgo
  int trials = 96;              ///< candidates that are timed in all
  int batch_estimate = 0;       ///< lanes of a batch; 0: the sample run's mean
  int threads = 1;
  std::uint64_t seed = 1;
};

struct Tuning {
  struct Kernel {
    std::string type;  ///< its name, which holds a hash of its content
    KernelChoice choice;
    double weight = 0;
    int trials = 0;
    std::int64_t lanes = 0;
    double before_us = 0, after_us = 0;  ///< a batch of `lanes`, measured
  };
  std::vector<KernelChoice> choices;  ///< by operator type
  std::vector<Kernel> kernels;
};

/// All candidates: tiles times ways of reading; the first one is the default.
std::vector<KernelChoice> kernel_candidates();
/// Weight of every operator type from the call graph alone.
std::vector<double> static_weights(const Executable& exe);
Tuning tune(const Executable& exe, const Parameters& parameters, std::span<const Instance> sample,
            const TuneOptions& options = {});

/// {"format": 1, "cpu", "threads", "kernels": [{"type", "tile", "reading", ...}]}
Json tuning_to_json(const Tuning& tuning, int threads);
/// Choices for the kernels of this model that the log knows. Throws InvalidInput for a malformed log, or one
/// of another processor.
std::vector<KernelChoice> choices_from_json(const Executable& exe, const Json& log, const std::string& where);

}  // namespace ballast::dynamic
