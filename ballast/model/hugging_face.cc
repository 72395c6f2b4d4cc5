#include "ballast/model/hugging_face.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"
#include "ballast/data/safetensors.h"
#include "ballast/model/decoder.h"
#include "ballast/model/encoder.h"
#include "ballast/model/gpt2.h"

namespace ballast::model {
namespace {

namespace fs = std::filesystem;

// config.json with errors that name file and key.
class Config {
 public:
  explicit Config(const std::string& folder) : path_(folder + "/config.json"), json_(read_json(path_)) {
    if (!json_.is_object()) throw InvalidInput(path_, "no object", "the configuration of a model");
  }
  bool has(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  std::int64_t integer(const char* key) const { return number(key).get<std::int64_t>(); }
  std::int64_t integer(const char* key, std::int64_t usual) const { return has(key) ? integer(key) : usual; }
  double real(const char* key, double usual) const { return has(key) ? number(key).get<double>() : usual; }
  std::string text(const char* key, const std::string& usual) const {
    return has(key) && json_[key].is_string() ? json_[key].get<std::string>() : usual;
  }
  bool flag(const char* key, bool usual) const {
    return has(key) && json_[key].is_boolean() ? json_[key].get<bool>() : usual;
  }
  const Json& json() const { return json_; }
  void require(const char* key, const std::string& given, const std::vector<std::string>& known) const {
    if (std::find(known.begin(), known.end(), given) == known.end())
      throw InvalidInput(fmt::format("{}: {}", path_, key), given, fmt::format("{}", fmt::join(known, ", ")));
  }

 private:
  const Json& number(const char* key) const {
    if (!has(key) || !json_[key].is_number())
      throw InvalidInput(fmt::format("{}: '{}' is missing or no number", path_, key));
    return json_[key];
  }
  std::string path_;
  Json json_;
};

std::shared_ptr<BlockModel> make_llama(const Config& config) {
  config.require("hidden_act", config.text("hidden_act", "silu"), {"silu"});
  if (config.flag("attention_bias", false) || config.flag("mlp_bias", false))
    config.require("attention_bias", "true", {"false"});
  double theta = config.real("rope_theta", 10000.0);
  // Older files say rope_scaling (null: none), newer ones rope_parameters.
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!config.has(key)) continue;
    const Json& rope = config.json()[key];
    const std::string type = rope.value("rope_type", rope.value("type", "default"));
    config.require(key, type, {"default"});
    theta = rope.value("rope_theta", theta);
  }
  return std::make_shared<Decoder>(
      DecoderConfig{.vocabulary = config.integer("vocab_size"),
                    .hidden = config.integer("hidden_size"),
                    .blocks = config.integer("num_hidden_layers"),
                    .heads = config.integer("num_attention_heads"),
                    .kv_heads = config.integer("num_key_value_heads", config.integer("num_attention_heads")),
                    .head_size = config.integer("head_dim", 0),
                    .feed_forward = config.integer("intermediate_size"),
                    .context = config.integer("max_position_embeddings"),
                    .rope_theta = theta,
                    .norm_epsilon = config.real("rms_norm_eps", 1e-6),
                    .tied = config.flag("tie_word_embeddings", false)},
      /*random_weights=*/false);
}

std::shared_ptr<BlockModel> make_gpt2(const Config& config) {
  config.require("activation_function", config.text("activation_function", "gelu_new"),
                 {"gelu_new", "gelu_pytorch_tanh"});
  return std::make_shared<Gpt2>(Gpt2Config{.vocabulary = config.integer("vocab_size"),
                                           .hidden = config.integer("n_embd"),
                                           .blocks = config.integer("n_layer"),
                                           .heads = config.integer("n_head"),
                                           .feed_forward = config.integer("n_inner", 0),
                                           .context = config.integer("n_positions"),
                                           .norm_epsilon = config.real("layer_norm_epsilon", 1e-5)});
}

std::shared_ptr<BlockModel> make_encoder(const Config& config, bool roberta) {
  config.require("hidden_act", config.text("hidden_act", "gelu"), {"gelu"});
  config.require("position_embedding_type", config.text("position_embedding_type", "absolute"), {"absolute"});
  return std::make_shared<Encoder>(EncoderConfig{.vocabulary = config.integer("vocab_size"),
                                                 .hidden = config.integer("hidden_size"),
                                                 .blocks = config.integer("num_hidden_layers"),
                                                 .heads = config.integer("num_attention_heads"),
                                                 .feed_forward = config.integer("intermediate_size"),
                                                 .positions = config.integer("max_position_embeddings"),
                                                 .segments = config.integer("type_vocab_size", 2),
                                                 .norm_epsilon = config.real("layer_norm_eps", 1e-12),
                                                 .roberta = roberta,
                                                 .padding = config.integer("pad_token_id", roberta ? 1 : 0)});
}

// The folder's tensors by name, without the prefixes that exporters put before them.
class Weights {
 public:
  explicit Weights(const std::string& folder) {
    const std::string index = folder + "/model.safetensors.index.json";
    std::set<std::string> names;
    if (fs::exists(index)) {
      const Json map = read_json(index).value("weight_map", Json::object());
      for (const auto& [tensor, file] : map.items()) {
        if (!file.is_string() || file.get<std::string>().find('/') != std::string::npos)
          throw InvalidInput(index + ": weight_map of " + tensor, file.dump(), "a file of the folder");
        names.insert(file.get<std::string>());
      }
      if (names.empty()) throw InvalidInput(index, "no weight_map", "the files of the tensors");
    } else {
      names.insert("model.safetensors");
    }
    for (const std::string& name : names) {
      files_.push_back(std::make_unique<data::SafetensorsFile>(folder + "/" + name));
      for (const auto& [tensor, view] : files_.back()->tensors())
        found_.emplace(plain(tensor), std::pair(folder + "/" + name, view));
    }
  }

  void fill(const NamedWeight& weight) {
    const auto at = found_.find(plain(weight.name));
    if (at == found_.end())
      throw InvalidInput(fmt::format("{}: tensor {} is missing", found_.begin()->second.first, weight.name));
    const auto& [file, view] = at->second;
    at::Tensor target = weight.tensor.detach();
    if (weight.transposed) target = target.t();
    if (!std::equal(view.shape.begin(), view.shape.end(), target.sizes().begin(), target.sizes().end(),
                    [](std::uint64_t a, std::int64_t b) { return static_cast<std::int64_t>(a) == b; })) {
      throw InvalidInput(fmt::format("{}: tensor {}", file, weight.name), data::to_string(view.shape),
                         fmt::format("({})", fmt::join(target.sizes(), ", ")));
    }
    const auto type = view.dtype == data::DType::f32    ? torch::kFloat32
                      : view.dtype == data::DType::bf16 ? torch::kBFloat16
                      : view.dtype == data::DType::f16  ? torch::kFloat16
                      : view.dtype == data::DType::f64  ? torch::kFloat64
                                                        : torch::kInt8;
    if (type == torch::kInt8) {
      throw InvalidInput(fmt::format("{}: tensor {}", file, weight.name),
                         std::string(data::to_string(view.dtype)), "f32, f16, bf16 or f64");
    }
    target.copy_(torch::from_blob(const_cast<std::byte*>(view.bytes.data()), target.sizes(), type));
    used_.insert(at->first);
  }

  void require_all_used() const {
    for (const auto& [name, place] : found_) {
      if (used_.contains(name)) continue;
      const bool known = name.ends_with(".attn.bias") || name.ends_with("masked_bias") ||
                         name.ends_with("inv_freq") || name.ends_with("position_ids") ||
                         name.starts_with("pooler.") || name.starts_with("cls.") ||
                         name.starts_with("lm_head.") || name.starts_with("classifier.");
      if (!known)
        throw InvalidInput(fmt::format("{}: tensor {}", place.first, name), "unknown",
                           "tensors of this architecture");
    }
  }

 private:
  static std::string plain(const std::string& name) {
    for (const char* prefix : {"transformer.", "bert.", "roberta.", "model."}) {
      if (name.starts_with(prefix)) return name.substr(std::string_view(prefix).size());
    }
    return name;
  }
  std::vector<std::unique_ptr<data::SafetensorsFile>> files_;
  std::map<std::string, std::pair<std::string, data::ArrayView>> found_;
  std::set<std::string> used_;
};

void add_norm(std::vector<NamedWeight>& list, const std::string& name, torch::nn::LayerNorm& norm) {
  list.push_back({name + ".weight", norm->weight});
  list.push_back({name + ".bias", norm->bias});
}

void add_linear(std::vector<NamedWeight>& list, const std::string& name, Linear& linear,
                bool transposed = false) {
  list.push_back({name + ".weight", linear->weight, transposed});
  if (linear->bias.defined()) list.push_back({name + ".bias", linear->bias});
}

std::vector<NamedWeight> weights_of(Decoder& model) {
  std::vector<NamedWeight> list{{"model.embed_tokens.weight", model.embedding},
                                {"model.norm.weight", model.output_norm->weight}};
  if (!model.config.tied) list.push_back({"lm_head.weight", model.head});
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    DecoderBlock& block = model.blocks[i];
    const std::string at = fmt::format("model.layers.{}.", i);
    list.push_back({at + "input_layernorm.weight", block->attn_norm->weight});
    list.push_back({at + "post_attention_layernorm.weight", block->ffn_norm->weight});
    add_linear(list, at + "self_attn.q_proj", block->attn_q);
    add_linear(list, at + "self_attn.k_proj", block->attn_k);
    add_linear(list, at + "self_attn.v_proj", block->attn_v);
    add_linear(list, at + "self_attn.o_proj", block->attn_output);
    add_linear(list, at + "mlp.gate_proj", block->ffn_gate);
    add_linear(list, at + "mlp.up_proj", block->ffn_up);
    add_linear(list, at + "mlp.down_proj", block->ffn_down);
  }
  return list;
}

std::vector<NamedWeight> weights_of(Gpt2& model) {
  std::vector<NamedWeight> list{{"transformer.wte.weight", model.embedding},
                                {"transformer.wpe.weight", model.positions}};
  add_norm(list, "transformer.ln_f", model.output_norm);
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    Gpt2Block& block = model.blocks[i];
    const std::string at = fmt::format("transformer.h.{}.", i);
    add_norm(list, at + "ln_1", block->attn_norm);
    add_norm(list, at + "ln_2", block->ffn_norm);
    add_linear(list, at + "attn.c_attn", block->attn_qkv, true);
    add_linear(list, at + "attn.c_proj", block->attn_output, true);
    add_linear(list, at + "mlp.c_fc", block->ffn_up, true);
    add_linear(list, at + "mlp.c_proj", block->ffn_down, true);
  }
  return list;
}

std::vector<NamedWeight> weights_of(Encoder& model) {
  const std::string root = model.config.roberta ? "roberta." : "bert.";
  std::vector<NamedWeight> list{{root + "embeddings.word_embeddings.weight", model.embedding},
                                {root + "embeddings.position_embeddings.weight", model.position_embedding},
                                {root + "embeddings.token_type_embeddings.weight", model.segment_embedding}};
  add_norm(list, root + "embeddings.LayerNorm", model.embed_norm);
  for (std::size_t i = 0; i < model.blocks.size(); ++i) {
    EncoderBlock& block = model.blocks[i];
    const std::string at = fmt::format("{}encoder.layer.{}.", root, i);
    add_linear(list, at + "attention.self.query", block->attn_q);
    add_linear(list, at + "attention.self.key", block->attn_k);
    add_linear(list, at + "attention.self.value", block->attn_v);
    add_linear(list, at + "attention.output.dense", block->attn_output);
    add_norm(list, at + "attention.output.LayerNorm", block->attn_norm);
    add_linear(list, at + "intermediate.dense", block->ffn_up);
    add_linear(list, at + "output.dense", block->ffn_down);
    add_norm(list, at + "output.LayerNorm", block->ffn_norm);
  }
  return list;
}

Json config_of(BlockModel& model) {
  if (const auto* decoder = dynamic_cast<Decoder*>(&model)) {
    const DecoderConfig& c = decoder->config;
    return {{"architectures", {"LlamaForCausalLM"}},
            {"model_type", "llama"},
            {"vocab_size", c.vocabulary},
            {"hidden_size", c.hidden},
            {"num_hidden_layers", c.blocks},
            {"num_attention_heads", c.heads},
            {"num_key_value_heads", c.kv_heads},
            {"head_dim", c.head_size},
            {"intermediate_size", c.feed_forward},
            {"max_position_embeddings", c.context},
            {"rope_theta", c.rope_theta},
            {"rms_norm_eps", c.norm_epsilon},
            {"hidden_act", "silu"},
            {"tie_word_embeddings", c.tied},
            {"torch_dtype", "float32"}};
  }
  if (const auto* gpt2 = dynamic_cast<Gpt2*>(&model)) {
    const Gpt2Config& c = gpt2->config;
    return {{"architectures", {"GPT2LMHeadModel"}},
            {"model_type", "gpt2"},
            {"vocab_size", c.vocabulary},
            {"n_embd", c.hidden},
            {"n_layer", c.blocks},
            {"n_head", c.heads},
            {"n_inner", c.feed_forward},
            {"n_positions", c.context},
            {"layer_norm_epsilon", c.norm_epsilon},
            {"activation_function", "gelu_new"},
            {"torch_dtype", "float32"}};
  }
  const auto* encoder = dynamic_cast<Encoder*>(&model);
  BALLAST_CHECK(encoder != nullptr);
  const EncoderConfig& c = encoder->config;
  return {{"architectures", {c.roberta ? "RobertaModel" : "BertModel"}},
          {"model_type", model.architecture()},
          {"vocab_size", c.vocabulary},
          {"hidden_size", c.hidden},
          {"num_hidden_layers", c.blocks},
          {"num_attention_heads", c.heads},
          {"intermediate_size", c.feed_forward},
          {"max_position_embeddings", c.positions},
          {"type_vocab_size", c.segments},
          {"layer_norm_eps", c.norm_epsilon},
          {"hidden_act", "gelu"},
          {"pad_token_id", c.padding},
          {"torch_dtype", "float32"}};
}

// Drops blocks from the middle.
template <typename Model>
void keep_blocks(Model& model, std::int64_t count) {
  const auto all = static_cast<std::int64_t>(model.blocks.size());
  const std::int64_t front = (count + 1) / 2;
  model.blocks.erase(model.blocks.begin() + front, model.blocks.begin() + (all - (count - front)));
}

}  // namespace

std::vector<NamedWeight> hugging_face_weights(BlockModel& model) {
  std::vector<NamedWeight> list;
  if (auto* decoder = dynamic_cast<Decoder*>(&model)) {
    list = weights_of(*decoder);
  } else if (auto* gpt2 = dynamic_cast<Gpt2*>(&model)) {
    list = weights_of(*gpt2);
  } else {
    auto* encoder = dynamic_cast<Encoder*>(&model);
    BALLAST_CHECK(encoder != nullptr);
    list = weights_of(*encoder);
  }
  if (model.sequence_head) add_linear(list, "classifier", model.sequence_head->classify);
  return list;
}

namespace {

std::shared_ptr<BlockModel> make_model(const Config& config) {
  const std::string type = config.text("model_type", "absent");
  config.require("model_type", type, {"llama", "gpt2", "bert", "roberta"});
  if (type == "llama") return make_llama(config);
  if (type == "gpt2") return make_gpt2(config);
  return make_encoder(config, type == "roberta");
}

// A model of `count` blocks, as `whole` but without the middle ones.
std::shared_ptr<BlockModel> shortened(BlockModel& whole, std::int64_t count) {
  const std::int64_t all = whole.block_count();
  if (count < 1 || count > all)
    throw InvalidInput("--keep-layers", std::to_string(count), fmt::format("1 to {}", all));
  std::shared_ptr<BlockModel> small;
  if (auto* decoder = dynamic_cast<Decoder*>(&whole)) {
    keep_blocks(*decoder, count);
    DecoderConfig config = decoder->config;
    config.blocks = count;
    small = std::make_shared<Decoder>(config, /*random_weights=*/false);
  } else if (auto* gpt2 = dynamic_cast<Gpt2*>(&whole)) {
    keep_blocks(*gpt2, count);
    Gpt2Config config = gpt2->config;
    config.blocks = count;
    small = std::make_shared<Gpt2>(config);
  } else {
    auto* encoder = dynamic_cast<Encoder*>(&whole);
    BALLAST_CHECK(encoder != nullptr);
    keep_blocks(*encoder, count);
    EncoderConfig config = encoder->config;
    config.blocks = count;
    small = std::make_shared<Encoder>(config);
  }
  const auto from = hugging_face_weights(whole), to = hugging_face_weights(*small);
  BALLAST_CHECK(from.size() == to.size());
  for (std::size_t i = 0; i < to.size(); ++i) to[i].tensor.detach().copy_(from[i].tensor);
  return small;
}

}  // namespace

std::shared_ptr<BlockModel> load_hugging_face(const std::string& folder, const HuggingFaceOptions& options) {
  const torch::NoGradGuard no_grad;
  std::shared_ptr<BlockModel> model = make_model(Config(folder));
  Weights weights(folder);
  for (const NamedWeight& weight : hugging_face_weights(*model)) weights.fill(weight);
  weights.require_all_used();
  return options.keep_blocks > 0 ? shortened(*model, options.keep_blocks) : model;
}

void save_hugging_face(BlockModel& model, const std::string& folder, const std::string& source) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Unavailable(fmt::format("{}: cannot be created ({})", folder, error.message()));
  std::vector<at::Tensor> kept;
  std::map<std::string, data::ArrayView> views;
  for (const NamedWeight& weight : hugging_face_weights(model)) {
    at::Tensor tensor = weight.tensor.detach().to(torch::kFloat32);
    kept.push_back((weight.transposed ? tensor.t() : tensor).contiguous());
    views[weight.name] = {data::DType::f32,
                          {kept.back().sizes().begin(), kept.back().sizes().end()},
                          {static_cast<const std::byte*>(kept.back().data_ptr()), kept.back().nbytes()}};
  }
  data::write_safetensors(folder + "/model.safetensors", views, {{"format", "pt"}});
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
                           "vocab.json", "merges.txt", "tokenizer.model"}) {
    const fs::path from = fs::path(source) / name;
    if (!source.empty() && fs::is_regular_file(from, error)) write_file(folder + "/" + name, read_file(from));
  }
  write_file(folder + "/config.json", config_of(model).dump(2) + "\n");
}

}  // namespace ballast::model
