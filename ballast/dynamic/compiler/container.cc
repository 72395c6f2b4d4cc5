#include "ballast/dynamic/compiler/container.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/data/safetensors.h"
#include "ballast/dynamic/runtime/globals.h"
#include "ballast/dynamic/runtime/session.h"
#include "ballast/loop/kernel.h"

namespace ballast::dynamic {
namespace {

constexpr std::string_view kMagic = "BDX1\n";
constexpr int kVersion = 1;

std::string_view bytes_of(const std::uint64_t& number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

}  // namespace

void save_executable(const Executable& exe, const Parameters& parameters, const std::string& path) {
  // A cache of its own gathers exactly the objects that the model needs.
  auto folder = std::make_shared<const TemporaryFolder>();
  Executable fresh = compile(Module(*exe.module), exe.options, folder);
  fresh.choices = exe.choices;
  Session session(fresh, parameters);
  session.compile_kernels();
  Json passes = Json::object();
  for (const std::string& pass : pass_names()) passes[pass] = pass_on(exe.options, pass);
  Json header{{"version", kVersion},
              {"cpu", loop::KernelRegistry("").host()},
              {"file", exe.module->file},
              {"text", to_text(*exe.module)},
              {"passes", passes},
              {"constants", exe.options.constants},
              {"native", exe.options.native},
              {"parameters", Json::array()},
              {"objects", Json::array()},
              {"types", Json::array()},
              {"choices", Json::array()}};
  for (const KernelChoice& choice : exe.choices)
    header["choices"].push_back({choice.tile, static_cast<int>(choice.reading)});
  for (const OpType& type : fresh.unit.types) header["types"].push_back(type.name);
  std::string content;
  for (const auto& [name, values] : parameters) {
    header["parameters"].push_back({{"name", name}, {"numbers", values.size()}});
    content.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  }
  std::vector<std::filesystem::path> objects;
  for (const auto& entry : std::filesystem::directory_iterator(folder->path()))
    objects.push_back(entry.path());
  std::sort(objects.begin(), objects.end());
  for (const auto& object : objects) {
    const std::string bytes = read_file(object.string());
    header["objects"].push_back({{"name", object.filename().string()}, {"bytes", bytes.size()}});
    content += bytes;
  }
  const std::string text = header.dump();
  const std::uint64_t length = text.size();
  content = std::string(kMagic) + std::string(bytes_of(length)) + text + content;
  const std::uint64_t sum = checksum64(content);
  write_file(path, content + std::string(bytes_of(sum)));
}

ContainerParts parse_container(std::string_view bytes, const std::string& where) {
  const auto refuse = [&](const std::string& what) {
    throw InvalidInput(fmt::format("{}: {}; compile the model again (ballast dynamic compile)", where, what));
  };
  if (!bytes.starts_with("BDX")) refuse("no compiled model (.bdx)");
  if (!bytes.starts_with(kMagic)) refuse("of another version of the format");
  const std::size_t head = kMagic.size() + 8;
  if (bytes.size() < head + 8) refuse("truncated");
  std::uint64_t length = 0, sum = 0;
  std::memcpy(&length, bytes.data() + kMagic.size(), 8);
  std::memcpy(&sum, bytes.data() + bytes.size() - 8, 8);
  const std::string_view body = bytes.substr(0, bytes.size() - 8);
  if (checksum64(body) != sum) refuse("damaged or truncated (its checksum does not agree)");
  if (length > body.size() - head) refuse("damaged (length of its header)");
  ContainerParts parts;
  std::uint64_t numbers = 0, objects = 0;
  const std::uint64_t rest = body.size() - head - length;
  try {
    parts.header = Json::parse(body.substr(head, length));
    if (parts.header.at("version").get<int>() != kVersion) refuse("of another version of the format");
    for (const Json& p : parts.header.at("parameters")) {
      p.at("name").get_ref<const std::string&>();
      const auto count = p.at("numbers").get<std::uint64_t>();
      if (count > rest) refuse("damaged (a parameter's size)");
      numbers += 4 * count;
      if (numbers > rest) refuse("damaged (its parameters' sizes)");
    }
    for (const Json& o : parts.header.at("objects")) {
      const auto& name = o.at("name").get_ref<const std::string&>();
      if (name.empty() || name.find('/') != std::string::npos || name[0] == '.')
        refuse("damaged (an object's name)");
      const auto count = o.at("bytes").get<std::uint64_t>();
      if (count > rest) refuse("damaged (an object's size)");
      objects += count;
      if (objects > rest) refuse("damaged (its objects' sizes)");
    }
    for (const char* key : {"cpu", "file", "text"}) parts.header.at(key).get_ref<const std::string&>();
    for (const char* key : {"constants", "native"}) parts.header.at(key).get<bool>();
    for (const std::string& pass : pass_names()) parts.header.at("passes").at(pass).get<bool>();
    for (const Json& type : parts.header.at("types")) type.get_ref<const std::string&>();
    for (const Json& choice : parts.header.at("choices"))
      if (choice.at(0).get<std::int64_t>() < 1 || choice.at(0).get<std::int64_t>() > 4096 ||
          choice.at(1).get<int>() < 0 || choice.at(1).get<int>() > 2)
        refuse("damaged (a kernel's choice)");
  } catch (const Json::exception& error) {
    refuse(fmt::format("damaged header ({})", error.what()));
  }
  if (numbers + objects != rest) refuse("damaged (parts do not cover the file)");
  parts.parameters = body.substr(head + length, numbers);
  parts.objects = body.substr(head + length + numbers);
  return parts;
}

Container load_executable(const std::string& path) {
  const std::string bytes = read_file(path);
  const ContainerParts parts = parse_container(bytes, path);
  const std::string cpu = parts.header["cpu"], host = loop::KernelRegistry("").host();
  if (cpu != host)
    throw InvalidInput(
        fmt::format("{}: compiled for the processor {}, this one is {}; compile the model again (ballast "
                    "dynamic compile)",
                    path, cpu, host));
  auto folder = std::make_shared<const TemporaryFolder>();
  std::size_t at = 0;
  for (const Json& object : parts.header["objects"]) {
    const auto size = object["bytes"].get<std::size_t>();
    write_file(folder->file(object["name"]), parts.objects.substr(at, size));
    at += size;
  }
  Container result;
  at = 0;
  for (const Json& parameter : parts.header["parameters"]) {
    std::vector<float>& values = result.parameters[parameter["name"]];
    values.resize(parameter["numbers"].get<std::size_t>());
    std::memcpy(values.data(), parts.parameters.data() + at, 4 * values.size());
    at += 4 * values.size();
  }
  CompileOptions options;
  for (const std::string& pass : pass_names()) switch_pass(options, pass, parts.header["passes"][pass]);
  options.constants = parts.header["constants"];
  options.native = parts.header["native"];
  result.exe = compile(Module::from_text(parts.header["text"], parts.header["file"]), options, folder);
  std::vector<std::string> types;
  for (const OpType& type : result.exe.unit.types) types.push_back(type.name);
  if (types != parts.header["types"].get<std::vector<std::string>>())
    throw InvalidInput(path +
                       ": made by another version of the compiler; compile the model again "
                       "(ballast dynamic compile)");
  for (const Json& choice : parts.header["choices"])
    result.exe.choices.push_back(
        {choice[0].get<std::int64_t>(), static_cast<KernelChoice::Reading>(choice[1].get<int>())});
  return result;
}

Parameters read_parameters(const std::string& path) {
  Parameters parameters;
  if (path.ends_with(".safetensors")) {
    const data::SafetensorsFile file(path);
    for (const auto& [name, tensor] : file.tensors()) {
      const auto values = tensor.as<float>();
      parameters[name].assign(values.begin(), values.end());
    }
    return parameters;
  }
  const Json json = read_json(path);
  if (!json.is_object() || !json.contains("parameters") || !json["parameters"].is_object())
    throw InvalidInput(path + ": expected {\"parameters\": {name: [numbers]}}, or a .safetensors file");
  for (const auto& [name, values] : json["parameters"].items()) {
    if (!values.is_array()) throw InvalidInput(fmt::format("{}: parameter '{}' is no array", path, name));
    for (const Json& x : values) {
      if (!x.is_number())
        throw InvalidInput(fmt::format("{}: parameter '{}' holds {}", path, name, x.dump()));
      parameters[name].push_back(x.get<float>());
    }
  }
  return parameters;
}

void write_parameters(const Module& module, const Parameters& parameters, const std::string& path) {
  if (!path.ends_with(".safetensors")) {
    Json json = Json::object();
    for (const auto& [name, values] : parameters) json[name] = values;
    write_file(path, Json{{"schema", "ballast.dynamic.parameters/1"}, {"parameters", json}}.dump() + "\n");
    return;
  }
  std::map<std::string, data::ArrayView> tensors;
  for (const ParamDecl& param : module.params) {
    const std::vector<float>& values = parameters.at(param.name);
    tensors[param.name] = {data::DType::f32, data::Shape(param.type->shape.begin(), param.type->shape.end()),
                           std::as_bytes(std::span(values))};
  }
  data::write_safetensors(path, tensors);
}

}  // namespace ballast::dynamic
