#include "ballast/ragged/encoder.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/loop/gemm.h"
#include "ballast/ragged/operators.h"
#include "ballast/ragged/prelude_cache.h"

namespace ballast::ragged {
namespace {

std::vector<float> packed(const std::vector<float>& w, std::int64_t n, std::int64_t k, bool pack) {
  if (!pack) return w;
  std::vector<float> out(static_cast<std::size_t>(loop::packed_size(k, n)));
  loop::pack_panels(w.data(), k, true, k, n, out.data());
  return out;
}

class Stopwatch {
 public:
  void lap(double* into) {
    const auto now = std::chrono::steady_clock::now();
    if (into) *into += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

/// Attention through the schedule compiler, with memory for its scores.
struct Encoder::Unfused {
  Program program;
  std::mutex mutex;
  PreludeCache preludes{4};
  std::map<std::string, std::vector<float>> memory;

  void run(loop::Launcher& launcher, const Plan& plan, const float* qkv, float* out) {
    if (plan.rows == 0) return;
    const std::lock_guard lock(mutex);
    const auto prepared =
        preludes.prepared(program, {.lengths = {{"len", plan.lengths}},
                                    .scalars = {{"B", static_cast<std::int64_t>(plan.lengths.size())}}});
    // The program's signature says which operands it writes.
    std::map<std::string, float*> tensors{{"QKV", const_cast<float*>(qkv)}, {"O", out}};
    for (const char* name : {"S", "M", "E", "T"}) {
      std::vector<float>& values = memory[name];
      const auto need = static_cast<std::size_t>(prepared->volume(name));
      if (values.size() < need) values.resize(need);
      tensors[name] = values.data();
    }
    program.run(launcher, *prepared, tensors);
  }
};

void Encoder::run(loop::Launcher& launcher, const loop::CompiledKernel& kernel,
                  std::initializer_list<const void*> buffers, std::int64_t scalar,
                  std::initializer_list<const std::int32_t*> aux) const {
  // The kernel's signature says which operands it writes; a frame has one list for all.
  void* pointers[8];
  std::size_t n = 0;
  for (const void* b : buffers) pointers[n++] = const_cast<void*>(b);
  launcher.run(kernel, {pointers, &scalar, aux.begin(), nullptr}, config_.balance);
}

void LayerWeights::check(const EncoderConfig& c, std::int64_t layer) const {
  const std::int64_t d = c.model, f = c.feed_forward;
  const struct {
    const char* name;
    const std::vector<float>& values;
    std::int64_t want;
  } all[] = {{"qkv", qkv, 3 * d * d},     {"qkv_bias", qkv_bias, 3 * d}, {"out", out, d * d},
             {"out_bias", out_bias, d},   {"norm1", norm1, d},           {"norm1_bias", norm1_bias, d},
             {"up", up, f * d},           {"up_bias", up_bias, f},       {"down", down, d * f},
             {"down_bias", down_bias, d}, {"norm2", norm2, d},           {"norm2_bias", norm2_bias, d}};
  for (const auto& w : all)
    if (static_cast<std::int64_t>(w.values.size()) != w.want)
      throw InvalidInput(fmt::format("weight {} of layer {}", w.name, layer),
                         fmt::format("{} numbers", w.values.size()), fmt::format("{} numbers", w.want));
}

std::vector<LayerWeights> random_weights(const EncoderConfig& c, std::uint64_t seed) {
  std::vector<LayerWeights> layers(static_cast<std::size_t>(c.layers));
  Random random(seed, 0x3e1);
  const auto fill = [&](std::vector<float>& v, std::int64_t size, double width, double centre = 0) {
    v.resize(static_cast<std::size_t>(size));
    for (float& x : v) x = static_cast<float>(centre + random.uniform(-width, width));
  };
  const std::int64_t d = c.model, f = c.feed_forward;
  const double wd = 1 / std::sqrt(static_cast<double>(d)), wf = 1 / std::sqrt(static_cast<double>(f));
  for (LayerWeights& w : layers) {
    fill(w.qkv, 3 * d * d, wd);
    fill(w.qkv_bias, 3 * d, wd);
    fill(w.out, d * d, wd);
    fill(w.out_bias, d, wd);
    fill(w.norm1, d, 0.1, 1);
    fill(w.norm1_bias, d, 0.1);
    fill(w.up, f * d, wd);
    fill(w.up_bias, f, wd);
    fill(w.down, d * f, wf);
    fill(w.down_bias, d, wf);
    fill(w.norm2, d, 0.1, 1);
    fill(w.norm2_bias, d, 0.1);
  }
  return layers;
}

Workspace::Views Workspace::views(std::int64_t rows, const EncoderConfig& c) {
  const auto d = static_cast<std::size_t>(c.model), f = static_cast<std::size_t>(c.feed_forward),
             n = static_cast<std::size_t>(rows);
  const std::size_t need = n * (5 * d + f) + 16;
  if (memory_.size() < need) memory_.resize(need);
  float* p = memory_.data();
  return {p, p + n * 3 * d, p + n * 4 * d, p + n * 5 * d};
}

Encoder::Encoder(loop::KernelRegistry& registry, EncoderConfig config,
                 const std::vector<LayerWeights>& weights, Mask mask)
    : config_(config) {
  const std::int64_t d = config.model, f = config.feed_forward;
  if (config.heads <= 0 || d % config.heads != 0)
    throw InvalidInput("heads of the encoder", std::to_string(config.heads),
                       fmt::format("a divisor of the model size {}", d));
  if (static_cast<std::int64_t>(weights.size()) != config.layers)
    throw InvalidInput("layers of the weights", std::to_string(weights.size()),
                       std::to_string(config.layers));
  const bool pack = config.packed_weights;
  // Q is scaled in its weights: softmax(Q K^T / sqrt(head)).
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(d / config.heads)));
  for (std::size_t l = 0; l < weights.size(); ++l) {
    const LayerWeights& w = weights[l];
    w.check(config, static_cast<std::int64_t>(l));
    std::vector<float> qkv = w.qkv, qkv_bias = w.qkv_bias;
    for (std::int64_t i = 0; i < d * d; ++i) qkv[static_cast<std::size_t>(i)] *= scale;
    for (std::int64_t i = 0; i < d; ++i) qkv_bias[static_cast<std::size_t>(i)] *= scale;
    layers_.push_back({packed(qkv, 3 * d, d, pack), qkv_bias, packed(w.out, d, d, pack), w.out_bias, w.norm1,
                       w.norm1_bias, packed(w.up, f, d, pack), w.up_bias, packed(w.down, d, f, pack),
                       w.down_bias, w.norm2, w.norm2_bias});
  }
  LinearSpec base;
  base.packed = pack;
  base.row_tile = config.row_tile;
  base.epsilon = config.epsilon;
  const auto linear = [&](const char* name, std::int64_t k, std::int64_t n, Activation activation,
                          bool norm) {
    LinearSpec spec = base;
    spec.name = name;
    spec.k = k;
    spec.n = n;
    spec.activation = activation;
    spec.norm = norm;
    return registry.get(linear_kernel(spec));
  };
  qkv_ = linear("qkv_projection", d, 3 * d, Activation::none, false);
  project_ = linear("output_projection", d, d, Activation::none, true);
  project_plain_ = linear("output_projection_plain", d, d, Activation::none, false);
  up_ = linear("feed_forward_up", d, f, config.activation, false);
  down_ = linear("feed_forward_down", f, d, Activation::none, true);
  attention_ = registry.get(attention_kernel({.heads = config.heads,
                                              .head_size = d / config.heads,
                                              .max_length = config.max_length,
                                              .causal = config.causal,
                                              .mask = std::move(mask),
                                              .nan_for_masked_rows = config.nan_for_masked_rows,
                                              .name = "attention"}));
  if (!config.fused_attention) {
    if (config.causal)
      throw InvalidInput("attention with one kernel an operator has no causal mask: use the fused one");
    AttentionOptions o;
    o.heads = config.heads;
    o.head_size = d / config.heads;
    o.max_length = config.max_length;
    o.scaled_queries = true;
    unfused_ = std::make_shared<Unfused>(attention_program(registry, o, false));
  }
}

void Encoder::attend(loop::Launcher& launcher, const Plan& plan, const float* qkv, float* out) const {
  if (unfused_ && plan.rows == std::accumulate(plan.lengths.begin(), plan.lengths.end(), std::int64_t{0}))
    return unfused_->run(launcher, plan, qkv, out);
  run(launcher, *attention_, {qkv, out}, plan.tiles(),
      {plan.tile_start.data(), plan.tile_row.data(), plan.tile_length.data(), plan.tile_keys.data()});
}

void Encoder::layer(loop::Launcher& launcher, const Plan& plan, const Plan* dense, const Packed& w,
                    float* hidden, Workspace& workspace, OperatorTimes* times) const {
  const Workspace::Views v = workspace.views(plan.rows, config_);
  Stopwatch watch;
  run(launcher, *qkv_, {hidden, w.qkv.data(), w.qkv_bias.data(), v.qkv}, plan.rows);
  watch.lap(times ? &times->qkv : nullptr);
  if (dense) {
    const std::int64_t d = config_.model;
    workspace.dense_qkv.resize(static_cast<std::size_t>(dense->rows * 3 * d));
    workspace.dense_attention.resize(static_cast<std::size_t>(dense->rows * d));
    for (std::size_t b = 0; b < plan.lengths.size(); ++b)
      std::copy_n(v.qkv + plan.offsets[b] * 3 * d, plan.lengths[b] * 3 * d,
                  workspace.dense_qkv.data() + dense->offsets[b] * 3 * d);
    attend(launcher, *dense, workspace.dense_qkv.data(), workspace.dense_attention.data());
    for (std::size_t b = 0; b < plan.lengths.size(); ++b)
      std::copy_n(workspace.dense_attention.data() + dense->offsets[b] * d, plan.lengths[b] * d,
                  v.attention + plan.offsets[b] * d);
  } else {
    attend(launcher, plan, v.qkv, v.attention);
  }
  watch.lap(times ? &times->attention : nullptr);
  run(launcher, *project_,
      {v.attention, w.out.data(), w.out_bias.data(), v.middle, hidden, w.norm1.data(), w.norm1_bias.data()},
      plan.rows);
  watch.lap(times ? &times->projection : nullptr);
  run(launcher, *up_, {v.middle, w.up.data(), w.up_bias.data(), v.feed}, plan.rows);
  watch.lap(times ? &times->up : nullptr);
  run(launcher, *down_,
      {v.feed, w.down.data(), w.down_bias.data(), hidden, v.middle, w.norm2.data(), w.norm2_bias.data()},
      plan.rows);
  watch.lap(times ? &times->down : nullptr);
}

void Encoder::forward(loop::Launcher& launcher, const Plan& plan, float* hidden, Workspace& workspace,
                      OperatorTimes* times) const {
  for (const Packed& w : layers_) layer(launcher, plan, nullptr, w, hidden, workspace, times);
}

void Encoder::forward_packed(loop::Launcher& launcher, const Plan& plan, const Plan& dense, float* hidden,
                             Workspace& workspace, OperatorTimes* times) const {
  for (const Packed& w : layers_) layer(launcher, plan, &dense, w, hidden, workspace, times);
}

void Encoder::multi_head(loop::Launcher& launcher, const Plan& plan, const float* hidden, float* out,
                         Workspace& workspace) const {
  const Workspace::Views v = workspace.views(plan.rows, config_);
  const Packed& w = layers_.front();
  run(launcher, *qkv_, {hidden, w.qkv.data(), w.qkv_bias.data(), v.qkv}, plan.rows);
  attend(launcher, plan, v.qkv, v.attention);
  run(launcher, *project_plain_, {v.attention, w.out.data(), w.out_bias.data(), out}, plan.rows);
}

}  // namespace ballast::ragged
