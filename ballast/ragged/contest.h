// The competitors of one encoder batch: ours, the same engine padded, padded products of libraries, packed,
// micro-batched, and libtorch. Every one computes the same rows from the same weights; they are compared
// before timing.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/bench.h"
#include "ballast/ragged/encoder.h"
#include "ballast/ragged/peers/torch_layer.h"

namespace ballast::ragged {

/// Engines that outlive a batch: kernels are compiled once for all lengths.
class Engines {
 public:
  /// `inner`: what computes our products, "jit" or a library's name.
  Engines(const EncoderConfig& config, const std::vector<LayerWeights>& weights, int threads,
          const std::string& inner = "jit");

  struct Library {
    std::string name;
    std::unique_ptr<loop::KernelRegistry> registry;
    std::unique_ptr<Encoder> encoder;
  };
  EncoderConfig config;
  const std::vector<LayerWeights>& weights;
  int threads;
  loop::KernelRegistry registry;
  loop::Launcher launcher;
  Encoder encoder;                    ///< ours as it is chosen
  std::unique_ptr<Encoder> default_;  ///< ours by default, for padded plans, where the choice is another
  const Encoder& reference() const { return default_ ? *default_ : encoder; }
  std::vector<Library> libraries;  ///< onednn, openblas, where they were found
  std::unique_ptr<TorchEncoder> torch;
};

enum class Part { layer, attention };

class Contest {
 public:
  /// `baselines`: names of those that take part, empty for all. `pad_to` 0: the batch's maximum.
  Contest(Engines& engines, std::vector<std::int32_t> lengths, Part part = Part::layer,
          std::uint64_t seed = 1, std::vector<std::string> baselines = {}, std::int64_t pad_to = 0);

  /// Largest difference of any competitor's real rows from ours, over all values' largest size.
  double worst_difference();
  /// The micro-batch size that was fastest in one trial round, and all of them with their seconds.
  std::int64_t best_unit() const { return best_unit_; }
  const std::map<std::int64_t, double>& unit_seconds() const { return unit_seconds_; }
  /// "ragged", "padded-jit", "padded-onednn", "padded-openblas", "packed", "microbatch", "perseq",
  /// "bucketed-32", "bucketed-64", "padded-torch".
  std::vector<Contestant> contestants();
  const std::vector<std::int32_t>& lengths() const { return lengths_; }

 private:
  using Output = std::vector<float>;  ///< packed rows
  Output scatter(const Output& packed) const;
  Output gather(const Output& padded) const;
  void forward(const Encoder& encoder, const Plan& plan, float* hidden);
  bool takes_part(const std::string& name) const;
  /// Every group dense at its own maximum, rounded up.
  void run_groups(const std::vector<std::vector<std::size_t>>& groups, std::int64_t round_to, float* padded);
  void run_units(std::int64_t unit, float* padded);
  void run_buckets(std::int64_t width, float* padded);

  Engines& e_;
  std::vector<std::int32_t> lengths_;
  Part part_;
  std::vector<std::string> baselines_;
  std::int64_t longest_ = 0;
  Plan ragged_, padded_;
  Output input_, padded_input_, work_, padded_work_, out_;
  Workspace workspace_;
  std::int64_t best_unit_ = 1;
  std::map<std::int64_t, double> unit_seconds_;
};

}  // namespace ballast::ragged
