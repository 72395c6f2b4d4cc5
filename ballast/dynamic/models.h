// The models that come with Ballast (models/*.bdm), by name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ballast/dynamic/language/ast.h"

namespace ballast::dynamic {

std::vector<std::string> model_names();
/// The text of a model; throws InvalidInput naming the nearest.
std::string model_text(const std::string& name);
/// A file if the word ends in .bdm, else a model that comes with Ballast.
Module load_model(const std::string& file_or_name, const std::map<std::string, std::int64_t>& constants = {});

}  // namespace ballast::dynamic
