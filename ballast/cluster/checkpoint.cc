#include "ballast/cluster/checkpoint.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"

namespace ballast::cluster {
namespace {

constexpr const char* kFormat = "ballast.checkpoint/1";

std::string state_file(const std::string& folder, std::uint64_t stage, int machine) {
  return fmt::format("{}/stage{}.machine{}.bin", folder, stage, machine);
}

}  // namespace

void Checkpoint::save(Machine& me, std::uint64_t stage, std::span<const std::byte> state) const {
  if (me.is_first()) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) throw Unavailable(fmt::format("{}: cannot be made ({})", folder_, error.message()));
  }
  me.barrier();
  AtomicFile file(state_file(folder_, stage, me.id()));
  file.write(state);
  file.commit();
  struct Part {
    std::uint64_t bytes, checksum;
  };
  const auto parts = me.allgather(Part{state.size(), checksum64(state)});
  if (me.is_first()) {
    Json manifest{
        {"format", kFormat}, {"machines", me.machines()}, {"stage", stage}, {"parts", Json::array()}};
    for (const auto& part : parts)
      manifest["parts"].push_back(
          {{"bytes", part.bytes}, {"checksum", fmt::format("{:016x}", part.checksum)}});
    write_file(folder_ + "/manifest.json", manifest.dump(1) + "\n");
    // What the manifest does not name is of older or unfinished checkpoints.
    const std::string keep = fmt::format("stage{}.", stage);
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder_, ignored)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("stage", 0) == 0 && name.rfind(keep, 0) != 0)
        std::filesystem::remove(entry.path(), ignored);
    }
  }
  me.barrier();
}

std::optional<Checkpoint::Saved> Checkpoint::load(Machine& me) const {
  const std::string path = folder_ + "/manifest.json";
  const int found = me.broadcast(static_cast<int>(std::filesystem::exists(path)), 0);
  if (!found) return std::nullopt;
  const Json manifest = read_json(path);
  const auto field = [&](const char* name) -> const Json& {
    if (!manifest.is_object() || !manifest.contains(name))
      throw InvalidInput(fmt::format("{}: '{}' is missing", path, name));
    return manifest[name];
  };
  if (field("format") != kFormat) throw InvalidInput(path + ": format", field("format").dump(), kFormat);
  if (field("machines") != me.machines()) {
    throw InvalidInput(fmt::format("{}: the checkpoint is of {} machines, this run has {}", path,
                                   field("machines").dump(), me.machines()));
  }
  try {
    const auto stage = field("stage").get<std::uint64_t>();
    const Json& part = field("parts").at(static_cast<std::size_t>(me.id()));
    const std::string file = state_file(folder_, stage, me.id());
    std::string state = read_file(file);
    if (state.size() != part.at("bytes").get<std::uint64_t>() ||
        fmt::format("{:016x}", checksum64(state)) != part.at("checksum").get<std::string>())
      throw InvalidInput(file + ": its content is not what the manifest says");
    me.barrier();
    return Saved{stage, std::move(state)};
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("{}: {}", path, error.what()));
  }
}

}  // namespace ballast::cluster
