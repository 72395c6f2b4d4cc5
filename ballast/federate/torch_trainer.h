// Models of libtorch on clients: a worker process beside this program (`ballast-federate-torch`) computes, so
// that nothing else here waits for libtorch to load. The samples of a round are drawn here, with the keys of
// the fused trainer, and go to the worker through a pipe; parameters and optimizer state come back.
//
// One request and one reply a call, each a 64-bit length and then the record below. A worker has one intra-op
// thread; equal requests give equal bits.
#pragma once

#include <memory>
#include <string>

#include "ballast/federate/trainer.h"

namespace ballast::federate {

struct TorchRequest {
  enum class Kind : std::uint8_t { train, score, predict } kind = Kind::score;
  ModelShape shape;
  Params params;
  OptimizerState state;
  OptimizerConfig config;
  int batch = 0;                ///< train: samples of a step; x and y hold all steps' samples in a row
  std::vector<float> x;         ///< [n][features]
  std::vector<std::int32_t> y;  ///< [n]
  void archive(Archive& a);
};

struct TorchReply {
  std::string refusal;  ///< not empty: why the request cannot be carried out
  Params params;
  OptimizerState state;
  ScoreStat stat;
  std::vector<std::int32_t> answers;
  void archive(Archive& a) { a& refusal& params& state& stat& answers; }
};

class TorchTrainer final : public LocalTrainer {
 public:
  /// Starts the worker. Throws Unavailable when it is not there (built without libtorch).
  explicit TorchTrainer(const ModelShape& shape);
  ~TorchTrainer() override;
  TorchTrainer(const TorchTrainer&) = delete;
  TorchTrainer& operator=(const TorchTrainer&) = delete;

  void train(Params& params, OptimizerState& state, const OptimizerConfig& config, const DrawTable& table,
             int steps, int batch, std::uint64_t key) override;
  ScoreStat score(const Params& params, const Samples& samples) override;
  ScoreStat score_drawn(const Params& params, const Samples& samples, std::uint64_t count,
                        std::uint64_t key) override;
  std::vector<std::int32_t> predict(const Params& params, const Samples& samples) override;

 private:
  TorchReply ask(TorchRequest& request);
  ModelShape shape_;
  int to_ = -1, from_ = -1, child_ = -1;
};

/// Writes a model file (model_file.h) as a TorchScript module `forward(x [n, features]) -> logits`, by the
/// worker program. Throws Unavailable when it is not there or fails.
void export_torchscript(const std::string& model, const std::string& out);

/// Both ends of the pipe. False at its end; throws Unavailable when it breaks in the middle of a record.
bool read_record(int fd, std::string& record);
void write_record(int fd, const std::string& record);

}  // namespace ballast::federate
