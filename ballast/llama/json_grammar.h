// JSON Schema to the library's grammar language (GBNF), so that only texts of that form are sampled.
//
//   SamplerSettings s;
//   s.grammar = json_grammar(Json::parse(R"({"type": "object", "properties": {"city": {"type":
//   "string"}}})"));
//
// Understood: type (one or a list), properties, required, additionalProperties (false, true or a schema;
// without it an object is closed), items, minItems, maxItems, enum, const, anyOf, oneOf (as anyOf), $ref into
// the document
// ("#/$defs/x"), minLength and maxLength up to 256; title, description, default, examples and $schema are
// notes. Another keyword would change which texts are right, so it is refused by name. Properties come in the
// order of the schema; between tokens at most one blank is drawn, so that a model cannot run off in white
// space.
#pragma once

#include <string>

#include "ballast/base/json.h"

namespace ballast::llama {

/// Throws InvalidInput with the path of what is wrong in the schema.
std::string json_grammar(const Json& schema);
/// Any JSON object (OpenAI's `json_object`).
std::string json_object_grammar();

}  // namespace ballast::llama
