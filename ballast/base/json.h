// The JSON type of the house. Ordered, so that a document reads in the order in which it was written.
#pragma once

#include <nlohmann/json.hpp>

namespace ballast {
using Json = nlohmann::ordered_json;

/// Parses a JSON file; throws InvalidInput with file and byte when it is malformed, Unavailable when
/// unreadable.
Json read_json(const std::string& path);
}  // namespace ballast
