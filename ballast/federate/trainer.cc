#include "ballast/federate/trainer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::federate {
namespace {

constexpr std::size_t kManyFeatures = 48;  // from here on vectors along features beat vectors along samples

// exp for x in [-87, 0] (softmax after subtraction of the maximum): 2^n * 2^f, f by a polynomial of degree 6.
// Written without branches or library calls so that loops over lanes become vector code; relative error <
// 3e-7.
inline float fast_exp(float x) {
  x = std::max(x, -87.0f);
  const float scaled = x * 1.44269504f;
  const float whole = std::floor(scaled);
  const float f = (scaled - whole) * 0.693147181f;
  float p = 1.0f / 720 + f * (1.0f / 5040);
  p = 1.0f / 120 + f * p;
  p = 1.0f / 24 + f * p;
  p = 1.0f / 6 + f * p;
  p = 0.5f + f * p;
  p = 1.0f + f * p;
  p = 1.0f + f * p;
  return std::bit_cast<float>((static_cast<std::int32_t>(whole) + 127) << 23) * p;
}

// out[u][lane] = bias[u] + sum_k weight[u][k] * in[k][lane], four units at a time.
template <std::size_t Lanes>
void affine(const float* weight, const float* bias, const float* in, float* out, std::size_t units,
            std::size_t inputs) {
  std::size_t u = 0;
  for (; u + 4 <= units; u += 4) {
    std::array<std::array<float, Lanes>, 4> sum;
    for (std::size_t r = 0; r < 4; ++r) sum[r].fill(bias[u + r]);
    for (std::size_t k = 0; k < inputs; ++k) {
      const float* lane = in + k * Lanes;
      const float w0 = weight[u * inputs + k], w1 = weight[(u + 1) * inputs + k],
                  w2 = weight[(u + 2) * inputs + k], w3 = weight[(u + 3) * inputs + k];
      for (std::size_t l = 0; l < Lanes; ++l) {
        sum[0][l] += w0 * lane[l];
        sum[1][l] += w1 * lane[l];
        sum[2][l] += w2 * lane[l];
        sum[3][l] += w3 * lane[l];
      }
    }
    for (std::size_t r = 0; r < 4; ++r) std::copy(sum[r].begin(), sum[r].end(), out + (u + r) * Lanes);
  }
  for (; u < units; ++u) {
    std::array<float, Lanes> sum;
    sum.fill(bias[u]);
    for (std::size_t k = 0; k < inputs; ++k) {
      const float w = weight[u * inputs + k];
      for (std::size_t l = 0; l < Lanes; ++l) sum[l] += w * in[k * Lanes + l];
    }
    std::copy(sum.begin(), sum.end(), out + u * Lanes);
  }
}

// Sum over lanes of a[lane] * b[lane], in a fixed order: 16 partial sums, then a tree.
template <std::size_t Lanes>
float dot(const float* a, const float* b) {
  std::array<float, 16> part{};
  for (std::size_t l = 0; l < Lanes; l += 16) {
    for (std::size_t i = 0; i < 16; ++i) part[i] += a[l + i] * b[l + i];
  }
  for (std::size_t width = 8; width > 0; width /= 2) {
    for (std::size_t i = 0; i < width; ++i) part[i] += part[i + width];
  }
  return part[0];
}

// gradient[u][k] += sum over samples of d[u][sample] * x[sample][k], for inputs of many features: vectors run
// along the features of a sample, and a tile of 4 units by 64 features stays in registers over all samples.
template <std::size_t Lanes>
void outer_products(const float* d, std::span<const DrawTable::Pick> picks, float* gradient,
                    std::size_t units, std::size_t features) {
  constexpr std::size_t kTile = 64;
  for (std::size_t k = 0; k < features; k += kTile) {
    const std::size_t width = std::min(kTile, features - k);
    for (std::size_t u = 0; u < units; u += 4) {
      const std::size_t height = std::min<std::size_t>(4, units - u);
      std::array<std::array<float, kTile>, 4> tile{};
      if (width == kTile && height == 4) {
        for (std::size_t s = 0; s < picks.size(); ++s) {
          const float* x = picks[s].x + k;
          const float d0 = d[u * Lanes + s], d1 = d[(u + 1) * Lanes + s], d2 = d[(u + 2) * Lanes + s],
                      d3 = d[(u + 3) * Lanes + s];
          for (std::size_t i = 0; i < kTile; ++i) {
            tile[0][i] += d0 * x[i];
            tile[1][i] += d1 * x[i];
            tile[2][i] += d2 * x[i];
            tile[3][i] += d3 * x[i];
          }
        }
      } else {
        for (std::size_t s = 0; s < picks.size(); ++s) {
          for (std::size_t r = 0; r < height; ++r) {
            for (std::size_t i = 0; i < width; ++i) tile[r][i] += d[(u + r) * Lanes + s] * picks[s].x[k + i];
          }
        }
      }
      for (std::size_t r = 0; r < height; ++r) {
        for (std::size_t i = 0; i < width; ++i) gradient[(u + r) * features + k + i] += tile[r][i];
      }
    }
  }
}

}  // namespace

ScoreStat& ScoreStat::operator+=(const ScoreStat& other) {
  n += other.n;
  loss_sum += other.loss_sum;
  loss_sq_sum += other.loss_sq_sum;
  correct += other.correct;
  brier_sum += other.brier_sum;
  return *this;
}

void DrawTable::add(const Samples& batch, double weight) {
  if (batch.size() == 0 || weight <= 0) return;
  total_ += weight * static_cast<double>(batch.size());
  samples_ += batch.size();
  parts_.push_back({&batch, total_, 1 / weight});
}

DrawTable::Pick DrawTable::pick(std::uint32_t word) const {
  const double position = static_cast<double>(word) * 0x1p-32 * total_;
  std::size_t p = 0;
  while (p + 1 < parts_.size() && position >= parts_[p].end) ++p;
  const Part& part = parts_[p];
  const double start = p == 0 ? 0 : parts_[p - 1].end;
  const auto index =
      std::min(static_cast<std::size_t>((position - start) * part.inverse_weight), part.batch->size() - 1);
  return {part.batch->row(index), part.batch->y[index]};
}

Trainer::Trainer(const ModelShape& shape) : shape_(shape) {
  const auto d = static_cast<std::size_t>(shape.features), h = static_cast<std::size_t>(shape.hidden),
             c = static_cast<std::size_t>(shape.classes);
  x_.resize(d * kLanes);
  hidden_.resize(h * kLanes);
  d_hidden_.resize(h * kLanes);
  logits_.resize(c * kLanes);
  d_logits_.resize(c * kLanes);
  gradient_.resize(shape.size());
}

void Trainer::forward(const Params& params, std::span<const DrawTable::Pick> picks) {
  const auto d = static_cast<std::size_t>(shape_.features), h = static_cast<std::size_t>(shape_.hidden),
             c = static_cast<std::size_t>(shape_.classes);
  for (std::size_t k = 0; k < d; ++k) {
    float* lane = x_.data() + k * kLanes;
    for (std::size_t l = 0; l < picks.size(); ++l) lane[l] = picks[l].x[k];
    std::fill(lane + picks.size(), lane + kLanes, 0.0f);
  }
  const float* w1 = params.data();
  const float* b1 = w1 + h * d;
  const float* w2 = b1 + h;
  const float* b2 = w2 + c * h;
  affine<kLanes>(w1, b1, x_.data(), hidden_.data(), h, d);
  for (float& value : hidden_) value = std::max(value, 0.0f);
  affine<kLanes>(w2, b2, hidden_.data(), logits_.data(), c, h);
}

// d_logits = softmax - one-hot, and the loss of each lane; lanes behind the picks get a zero gradient.
void Trainer::softmax_and_loss(std::span<const DrawTable::Pick> picks, ScoreStat* stat) {
  const auto c = static_cast<std::size_t>(shape_.classes);
  std::array<float, kLanes> top, sum{};
  std::copy_n(logits_.begin(), kLanes, top.begin());
  for (std::size_t k = 1; k < c; ++k) {
    for (std::size_t l = 0; l < kLanes; ++l) top[l] = std::max(top[l], logits_[k * kLanes + l]);
  }
  for (std::size_t k = 0; k < c; ++k) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const float e = fast_exp(logits_[k * kLanes + l] - top[l]);
      d_logits_[k * kLanes + l] = e;
      sum[l] += e;
    }
  }
  if (stat != nullptr) {
    for (std::size_t l = 0; l < picks.size(); ++l) {
      const float label_logit = logits_[static_cast<std::size_t>(picks[l].y) * kLanes + l];
      const double missed =
          1 - std::exp(static_cast<double>(label_logit - top[l])) / static_cast<double>(sum[l]);
      stat->brier_sum += missed * missed;
      const double loss = std::log(static_cast<double>(sum[l])) + top[l] - label_logit;
      ++stat->n;
      stat->loss_sum += loss;
      stat->loss_sq_sum += loss * loss;
      // The first class that reaches the maximum answers.
      std::size_t answer = 0;
      while (logits_[answer * kLanes + l] < top[l]) ++answer;
      stat->correct += answer == static_cast<std::size_t>(picks[l].y) ? 1 : 0;
    }
  }
  for (std::size_t l = 0; l < kLanes; ++l) sum[l] = l < picks.size() ? 1.0f / sum[l] : 0.0f;
  for (std::size_t k = 0; k < c; ++k) {
    for (std::size_t l = 0; l < kLanes; ++l) d_logits_[k * kLanes + l] *= sum[l];
  }
  for (std::size_t l = 0; l < picks.size(); ++l)
    d_logits_[static_cast<std::size_t>(picks[l].y) * kLanes + l] -= 1.0f;
}

// Adds the gradient of the summed loss of these lanes to gradient_.
void Trainer::backward(const Params& params, std::span<const DrawTable::Pick> picks) {
  const auto d = static_cast<std::size_t>(shape_.features), h = static_cast<std::size_t>(shape_.hidden),
             c = static_cast<std::size_t>(shape_.classes);
  static const std::array<float, kLanes> ones = [] {
    std::array<float, kLanes> all;
    all.fill(1.0f);
    return all;
  }();
  float* g_w1 = gradient_.data();
  float* g_b1 = g_w1 + h * d;
  float* g_w2 = g_b1 + h;
  float* g_b2 = g_w2 + c * h;
  const float* w2 = params.data() + h * d + h;
  std::fill(d_hidden_.begin(), d_hidden_.end(), 0.0f);
  for (std::size_t k = 0; k < c; ++k) {
    const float* dl = d_logits_.data() + k * kLanes;
    for (std::size_t u = 0; u < h; ++u) {
      g_w2[k * h + u] += dot<kLanes>(dl, hidden_.data() + u * kLanes);
      const float w = w2[k * h + u];
      float* dh = d_hidden_.data() + u * kLanes;
      for (std::size_t l = 0; l < kLanes; ++l) dh[l] += w * dl[l];
    }
    g_b2[k] += dot<kLanes>(dl, ones.data());
  }
  for (std::size_t i = 0; i < d_hidden_.size(); ++i) d_hidden_[i] = hidden_[i] > 0 ? d_hidden_[i] : 0.0f;
  for (std::size_t u = 0; u < h; ++u) {
    const float* dh = d_hidden_.data() + u * kLanes;
    if (d < kManyFeatures) {
      for (std::size_t k = 0; k < d; ++k) g_w1[u * d + k] += dot<kLanes>(dh, x_.data() + k * kLanes);
    }
    g_b1[u] += dot<kLanes>(dh, ones.data());
  }
  if (d >= kManyFeatures) outer_products<kLanes>(d_hidden_.data(), picks, g_w1, h, d);
}

void optimizer_step(Params& params, OptimizerState& state, const OptimizerConfig& config,
                    std::span<float> gradients, float scale, const float* anchor) {
  const std::size_t size = params.size();
  if (anchor != nullptr) {
    const float pull = config.prox / scale;
    for (std::size_t i = 0; i < size; ++i) gradients[i] += pull * (params[i] - anchor[i]);
  }
  if (!config.adam && config.momentum > 0) {
    if (state.m.size() != size) state = {Params(size), {}, {}};
    for (std::size_t i = 0; i < size; ++i) {
      state.m[i] = config.momentum * state.m[i] + gradients[i] * scale + config.weight_decay * params[i];
      params[i] -= config.learning_rate * state.m[i];
    }
    return;
  }
  if (!config.adam) {
    for (std::size_t i = 0; i < size; ++i) {
      params[i] -= config.learning_rate * (gradients[i] * scale + config.weight_decay * params[i]);
    }
    return;
  }
  if (state.m.size() != size) state = {Params(size), Params(size), Params(size)};
  state.beta1_power *= config.beta1;
  state.beta2_power *= config.beta2;
  const double correction1 = 1 - state.beta1_power, correction2 = 1 - state.beta2_power;
  const auto rate = static_cast<float>(config.learning_rate / correction1);
  const auto root = static_cast<float>(1 / std::sqrt(correction2));
  float* m = state.m.data();
  float* v = state.v.data();
  float* v_max = state.v_max.data();
  float* p = params.data();
  const float* gradient = gradients.data();
  for (std::size_t i = 0; i < size; ++i) {
    const float g = gradient[i] * scale + config.weight_decay * p[i];
    m[i] = config.beta1 * m[i] + (1 - config.beta1) * g;
    v[i] = config.beta2 * v[i] + (1 - config.beta2) * g * g;
    v_max[i] = config.amsgrad ? std::max(v_max[i], v[i]) : v[i];
    p[i] -= rate * m[i] / (std::sqrt(v_max[i]) * root + config.epsilon);
  }
}

double Trainer::step_on(Params& params, OptimizerState& state, const OptimizerConfig& config,
                        std::span<const DrawTable::Pick> picks) {
  std::fill(gradient_.begin(), gradient_.end(), 0.0f);
  ScoreStat stat;
  for (std::size_t start = 0; start < picks.size(); start += kLanes) {
    const auto chunk = picks.subspan(start, std::min(kLanes, picks.size() - start));
    forward(params, chunk);
    softmax_and_loss(chunk, &stat);
    backward(params, chunk);
  }
  optimizer_step(params, state, config, gradient_, 1.0f / static_cast<float>(picks.size()), nullptr);
  return stat.mean_loss();
}

void Trainer::train(Params& params, OptimizerState& state, const OptimizerConfig& config,
                    const DrawTable& table, int steps, int batch, std::uint64_t key) {
  BALLAST_CHECK(!table.empty() && params.size() == shape_.size());
  std::array<DrawTable::Pick, kLanes> picks;
  DrawSequence draws(table, key);
  const Params anchor = config.prox > 0 ? params : Params{};
  for (int step = 0; step < steps; ++step) {
    std::fill(gradient_.begin(), gradient_.end(), 0.0f);
    for (int start = 0; start < batch; start += static_cast<int>(kLanes)) {
      const int count = std::min(static_cast<int>(kLanes), batch - start);
      for (int i = 0; i < count; ++i) picks[static_cast<std::size_t>(i)] = draws.next();
      const std::span chunk(picks.data(), static_cast<std::size_t>(count));
      forward(params, chunk);
      softmax_and_loss(chunk, nullptr);
      backward(params, chunk);
    }
    optimizer_step(params, state, config, gradient_, 1.0f / static_cast<float>(batch),
                   config.prox > 0 ? anchor.data() : nullptr);
  }
}

std::vector<std::uint32_t> drawn_indices(std::size_t size, std::uint64_t count, std::uint64_t key) {
  Random random(key);
  std::vector<std::uint32_t> indices(count);
  for (auto& index : indices) index = static_cast<std::uint32_t>(random.below(size));
  return indices;
}

ScoreStat Trainer::score_picks(const Params& params, const Samples& samples,
                               std::span<const std::uint32_t> indices) {
  ScoreStat stat;
  std::array<DrawTable::Pick, kLanes> picks;
  for (std::size_t start = 0; start < indices.size(); start += kLanes) {
    const std::size_t count = std::min(kLanes, indices.size() - start);
    for (std::size_t i = 0; i < count; ++i)
      picks[i] = {samples.row(indices[start + i]), samples.y[indices[start + i]]};
    const std::span chunk(picks.data(), count);
    forward(params, chunk);
    softmax_and_loss(chunk, &stat);
  }
  return stat;
}

ScoreStat Trainer::score(const Params& params, const Samples& samples) {
  std::vector<std::uint32_t> indices(samples.size());
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<std::uint32_t>(i);
  return score_picks(params, samples, indices);
}

ScoreStat Trainer::score_drawn(const Params& params, const Samples& samples, std::uint64_t count,
                               std::uint64_t key) {
  if (count >= samples.size()) return score(params, samples);
  return score_picks(params, samples, drawn_indices(samples.size(), count, key));
}

std::vector<std::int32_t> Trainer::predict(const Params& params, const Samples& samples) {
  std::vector<std::int32_t> answers;
  std::array<DrawTable::Pick, kLanes> picks;
  for (std::size_t start = 0; start < samples.size(); start += kLanes) {
    const std::size_t count = std::min(kLanes, samples.size() - start);
    for (std::size_t i = 0; i < count; ++i) picks[i] = {samples.row(start + i), samples.y[start + i]};
    forward(params, std::span(picks.data(), count));
    for (std::size_t l = 0; l < count; ++l) {
      std::int32_t best = 0;
      for (int k = 1; k < shape_.classes; ++k) {
        if (logits_[static_cast<std::size_t>(k) * kLanes + l] >
            logits_[static_cast<std::size_t>(best) * kLanes + l])
          best = k;
      }
      answers.push_back(best);
    }
  }
  return answers;
}

}  // namespace ballast::federate
