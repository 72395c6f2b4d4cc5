#include "ballast/tune/plan.h"

#include <algorithm>
#include <numeric>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::tune {
namespace {

std::vector<Shape> all_shapes() {
  // Published architectures; embedding and head untied unless said.
  return {
      {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, true, true, false},
      {"gpt2-774m", 36, 1280, 20, 20, 64, 5120, 50257, false, true, true},
      {"gpt2-1.3b", 24, 2048, 16, 16, 128, 8192, 50257, false, true, true},
      {"llama-1b", 24, 2048, 32, 32, 64, 5461, 32000, true, false, false},
      {"llama-3b", 26, 3200, 32, 32, 100, 8640, 32000, true, false, false},
      {"llama-7b", 32, 4096, 32, 32, 128, 11008, 32000, true, false, false},
      {"deepseek-1.3b", 24, 2048, 16, 16, 128, 5504, 32256, true, false, false},
      {"deepseek-6.7b", 32, 4096, 32, 32, 128, 11008, 32256, true, false, false},
  };
}

std::int64_t subspace(const Shape::Matrix& matrix, double fraction) {
  return std::max<std::int64_t>(
      1, static_cast<std::int64_t>(fraction * static_cast<double>(std::min(matrix.rows, matrix.columns))));
}

// Sum over a block's matrices.
template <typename Function>
std::int64_t total(const std::vector<Shape::Matrix>& matrices, Function of) {
  return std::accumulate(matrices.begin(), matrices.end(), std::int64_t{0},
                         [&](std::int64_t sum, const Shape::Matrix& matrix) { return sum + of(matrix); });
}

std::int64_t projector_bytes(const Shape::Matrix& matrix, int r, double fraction) {
  // Positions (2), values (4) and the column-sorted copy (4) an entry, and the starts of the columns.
  return (matrix.rows + matrix.columns) * r * 10 + 2 * 4 * (subspace(matrix, fraction) + 1);
}

}  // namespace

std::vector<Shape::Matrix> Shape::matrices() const {
  const std::int64_t wide = heads * head_size, narrow = kv_heads * head_size;
  std::vector<Matrix> list;
  if (fused_qkv) {
    list.push_back({wide + 2 * narrow, hidden});
  } else {
    list.push_back({wide, hidden});
    list.push_back({narrow, hidden});
    list.push_back({narrow, hidden});
  }
  list.push_back({hidden, wide});
  if (gated) list.push_back({feed_forward, hidden});
  list.push_back({feed_forward, hidden});
  list.push_back({hidden, feed_forward});
  return list;
}

std::int64_t Shape::trained_parameters() const {
  return blocks * total(matrices(), [](const Matrix& m) { return m.rows * m.columns; });
}

std::int64_t Shape::parameters() const {
  return trained_parameters() + vocabulary * hidden * (tied ? 1 : 2) + (2 * blocks + 1) * hidden;
}

Shape shape_of(const model::DecoderConfig& config) {
  return {"this model",
          config.blocks,
          config.hidden,
          config.heads,
          config.kv_heads,
          config.head_size,
          config.feed_forward,
          config.vocabulary,
          true,
          config.tied,
          false};
}

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const Shape& shape : all_shapes()) names.push_back(shape.name);
  return names;
}

Shape shape_from_string(const std::string& name) {
  cli::require_one_of("--shape", name, shape_names());
  for (const Shape& shape : all_shapes()) {
    if (shape.name == name) return shape;
  }
  return {};
}

std::int64_t block_activation_bytes(const Shape& shape, std::int64_t rows, std::int64_t window, bool factored,
                                    double fraction) {
  const std::int64_t h = shape.hidden, wide = shape.heads * shape.head_size,
                     narrow = shape.kv_heads * shape.head_size;
  const std::int64_t f = shape.feed_forward;
  // Floats a token. Norms keep their input (the block's own input among them), its square's input is the
  // same, and the normalised value; attention keeps q, k, v, the scaled q and the weights; the gate keeps
  // both factors.
  std::int64_t floats = 4 * h + 3 * wide + 3 * narrow + shape.heads * window + (shape.gated ? 3 : 1) * f + h;
  if (factored) {
    floats += total(shape.matrices(), [&](const Shape::Matrix& m) { return subspace(m, fraction); });
  } else {
    floats += 2 * h + f + wide;  // inputs of q,k,v and of gate,up (shared), of
                                 // down, of the output matrix
  }
  return rows * window * floats * 4;
}

double zero_step_seconds(double forward, double backward, double d2h, double update, double h2d) {
  return forward + std::max(backward, d2h) + std::max(update, h2d);
}

double layerwise_step_seconds(double forward, double backward, double extra, double d2h, double update,
                              double h2d, std::int64_t blocks) {
  const auto count = static_cast<double>(blocks);
  return std::max({forward + backward + extra + (d2h + update + h2d) / count, d2h, update, h2d});
}

std::vector<PlanRow> plan(const Shape& shape, const PlanOptions& options) {
  const std::int64_t tokens = options.rows * options.window, w = options.weight_bytes;
  const std::int64_t trained = shape.trained_parameters(), all = shape.parameters();
  const auto matrices = shape.matrices();
  const std::int64_t largest_block = trained / shape.blocks;

  const std::int64_t weights = all * w;
  const std::int64_t logits = 3 * std::min<std::int64_t>(64, tokens) * shape.vocabulary * 4;
  const auto activations = [&](bool factored) {
    const std::int64_t one =
        block_activation_bytes(shape, options.rows, options.window, factored, options.fraction);
    const std::int64_t inputs = shape.blocks * tokens * shape.hidden * 4;
    return options.checkpointing ? inputs + one : inputs + shape.blocks * one;
  };

  // Time: 2 flops a parameter and token forward, twice that backward; attention's own products beside.
  const double attention =
      4.0 * static_cast<double>(shape.blocks * shape.heads * shape.head_size * options.window);
  const double dense = 2.0 * static_cast<double>(trained + shape.vocabulary * shape.hidden) + attention;
  const double forward =
      static_cast<double>(tokens) * dense / options.flops * (options.checkpointing ? 2 : 1);
  const double backward_inputs = static_cast<double>(tokens) * dense / options.flops;
  const double backward =
      backward_inputs + static_cast<double>(tokens) * 2.0 * static_cast<double>(trained) / options.flops;
  const auto device_update = [&](std::int64_t parameters) {
    return static_cast<double>(parameters) * 28 / options.memory_bandwidth;
  };

  std::vector<PlanRow> rows;
  const auto add = [&](const std::string& method, std::vector<std::pair<std::string, std::int64_t>> parts,
                       std::int64_t host, std::int64_t link, double seconds) {
    parts.insert(parts.begin(), {"weights", weights});
    parts.emplace_back("logits of the head", logits);
    PlanRow row{.method = method,
                .host_bytes = host,
                .link_bytes = link,
                .step_seconds = seconds,
                .parts = std::move(parts)};
    for (const auto& part : row.parts) row.device_bytes += part.second;
    row.slowdown = seconds / (forward + backward);
    row.fits =
        options.budget.count == 0 || row.device_bytes <= static_cast<std::int64_t>(options.budget.count);
    rows.push_back(std::move(row));
  };

  const std::int64_t dense_activations = activations(false);
  add("native",
      {{"gradients", trained * 4}, {"optimizer state", trained * 8}, {"activations", dense_activations}}, 0,
      0, forward + backward + device_update(trained));
  add("native-inbwd",
      {{"gradients", largest_block * 4},
       {"optimizer state", trained * 8},
       {"activations", dense_activations}},
      0, 0, forward + backward + device_update(trained));
  const auto link_bytes = trained * options.wire_bytes;
  const double crossing = static_cast<double>(link_bytes) / options.link;
  const double update = static_cast<double>(trained) / options.host_rate;
  add("zero", {{"gradients", 2 * largest_block * 4}, {"activations", dense_activations}}, trained * 16,
      link_bytes, zero_step_seconds(forward, backward, crossing, update, crossing));
  add("zero+layerwise", {{"gradients", 2 * largest_block * 4}, {"activations", dense_activations}},
      trained * 12, link_bytes,
      layerwise_step_seconds(forward, backward, 0, crossing, update, crossing, shape.blocks));
  const std::int64_t adapter = shape.blocks * total(matrices, [&](const Shape::Matrix& m) {
                                 return (m.rows + m.columns) * options.rank;
                               });
  add("lora", {{"adapters and their state", adapter * 16}, {"activations", dense_activations}}, 0, 0,
      forward + backward_inputs + device_update(adapter));

  const std::int64_t values = shape.blocks * total(matrices, [&](const Shape::Matrix& m) {
                                const std::int64_t d = subspace(m, options.fraction);
                                return d * d;
                              });
  const std::int64_t projectors = shape.blocks * total(matrices, [&](const Shape::Matrix& m) {
                                    return projector_bytes(m, options.r, options.fraction);
                                  });
  const std::int64_t entries = shape.blocks * total(matrices, [&](const Shape::Matrix& m) {
                                 return (m.rows + m.columns) * options.r;
                               });
  const double subspace_products = static_cast<double>(tokens) * 2.0 * static_cast<double>(values + entries);
  const double apply = 2.0 * static_cast<double>(options.r) * static_cast<double>(trained);
  const double extra = (subspace_products + apply) / options.flops;
  const std::int64_t small = values * options.wire_bytes;
  const double small_crossing = static_cast<double>(small) / options.link;
  add("lsp",
      {{"projectors", projectors}, {"subspace gradients", values * 4}, {"activations", activations(true)}},
      values * 12, small,
      layerwise_step_seconds(forward, backward_inputs, extra, small_crossing,
                             static_cast<double>(values) / options.host_rate, small_crossing, shape.blocks));
  return rows;
}

}  // namespace ballast::tune
