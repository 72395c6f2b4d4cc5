#include "ballast/tune/gguf_model.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"

namespace ballast::tune {
namespace {

model::DecoderConfig read_config(const llama::Gguf& file, const GgufOptions& options) {
  const std::string architecture = file.text("general.architecture");
  if (architecture != "llama") {
    throw InvalidInput(fmt::format("{}: general.architecture", file.path()), architecture, "llama");
  }
  for (const char* key : {"llama.rope.scaling.type", "llama.rope.scale_linear"}) {
    if (!file.has(key)) continue;
    const bool plain =
        std::string(key) == "llama.rope.scaling.type" ? file.text(key) == "none" : file.real(key) == 1.0;
    if (!plain) {
      throw InvalidInput(fmt::format("{}: {}", file.path(), key), "a scaling of rotary positions", "none");
    }
  }
  for (const char* key : {"llama.expert_count", "rope_freqs.weight"}) {
    if (file.has(key) || file.find(key) != nullptr) {
      throw InvalidInput(fmt::format("{}: {}", file.path(), key), "present",
                         "dense models with plain rotary positions");
    }
  }
  model::DecoderConfig config;
  config.hidden = file.integer("llama.embedding_length");
  config.blocks = file.integer("llama.block_count");
  config.heads = file.integer("llama.attention.head_count");
  config.kv_heads = file.has("llama.attention.head_count_kv") ? file.integer("llama.attention.head_count_kv")
                                                              : config.heads;
  config.head_size = file.has("llama.attention.key_length") ? file.integer("llama.attention.key_length") : 0;
  config.feed_forward = file.integer("llama.feed_forward_length");
  config.context = file.integer("llama.context_length");
  config.norm_epsilon = file.real("llama.attention.layer_norm_rms_epsilon");
  config.rope_theta = file.has("llama.rope.freq_base") ? file.real("llama.rope.freq_base") : 10000.0;
  config.vocabulary = file.tensor("token_embd.weight").shape.at(0);
  config.tied = file.find("output.weight") == nullptr;
  if (options.keep_blocks < 0 || options.keep_blocks > config.blocks) {
    throw InvalidInput("--keep-layers", std::to_string(options.keep_blocks),
                       fmt::format("1 to {}", config.blocks));
  }
  if (options.keep_blocks > 0) config.blocks = options.keep_blocks;
  config.validate();
  if (file.has("llama.rope.dimension_count") &&
      file.integer("llama.rope.dimension_count") != config.head_size) {
    throw InvalidInput(fmt::format("{}: llama.rope.dimension_count", file.path()),
                       std::to_string(file.integer("llama.rope.dimension_count")),
                       fmt::format("the head size, {}", config.head_size));
  }
  return config;
}

std::string block_name(std::int64_t block, const std::string& part) {
  return fmt::format("blk.{}.{}.weight", block, part);
}

void fill(const llama::Gguf& file, const std::string& name, at::Tensor target, std::int64_t pair_heads = 0) {
  const llama::GgufTensor& stored = file.tensor(name);
  if (at::IntArrayRef(stored.shape) != target.sizes()) {
    throw InvalidInput(fmt::format("{}: tensor {}", file.path(), name),
                       fmt::format("{}", fmt::join(stored.shape, "x")),
                       fmt::format("{}", fmt::join(target.sizes(), "x")));
  }
  std::vector<float> values = file.read_f32(name);
  at::Tensor given = torch::from_blob(values.data(), target.sizes(), torch::kFloat32);
  target.copy_(pair_heads > 0 ? rows_to_halves(given, pair_heads) : given);
}

model::Decoder& decoder_of(model::BlockModel& model) {
  auto* decoder = dynamic_cast<model::Decoder*>(&model);
  if (decoder == nullptr)
    throw InvalidInput("GGUF of a model", model.architecture(), "llama; other types are written as folders");
  return *decoder;
}

}  // namespace

at::Tensor rows_to_halves(const at::Tensor& weight, std::int64_t heads) {
  return weight.view({heads, -1, 2, weight.size(1)}).transpose(1, 2).reshape(weight.sizes());
}

at::Tensor rows_to_pairs(const at::Tensor& weight, std::int64_t heads) {
  return weight.view({heads, 2, -1, weight.size(1)}).transpose(1, 2).reshape(weight.sizes());
}

GgufModel::GgufModel(const std::string& path, const GgufOptions& options)
    : file_(path), vocabulary_(path, {.vocabulary_only = true}), config_(read_config(file_, options)) {
  const std::int64_t all = file_.integer("llama.block_count");
  for (std::int64_t block = 0; block < config_.blocks; ++block) {
    const bool front = block < (config_.blocks + 1) / 2;
    kept_.push_back(front ? block : all - config_.blocks + block);
  }
}

std::shared_ptr<model::Decoder> GgufModel::load() const {
  const at::NoGradGuard no_grad;
  auto decoder = std::make_shared<model::Decoder>(config_, /*random_weights=*/false);
  fill(file_, "token_embd.weight", decoder->embedding);
  if (!config_.tied) fill(file_, "output.weight", decoder->head);
  fill(file_, "output_norm.weight", decoder->output_norm->weight);
  for (std::int64_t block = 0; block < config_.blocks; ++block) {
    model::DecoderBlock& part = decoder->blocks[static_cast<std::size_t>(block)];
    const std::int64_t stored = kept_[static_cast<std::size_t>(block)];
    fill(file_, block_name(stored, "attn_norm"), part->attn_norm->weight);
    fill(file_, block_name(stored, "ffn_norm"), part->ffn_norm->weight);
    for (const model::NamedLinear& linear : decoder->linears(block)) {
      const std::int64_t heads = linear.name == "attn_q"   ? config_.heads
                                 : linear.name == "attn_k" ? config_.kv_heads
                                                           : 0;
      fill(file_, block_name(stored, linear.name), linear.layer->weight, heads);
    }
  }
  return decoder;
}

std::vector<std::int32_t> GgufModel::tokenize(const std::string& text) const {
  return vocabulary_.tokenize(text);
}

std::vector<std::pair<std::string, at::Tensor>> gguf_tensors(model::BlockModel& model) {
  model::Decoder& decoder = decoder_of(model);
  const model::DecoderConfig& config = decoder.config;
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  const auto add = [&](const std::string& name, const at::Tensor& tensor) {
    tensors.emplace_back(name, tensor.detach().to(torch::kFloat32).contiguous());
  };
  add("token_embd.weight", decoder.embedding);
  if (!config.tied) add("output.weight", decoder.head);
  add("output_norm.weight", decoder.output_norm->weight);
  for (std::int64_t block = 0; block < config.blocks; ++block) {
    model::DecoderBlock& part = decoder.blocks[static_cast<std::size_t>(block)];
    add(block_name(block, "attn_norm"), part->attn_norm->weight);
    add(block_name(block, "ffn_norm"), part->ffn_norm->weight);
    for (const model::NamedLinear& linear : decoder.linears(block)) {
      const std::int64_t heads = linear.name == "attn_q"   ? config.heads
                                 : linear.name == "attn_k" ? config.kv_heads
                                                           : 0;
      const at::Tensor& weight = linear.layer->weight;
      add(block_name(block, linear.name), heads > 0 ? rows_to_pairs(weight.detach(), heads) : weight);
    }
  }
  return tensors;
}

void export_gguf(model::BlockModel& model, const std::string& from, const std::string& to,
                 llama::NumberFormat format) {
  const model::Decoder& decoder = decoder_of(model);
  const auto tensors = gguf_tensors(model);
  std::vector<llama::GgufEntry> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back({name, {tensor.sizes().begin(), tensor.sizes().end()}, tensor.data_ptr<float>()});
  }
  const std::vector<std::pair<std::string, std::uint32_t>> integers{
      {"llama.block_count", static_cast<std::uint32_t>(decoder.config.blocks)}};
  if (format == llama::NumberFormat::f32) {
    llama::write_gguf(from, to, entries, integers);
    return;
  }
  const std::string wide = to + ".f32";
  llama::write_gguf(from, wide, entries, integers);
  try {
    llama::requantize(wide, to, format, 2);
  } catch (...) {
    std::filesystem::remove(wide);
    throw;
  }
  std::filesystem::remove(wide);
}

}  // namespace ballast::tune
