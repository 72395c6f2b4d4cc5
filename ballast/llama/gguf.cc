#include "ballast/llama/gguf.h"

#include <fmt/format.h>
#include <ggml.h>
#include <gguf.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "ballast/base/errors.h"
#include "ballast/llama/backend.h"

namespace ballast::llama {

struct Gguf::Handle {
  gguf_context* file = nullptr;
  ggml_context* shapes = nullptr;
  ~Handle() {
    if (file != nullptr) gguf_free(file);
    if (shapes != nullptr) ggml_free(shapes);
  }
};

std::int64_t GgufTensor::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return count;
}

Gguf::Gguf(Gguf&&) noexcept = default;
Gguf& Gguf::operator=(Gguf&&) noexcept = default;
Gguf::~Gguf() = default;

Gguf::Gguf(std::string path) : path_(std::move(path)), handle_(std::make_unique<Handle>()) {
  internal::start_backend();
  std::error_code error;
  const auto file_bytes = std::filesystem::file_size(path_, error);
  if (error) throw Unavailable(fmt::format("{}: cannot be read ({})", path_, error.message()));
  internal::take_last_error();
  handle_->file = gguf_init_from_file(path_.c_str(), {.no_alloc = true, .ctx = &handle_->shapes});
  if (handle_->file == nullptr)
    throw InvalidInput(
        fmt::format("{}: not a GGUF file that can be read ({})", path_, internal::take_last_error()));

  const std::uint64_t data = gguf_get_data_offset(handle_->file);
  const std::int64_t count = gguf_get_n_tensors(handle_->file);
  tensors_.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    GgufTensor tensor;
    tensor.name = gguf_get_tensor_name(handle_->file, i);
    tensor.type = ggml_type_name(gguf_get_tensor_type(handle_->file, i));
    tensor.offset = data + gguf_get_tensor_offset(handle_->file, i);
    tensor.bytes = gguf_get_tensor_size(handle_->file, i);
    const ggml_tensor* shape = ggml_get_tensor(handle_->shapes, tensor.name.c_str());
    for (int d = ggml_n_dims(shape) - 1; d >= 0; --d) tensor.shape.push_back(shape->ne[d]);
    if (tensor.offset + tensor.bytes > file_bytes)
      throw InvalidInput::at_byte(path_, file_bytes,
                                  fmt::format("the file ends inside tensor '{}' (its end is at byte {})",
                                              tensor.name, tensor.offset + tensor.bytes));
    tensors_.push_back(std::move(tensor));
  }
}

std::vector<std::string> Gguf::keys() const {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < gguf_get_n_kv(handle_->file); ++i)
    names.emplace_back(gguf_get_key(handle_->file, i));
  return names;
}

bool Gguf::has(const std::string& key) const {
  return gguf_find_key(handle_->file, key.c_str()) >= 0;
}

std::int64_t Gguf::require(const std::string& key) const {
  const std::int64_t id = gguf_find_key(handle_->file, key.c_str());
  if (id < 0) throw InvalidInput(fmt::format("{}: has no metadata '{}'", path_, key));
  return id;
}

namespace {

std::int64_t integer_of(const gguf_context* file, std::int64_t id, const std::string& path,
                        const std::string& key) {
  switch (gguf_get_kv_type(file, id)) {
    case GGUF_TYPE_UINT8:
      return gguf_get_val_u8(file, id);
    case GGUF_TYPE_INT8:
      return gguf_get_val_i8(file, id);
    case GGUF_TYPE_UINT16:
      return gguf_get_val_u16(file, id);
    case GGUF_TYPE_INT16:
      return gguf_get_val_i16(file, id);
    case GGUF_TYPE_UINT32:
      return gguf_get_val_u32(file, id);
    case GGUF_TYPE_INT32:
      return gguf_get_val_i32(file, id);
    case GGUF_TYPE_UINT64:
      return static_cast<std::int64_t>(gguf_get_val_u64(file, id));
    case GGUF_TYPE_INT64:
      return gguf_get_val_i64(file, id);
    case GGUF_TYPE_BOOL:
      return gguf_get_val_bool(file, id) ? 1 : 0;
    default:
      throw InvalidInput(fmt::format("{}: metadata '{}' is no integer", path, key));
  }
}

void require_array(const gguf_context* file, std::int64_t id, std::initializer_list<gguf_type> types,
                   const std::string& path, const std::string& key, const char* kind) {
  if (gguf_get_kv_type(file, id) == GGUF_TYPE_ARRAY) {
    const gguf_type type = gguf_get_arr_type(file, id);
    if (std::find(types.begin(), types.end(), type) != types.end()) return;
  }
  throw InvalidInput(fmt::format("{}: metadata '{}' is no list of {}", path, key, kind));
}

}  // namespace

std::int64_t Gguf::integer(const std::string& key) const {
  return integer_of(handle_->file, require(key), path_, key);
}

double Gguf::real(const std::string& key) const {
  const std::int64_t id = require(key);
  switch (gguf_get_kv_type(handle_->file, id)) {
    case GGUF_TYPE_FLOAT32:
      return gguf_get_val_f32(handle_->file, id);
    case GGUF_TYPE_FLOAT64:
      return gguf_get_val_f64(handle_->file, id);
    default:
      return static_cast<double>(integer_of(handle_->file, id, path_, key));
  }
}

std::string Gguf::text(const std::string& key) const {
  const std::int64_t id = require(key);
  if (gguf_get_kv_type(handle_->file, id) != GGUF_TYPE_STRING)
    throw InvalidInput(fmt::format("{}: metadata '{}' is no text", path_, key));
  return gguf_get_val_str(handle_->file, id);
}

std::vector<std::string> Gguf::strings(const std::string& key) const {
  const std::int64_t id = require(key);
  require_array(handle_->file, id, {GGUF_TYPE_STRING}, path_, key, "texts");
  std::vector<std::string> values(gguf_get_arr_n(handle_->file, id));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = gguf_get_arr_str(handle_->file, id, i);
  return values;
}

std::vector<std::int64_t> Gguf::integers(const std::string& key) const {
  const std::int64_t id = require(key);
  require_array(handle_->file, id, {GGUF_TYPE_INT32, GGUF_TYPE_UINT32}, path_, key, "integers of 32 bits");
  const auto* data = static_cast<const std::int32_t*>(gguf_get_arr_data(handle_->file, id));
  const std::size_t count = gguf_get_arr_n(handle_->file, id);
  std::vector<std::int64_t> values(count);
  const bool is_unsigned = gguf_get_arr_type(handle_->file, id) == GGUF_TYPE_UINT32;
  for (std::size_t i = 0; i < count; ++i)
    values[i] = is_unsigned ? static_cast<std::int64_t>(static_cast<std::uint32_t>(data[i])) : data[i];
  return values;
}

std::vector<float> Gguf::reals(const std::string& key) const {
  const std::int64_t id = require(key);
  require_array(handle_->file, id, {GGUF_TYPE_FLOAT32}, path_, key, "numbers");
  const auto* data = static_cast<const float*>(gguf_get_arr_data(handle_->file, id));
  return {data, data + gguf_get_arr_n(handle_->file, id)};
}

const GgufTensor* Gguf::find(const std::string& name) const {
  for (const auto& tensor : tensors_) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

const GgufTensor& Gguf::tensor(const std::string& name) const {
  const GgufTensor* found = find(name);
  if (found == nullptr) throw InvalidInput(fmt::format("{}: has no tensor '{}'", path_, name));
  return *found;
}

std::vector<std::byte> Gguf::read_raw(const std::string& name) const {
  const GgufTensor& found = tensor(name);
  std::vector<std::byte> bytes(found.bytes);
  std::ifstream file(path_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(found.offset));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw Unavailable::from_errno(path_, fmt::format("tensor '{}' cannot be read", name));
  return bytes;
}

std::vector<float> Gguf::read_f32(const std::string& name) const {
  const GgufTensor& found = tensor(name);
  const std::vector<std::byte> bytes = read_raw(name);
  const ggml_type type = gguf_get_tensor_type(handle_->file, gguf_find_tensor(handle_->file, name.c_str()));
  std::vector<float> values(static_cast<std::size_t>(found.elements()));
  if (type == GGML_TYPE_F32) {
    std::copy_n(bytes.data(), bytes.size(), reinterpret_cast<std::byte*>(values.data()));
    return values;
  }
  const ggml_type_traits* traits = ggml_get_type_traits(type);
  if (traits->to_float == nullptr)
    throw InvalidInput(fmt::format("{}: tensor '{}' is of type {}, which has no conversion to float", path_,
                                   name, found.type));
  traits->to_float(bytes.data(), values.data(), found.elements());
  return values;
}

namespace {
struct OpenFile {
  gguf_context* file = nullptr;
  ggml_context* shapes = nullptr;
  ~OpenFile() {
    if (file != nullptr) gguf_free(file);
    if (shapes != nullptr) ggml_free(shapes);
  }
};
}  // namespace

void write_gguf(const std::string& from, const std::string& to, const std::vector<GgufEntry>& tensors,
                const std::vector<std::pair<std::string, std::uint32_t>>& integers) {
  internal::start_backend();
  OpenFile source, target;
  source.file = gguf_init_from_file(from.c_str(), {.no_alloc = true, .ctx = nullptr});
  if (source.file == nullptr) throw Unavailable(fmt::format("{}: not a GGUF file that can be read", from));
  target.file = gguf_init_empty();
  gguf_set_kv(target.file, source.file);
  gguf_set_val_u32(target.file, "general.file_type", 0);  // all f32
  for (const auto& [key, value] : integers) gguf_set_val_u32(target.file, key.c_str(), value);
  target.shapes = ggml_init(
      {.mem_size = ggml_tensor_overhead() * (tensors.size() + 1), .mem_buffer = nullptr, .no_alloc = true});
  for (const GgufEntry& entry : tensors) {
    std::vector<std::int64_t> innermost_first(entry.shape.rbegin(), entry.shape.rend());
    ggml_tensor* tensor = ggml_new_tensor(target.shapes, GGML_TYPE_F32,
                                          static_cast<int>(innermost_first.size()), innermost_first.data());
    ggml_set_name(tensor, entry.name.c_str());
    tensor->data = const_cast<float*>(entry.values);
    gguf_add_tensor(target.file, tensor);
  }
  const std::string temporary = fmt::format("{}.tmp-{}", to, ::getpid());
  std::error_code error;
  const bool written = gguf_write_to_file(target.file, temporary.c_str(), /*only_meta=*/false);
  if (written) std::filesystem::rename(temporary, to, error);
  if (!written || error) {
    std::error_code ignored;
    std::filesystem::remove(temporary, ignored);
    throw Unavailable(fmt::format("{}: could not be written", to));
  }
}

}  // namespace ballast::llama
