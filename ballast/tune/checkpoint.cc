#include "ballast/tune/checkpoint.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/safetensors.h"

namespace ballast::tune {
namespace {

namespace fs = std::filesystem;
constexpr const char* kFiles[] = {"model.safetensors", "optimizer.safetensors", "projectors.safetensors"};

const char* file_of(const std::string& name) {
  return name.starts_with("model.") ? kFiles[0] : name.starts_with("projector.") ? kFiles[2] : kFiles[1];
}

data::DType type_of(const at::Tensor& tensor) {
  return tensor.scalar_type() == torch::kInt16   ? data::DType::i16
         : tensor.scalar_type() == torch::kUInt8 ? data::DType::u8
                                                 : data::DType::f32;
}

data::Shape shape_of(const at::Tensor& tensor) {
  return {tensor.sizes().begin(), tensor.sizes().end()};
}

std::string folder_name(std::int64_t step) {
  return fmt::format("step-{:08}", step);
}

}  // namespace

void save_checkpoint(const std::string& folder, std::int64_t step, const NamedTensors& tensors,
                     const Json& facts) {
  std::error_code error;
  const fs::path target = fs::path(folder) / folder_name(step);
  const fs::path temporary = fs::path(folder) / (folder_name(step) + ".unfinished");
  fs::create_directories(temporary, error);
  if (error)
    throw Unavailable(fmt::format("{}: cannot be created ({})", temporary.string(), error.message()));
  std::vector<at::Tensor> kept;  // contiguous copies live until all is written
  std::map<std::string, std::map<std::string, data::ArrayView>> files;
  for (const auto& [name, tensor] : tensors) {
    kept.push_back(tensor.detach().contiguous());
    const at::Tensor& values = kept.back();
    files[file_of(name)][name] = {type_of(values),
                                  shape_of(values),
                                  {static_cast<const std::byte*>(values.data_ptr()), values.nbytes()}};
  }
  for (const auto& [file, content] : files)
    data::write_safetensors(temporary / file, content, {{"format", "pt"}});
  write_file(temporary / "state.json", Json{{"step", step}, {"facts", facts}}.dump(2));
  fs::remove_all(target, error);
  fs::rename(temporary, target, error);
  if (error)
    throw Unavailable(fmt::format("{}: cannot be put in place ({})", target.string(), error.message()));
  write_file(fs::path(folder) / "latest", folder_name(step));
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step-") && name != folder_name(step)) fs::remove_all(entry.path(), error);
  }
}

CheckpointInfo find_checkpoint(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".unfinished") fs::remove_all(entry.path(), error);
  }
  const fs::path latest = fs::path(folder) / "latest";
  if (!fs::exists(latest, error)) throw Unavailable(fmt::format("{}: holds no checkpoint", folder));
  CheckpointInfo info{.folder = fs::path(folder) / read_file(latest, 4096), .step = 0, .facts = {}};
  const Json state = read_json(info.folder + "/state.json");
  if (!state.contains("step") || !state.contains("facts")) {
    throw InvalidInput(info.folder + "/state.json", "without step or facts", "a checkpoint of ballast tune");
  }
  info.step = state["step"].get<std::int64_t>();
  info.facts = state["facts"];
  return info;
}

void load_checkpoint(const CheckpointInfo& checkpoint, const NamedTensors& tensors, const Json& facts) {
  std::string differences;
  for (const auto& [key, value] : facts.items()) {
    const Json stored = checkpoint.facts.contains(key) ? checkpoint.facts[key] : Json();
    if (stored != value)
      differences += fmt::format("{}{} is {} there and {} here", differences.empty() ? "" : "; ", key,
                                 stored.dump(), value.dump());
  }
  if (!differences.empty())
    throw InvalidInput(fmt::format("{}: of another run: {}", checkpoint.folder, differences));

  std::map<std::string, std::unique_ptr<data::SafetensorsFile>> files;
  std::vector<const data::ArrayView*> found;
  for (const auto& [name, tensor] : tensors) {
    auto& file = files[file_of(name)];
    if (!file) file = std::make_unique<data::SafetensorsFile>(checkpoint.folder + "/" + file_of(name));
    const data::ArrayView& view = file->tensor(name);
    if (view.dtype != type_of(tensor) || view.shape != shape_of(tensor)) {
      throw InvalidInput(fmt::format("{}: tensor {}", checkpoint.folder, name), data::to_string(view.shape),
                         data::to_string(shape_of(tensor)));
    }
    found.push_back(&view);
  }
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    at::Tensor target = tensors[i].second;
    BALLAST_CHECK(target.is_contiguous() && target.nbytes() == found[i]->bytes.size());
    std::memcpy(target.data_ptr(), found[i]->bytes.data(), found[i]->bytes.size());
  }
}

}  // namespace ballast::tune
