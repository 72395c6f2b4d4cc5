// What verbs that take a model share: the model and its constants.
#pragma once

#include <fmt/ranges.h>

#include <string>
#include <vector>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/dynamic/models.h"

namespace ballast::dynamic {

struct ModelOptions {
  std::string model;
  std::vector<std::string> definitions;

  void add_to(CLI::App& app, const std::string& more = "") {
    app.add_option("model", model,
                   "a model file .bdm, or one that comes with Ballast: " +
                       fmt::format("{}{}", fmt::join(model_names(), ", "), more))
        ->required();
    app.add_option("-D", definitions, "NAME=INT: another value for a constant of the model");
  }

  Module load() const {
    std::map<std::string, std::int64_t> constants;
    for (const std::string& definition : definitions) {
      const std::size_t equals = definition.find('=');
      char* end = nullptr;
      const char* number = equals == std::string::npos ? "" : definition.c_str() + equals + 1;
      const long long value = std::strtoll(number, &end, 10);
      if (equals == 0 || *number == 0 || *end != 0 || value < 1 || value > (1LL << 31))
        throw InvalidInput("-D", definition, "NAME=INT with a positive integer");
      constants[definition.substr(0, equals)] = value;
    }
    return load_model(model, constants);
  }
};

}  // namespace ballast::dynamic
