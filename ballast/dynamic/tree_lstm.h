// The binary TreeLSTM (Tai et al. 2015; leaf i,o,u; internal i,o,u,f_l,f_r; a classifier at every internal
// node), run under any batching schedule with generated kernels: every batch is one launch whose operands are
// read where they lie, through pointer lists, without a gather copy.
//
//   TreeLstm model({.hidden = 128}, seed);
//   TreeBatch batch(trees);                                  // the dataflow graph of these trees
//   RunResult r = model.run(batch, schedule_by_name(Structure(batch.graph()), "agenda"));
//   r.logits                                                 // [internal nodes][classes], the same bits for
//   every schedule
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "ballast/dynamic/policy.h"
#include "ballast/dynamic/workloads.h"

namespace ballast::dynamic {

struct TreeLstmConfig {
  int embedding = 64, hidden = 64, classes = 5, vocabulary = 20000;
  int threads = 1;
};

/// The graph of several trees (types leaf, internal, classifier) and the word of every leaf.
class TreeBatch {
 public:
  explicit TreeBatch(const std::vector<Tree>& trees);
  const Graph& graph() const { return graph_; }
  int word(NodeId node) const { return words_[node]; }
  /// Classifier nodes in order.
  const std::vector<NodeId>& outputs() const { return outputs_; }

 private:
  Graph graph_;
  std::vector<int> words_;
  std::vector<NodeId> outputs_;
};

struct RunResult {
  std::vector<float> logits;  ///< [classifier nodes][classes]
  std::size_t batches = 0, nodes = 0;
  double seconds = 0;         ///< of the whole run, measured
  double kernel_seconds = 0;  ///< of that, inside kernels
};

class TreeLstm {
 public:
  TreeLstm(const TreeLstmConfig& config, std::uint64_t seed);
  ~TreeLstm();
  TreeLstm(const TreeLstm&) = delete;
  TreeLstm& operator=(const TreeLstm&) = delete;

  const TreeLstmConfig& config() const { return config_; }
  RunResult run(const TreeBatch& batch, const Schedule& schedule);
  /// Plain loops in double precision, one tree after another: the oracle.
  std::vector<double> reference(const TreeBatch& batch) const;

 private:
  struct State;
  TreeLstmConfig config_;
  std::unique_ptr<State> state_;
};

}  // namespace ballast::dynamic
