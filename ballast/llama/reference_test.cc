// The independent oracle of the library and of Gguf: a slow decoder in plain loops, written from the Llama
// architecture alone, on the dequantised weights. The library must generate the same twenty tokens.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>

#include "ballast/llama/context.h"
#include "ballast/llama/gguf.h"
#include "ballast/llama/test_model.h"

namespace ballast::llama {
namespace {

using Vector = std::vector<float>;

// y[rows] = W[rows][columns] x[columns]; eight partial sums let the compiler use vector registers.
Vector matrix_times(const Vector& w, const Vector& x) {
  const std::size_t columns = x.size(), rows = w.size() / columns;
  Vector y(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = w.data() + r * columns;
    float part[8] = {};
    for (std::size_t c = 0; c < columns; c += 8)
      for (std::size_t lane = 0; lane < 8; ++lane) part[lane] += row[c + lane] * x[c + lane];
    y[r] = std::accumulate(part, part + 8, 0.0f);
  }
  return y;
}

class ReferenceDecoder {
 public:
  explicit ReferenceDecoder(const std::string& path) : file_(path) {
    layers_ = static_cast<int>(file_.integer("llama.block_count"));
    heads_ = static_cast<int>(file_.integer("llama.attention.head_count"));
    kv_heads_ = static_cast<int>(file_.integer("llama.attention.head_count_kv"));
    width_ = static_cast<int>(file_.integer("llama.embedding_length"));
    epsilon_ = file_.real("llama.attention.layer_norm_rms_epsilon");
    base_ = file_.real("llama.rope.freq_base");
    for (const auto& tensor : file_.tensors()) weights_[tensor.name] = file_.read_f32(tensor.name);
    keys_.resize(static_cast<std::size_t>(layers_));
    values_.resize(static_cast<std::size_t>(layers_));
  }

  // Logits after one more token.
  Vector next(Token token) {
    const auto width = static_cast<std::size_t>(width_);
    const Vector& embedding = weights_.at("token_embd.weight");
    Vector x(embedding.begin() + static_cast<std::ptrdiff_t>(width) * token,
             embedding.begin() + static_cast<std::ptrdiff_t>(width) * (token + 1));
    for (int layer = 0; layer < layers_; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      auto w = [&](const char* name) -> const Vector& { return weights_.at(prefix + name); };
      add(x,
          matrix_times(w("attn_output.weight"), attention(layer, normalised(x, w("attn_norm.weight")), w)));
      const Vector h = normalised(x, w("ffn_norm.weight"));
      Vector gate = matrix_times(w("ffn_gate.weight"), h);
      const Vector up = matrix_times(w("ffn_up.weight"), h);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      add(x, matrix_times(w("ffn_down.weight"), gate));
    }
    ++position_;
    const auto output = weights_.find("output.weight");  // absent: tied to the embedding
    return matrix_times(output != weights_.end() ? output->second : embedding,
                        normalised(x, weights_.at("output_norm.weight")));
  }

 private:
  template <typename Weights>
  Vector attention(int layer, const Vector& h, const Weights& w) {
    Vector q = matrix_times(w("attn_q.weight"), h), k = matrix_times(w("attn_k.weight"), h);
    rotate(q, heads_);
    rotate(k, kv_heads_);
    auto& keys = keys_[static_cast<std::size_t>(layer)];
    auto& values = values_[static_cast<std::size_t>(layer)];
    keys.push_back(std::move(k));
    values.push_back(matrix_times(w("attn_v.weight"), h));
    const std::size_t size = q.size() / static_cast<std::size_t>(heads_);
    Vector out(q.size());
    for (std::size_t head = 0; head < static_cast<std::size_t>(heads_); ++head) {
      const std::size_t kv =
          head * static_cast<std::size_t>(kv_heads_) / static_cast<std::size_t>(heads_) * size;
      std::vector<double> score(keys.size());
      for (std::size_t t = 0; t < keys.size(); ++t)
        score[t] = std::inner_product(q.begin() + static_cast<std::ptrdiff_t>(head * size),
                                      q.begin() + static_cast<std::ptrdiff_t>((head + 1) * size),
                                      keys[t].begin() + static_cast<std::ptrdiff_t>(kv), 0.0) /
                   std::sqrt(static_cast<double>(size));
      const double highest = *std::max_element(score.begin(), score.end());
      double sum = 0;
      for (double& s : score) sum += s = std::exp(s - highest);
      for (std::size_t t = 0; t < keys.size(); ++t)
        for (std::size_t i = 0; i < size; ++i)
          out[head * size + i] += static_cast<float>(score[t] / sum * values[t][kv + i]);
    }
    return out;
  }

  // Rotary embedding over neighbouring pairs (2i, 2i+1): the order in which GGUF stores Llama's q and k rows.
  void rotate(Vector& v, int heads) const {
    const std::size_t size = v.size() / static_cast<std::size_t>(heads);
    for (std::size_t start = 0; start < v.size(); start += size) {
      for (std::size_t i = 0; i < size; i += 2) {
        const double angle = position_ * std::pow(base_, -static_cast<double>(i) / static_cast<double>(size));
        const double a = v[start + i], b = v[start + i + 1];
        v[start + i] = static_cast<float>(a * std::cos(angle) - b * std::sin(angle));
        v[start + i + 1] = static_cast<float>(a * std::sin(angle) + b * std::cos(angle));
      }
    }
  }

  Vector normalised(const Vector& x, const Vector& gain) const {
    double squares = 0;
    for (const float value : x) squares += double{value} * value;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + epsilon_);
    Vector y(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = static_cast<float>(x[i] * scale * gain[i]);
    return y;
  }

  static void add(Vector& x, const Vector& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }

  Gguf file_;
  std::map<std::string, Vector> weights_;
  int layers_, heads_, kv_heads_, width_;
  double epsilon_, base_;
  int position_ = 0;
  std::vector<std::vector<Vector>> keys_, values_;  // [layer][position][kv_heads * size]
};

// Generates twenty tokens greedily from the model file with the library; feeds the same tokens to the
// reference. Every token must have the reference's highest logit, or one at most `tie` below it (then
// rounding decides), and the root mean square of all logit differences must stay below `rms`.
struct Agreement {
  int ties = 0;
  double worst_rms = 0;
  std::string text;
};
Agreement compare(const std::string& path, float tie, double rms) {
  const Model model(path);
  Context context(model, {.cells = 256, .sequences = 1, .batch = 64, .threads = 2});
  ReferenceDecoder reference(shipped_model());
  const auto prompt = model.tokenize("The three primary colours are red,");
  Batch batch(64);
  Vector logits;
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    batch.add(prompt[i], static_cast<int>(i), 0, i + 1 == prompt.size());
    logits = reference.next(prompt[i]);
  }
  Agreement agreement;
  for (int step = 0; step < 20; ++step) {
    EXPECT_EQ(context.decode(batch), DecodeStatus::ok);
    const int last = batch.size() - 1;
    const Token token = context.greedy(last);
    const float behind =
        *std::max_element(logits.begin(), logits.end()) - logits[static_cast<std::size_t>(token)];
    EXPECT_LE(behind, tie) << "step " << step << ": '" << model.piece(token) << "'";
    agreement.ties += behind > 0 ? 1 : 0;
    const auto ours = context.logits(last);
    double squares = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) squares += std::pow(double{ours[i]} - logits[i], 2);
    const double difference = std::sqrt(squares / static_cast<double>(logits.size()));
    EXPECT_LT(difference, rms) << "step " << step;
    agreement.worst_rms = std::max(agreement.worst_rms, difference);
    agreement.text += model.piece(token);
    logits = reference.next(token);
    batch.clear();
    batch.add(token, static_cast<int>(prompt.size()) + step, 0, true);
  }
  std::printf("%s: \"%s\", %d of 20 by rounding, logits differ by %.4f (rms)\n", model.description().c_str(),
              agreement.text.c_str(), agreement.ties, agreement.worst_rms);
  return agreement;
}

TEST(Reference, TwentyGreedyTokensAreThoseOfAnIndependentDecoder) {
  BALLAST_NEEDS_SHIPPED_MODEL();
  // As shipped, the library rounds activations to 8 bits, the reference does not.
  EXPECT_LE(compare(shipped_model(), 0.25f, 1.0).ties, 2);
  // The same weights as floats: now only the order of sums and the half-precision KV memory differ.
  const std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-f32.gguf";
  requantize(shipped_model(), path, NumberFormat::f32, 2);
  EXPECT_LE(compare(path, 0.01f, 0.02).ties, 1);
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace ballast::llama
