// What fits and how fast it will be, before any training: device and host memory by method, and time per step
// from the paper's closed forms. Everything here is modelled.
//
//   Shape shape = shape_from_string("llama-7b");
//   std::vector<PlanRow> rows = plan(shape, {.budget = Bytes::gib(24), .flops = 80e12, .link = 12e9});
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/units.h"
#include "ballast/model/decoder.h"

namespace ballast::tune {

/// The sizes of a transformer that memory and time depend on.
struct Shape {
  std::string name;
  std::int64_t blocks = 0, hidden = 0, heads = 0, kv_heads = 0, head_size = 0, feed_forward = 0,
               vocabulary = 0;
  bool gated = true;  ///< three feed-forward matrices (SwiGLU) instead of two
  bool tied = false;
  bool fused_qkv = false;  ///< GPT-2's c_attn

  struct Matrix {
    std::int64_t rows, columns;
  };
  /// The trained matrices of one block.
  std::vector<Matrix> matrices() const;
  std::int64_t trained_parameters() const;  ///< of all blocks
  std::int64_t parameters() const;          ///< with embeddings and head
};
Shape shape_of(const model::DecoderConfig& config);
/// gpt2-774m, gpt2-1.3b, llama-1b, llama-3b, llama-7b, deepseek-1.3b, deepseek-6.7b, smollm2-135m.
Shape shape_from_string(const std::string& name);
std::vector<std::string> shape_names();

struct PlanOptions {
  Bytes budget = {};      ///< of the device; 0: only say what is needed
  std::int64_t rows = 4;  ///< sequences of a batch
  std::int64_t window = 128;
  bool checkpointing = false;
  int weight_bytes = 4;   ///< on the device (2: bf16)
  int wire_bytes = 4;     ///< of a gradient value on the link
  double fraction = 0.5;  ///< d = fraction · min(m, n)
  int r = 8;
  int rank = 16;                   ///< of lora and galore
  double flops = 90e9;             ///< the device's, sustained
  double memory_bandwidth = 20e9;  ///< the device's, bytes/s: updates on the device are bound by it
  double link = 2e9;               ///< bytes/s each way
  double host_rate = 400e6;        ///< parameters/s that the host updates
};

struct PlanRow {
  std::string method;
  std::int64_t device_bytes = 0, host_bytes = 0, link_bytes = 0;  ///< link: each way, a step
  double step_seconds = 0;
  double slowdown = 0;  ///< against forward and backward alone
  bool fits = true;
  std::vector<std::pair<std::string, std::int64_t>> parts;  ///< of device_bytes
};

/// Bytes that the forward pass of one block keeps for its backward pass, in f32, for `rows` sequences of
/// `window` tokens. `factored`: what the trained matrices keep is compressed to d columns.
std::int64_t block_activation_bytes(const Shape& shape, std::int64_t rows, std::int64_t window, bool factored,
                                    double fraction);

std::vector<PlanRow> plan(const Shape& shape, const PlanOptions& options);

/// The closed forms [LSP-Offload, section 4; ZeRO-Offload], in seconds.
double zero_step_seconds(double forward, double backward, double d2h, double update, double h2d);
double layerwise_step_seconds(double forward, double backward, double extra, double d2h, double update,
                              double h2d, std::int64_t blocks);

}  // namespace ballast::tune
