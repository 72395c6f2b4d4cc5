// Checkpoints of a long run: every few rounds each machine writes the values of its vertices, and a run that
// was cut short goes on from the last complete one. A checkpoint belongs to its algorithm, graph and number
// of machines; the partition may not change either, because it decides who owns which vertex.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/cluster/checkpoint.h"
#include "ballast/graph/dist/dist_graph.h"

namespace ballast::graph {

struct ProgressOptions {
  std::string folder = {};  ///< empty: no checkpoints
  int every = 10;           ///< rounds (bc: sources) between two of them
  bool resume = false;      ///< go on from what the folder has; else start anew
};

class Progress {
 public:
  Progress(const DistGraph& g, const std::string& algorithm, const ProgressOptions& options)
      : g_(g), options_(options), checkpoint_(options.folder) {
    identity_ = mix64(g.vertices() ^ mix64(g.edges() ^ mix64(g.options().by_degree)));
    for (char c : algorithm) identity_ = mix64(identity_ ^ static_cast<unsigned char>(c));
  }

  /// The rounds that are done, and the values after them; 0 and `values` as they are when there is nothing to
  /// go on from. Collective. Throws InvalidInput when the checkpoint is of another run.
  template <typename T>
  std::uint64_t begin(std::vector<T>& values) const {
    if (options_.folder.empty() || !options_.resume) return 0;
    const auto saved = checkpoint_.load(g_.machine());
    if (!saved) return 0;
    const std::size_t bytes = values.size() * sizeof(T);
    std::uint64_t identity = 0;
    if (saved->state.size() >= sizeof identity) std::memcpy(&identity, saved->state.data(), sizeof identity);
    if (identity != identity_ || saved->state.size() != sizeof identity + bytes)
      throw InvalidInput(
          "the checkpoint in " + options_.folder +
          " is of another algorithm, graph or partition: give another folder, or leave out --resume");
    std::memcpy(values.data(), saved->state.data() + sizeof identity, bytes);
    return saved->stage;
  }

  /// Collective, after every round.
  template <typename T>
  void reached(std::uint64_t round, const std::vector<T>& values) const {
    if (options_.folder.empty() || round % static_cast<std::uint64_t>(options_.every) != 0) return;
    std::string state(sizeof identity_ + values.size() * sizeof(T), '\0');
    std::memcpy(state.data(), &identity_, sizeof identity_);
    std::memcpy(state.data() + sizeof identity_, values.data(), values.size() * sizeof(T));
    checkpoint_.save(g_.machine(), round, std::as_bytes(std::span(state.data(), state.size())));
  }

 private:
  const DistGraph& g_;
  const ProgressOptions& options_;
  cluster::Checkpoint checkpoint_;
  std::uint64_t identity_ = 0;
};

}  // namespace ballast::graph
