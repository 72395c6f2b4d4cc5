#include "ballast/ragged/tuned.h"

#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/json.h"

namespace ballast::ragged {

std::string tuned_file() {
  std::filesystem::path folder;
  if (const char* moved = std::getenv("BALLAST_JIT_CACHE")) {
    folder = moved;
  } else if (const char* cache = std::getenv("XDG_CACHE_HOME")) {
    folder = std::filesystem::path(cache) / "ballast" / "jit";
  } else if (const char* home = std::getenv("HOME")) {
    folder = std::filesystem::path(home) / ".cache" / "ballast" / "jit";
  } else {
    folder = std::filesystem::temp_directory_path() / "ballast-jit";
  }
  return (folder / "ragged-tuned.json").string();
}

namespace {

Json read_all() {
  const std::string path = tuned_file();
  if (!std::filesystem::exists(path)) return Json::object();
  try {
    const Json all = Json::parse(read_file(path));
    if (!all.is_object())
      throw InvalidInput(path + ": no object; remove it, or run ballast ragged tune again");
    return all;
  } catch (const Json::exception&) {
    throw InvalidInput(path + ": no JSON; remove it, or run ballast ragged tune again");
  }
}

}  // namespace

Tuned read_tuned(const std::string& cpu) {
  const Json all = read_all();
  Tuned t;
  if (!all.contains(cpu)) return t;
  const auto take = [&](const char* name, std::int64_t& value) {
    const auto& entry = all[cpu];
    if (!entry.is_object() || !entry.contains(name)) return;
    if (!entry[name].is_number_integer() || entry[name].get<std::int64_t>() < 1 ||
        entry[name].get<std::int64_t>() > 1 << 20)
      throw InvalidInput(tuned_file() + ": " + name, entry[name].dump(), "a tile size from 1 to 2^20");
    value = entry[name].get<std::int64_t>();
  };
  take("vgemm_rows", t.vgemm_rows);
  take("vgemm_columns", t.vgemm_columns);
  take("encoder_rows", t.encoder_rows);
  return t;
}

void write_tuned(const std::string& cpu, const Tuned& t) {
  Json all;
  try {
    all = read_all();
  } catch (const InvalidInput&) {
    all = Json::object();  // a damaged file is replaced
  }
  all[cpu] = {
      {"vgemm_rows", t.vgemm_rows}, {"vgemm_columns", t.vgemm_columns}, {"encoder_rows", t.encoder_rows}};
  std::filesystem::create_directories(std::filesystem::path(tuned_file()).parent_path());
  write_file(tuned_file(), all.dump(2) + "\n");
}

}  // namespace ballast::ragged
