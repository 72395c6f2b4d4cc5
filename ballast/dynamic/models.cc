#include "ballast/dynamic/models.h"

#include <array>
#include <utility>

#include "ballast/base/cli.h"

namespace ballast::dynamic {
namespace {
const std::pair<const char*, const char*> kModels[] = {
#include "models.inc"
};
}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : kModels) names.emplace_back(name);
  return names;
}

std::string model_text(const std::string& name) {
  cli::require_one_of("model", name, model_names());
  for (const auto& [known, text] : kModels)
    if (name == known) return text;
  return {};
}

Module load_model(const std::string& file_or_name, const std::map<std::string, std::int64_t>& constants) {
  if (file_or_name.ends_with(".bdm")) return Module::from_file(file_or_name, constants);
  return Module::from_text(model_text(file_or_name), file_or_name + ".bdm", constants);
}

}  // namespace ballast::dynamic
