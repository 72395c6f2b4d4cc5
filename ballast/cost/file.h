// Cost models as files, YAML or JSON (which YAML contains), schema `ballast.cost/1`:
//
//   schema: ballast.cost/1
//   name: decode step
//   unit: s
//   origin: measured                  # or "published: SOURCE", "assumed"
//   inputs: [tokens, context]
//   base:                             # one of these four
//     roofline: {overhead: 5e-6, ceilings: [{name: compute, input: flops, per_second: 2e12}]}
//     lines: [{name: memory, offset: 0.005, slopes: {tokens: 1.1e-3}}]
//     curve: {input: tokens, scale: log2, knots: [[1, 0.0055], [2, 0.0067]]}
//     grid: {axes: [{input: tokens, scale: linear, knots: [1, 8]}], values: [0.1, 0.2]}
//   terms: {context: 3.5e-6}
//   in_sample: {points: 60, r2: 0.99, mape: 0.07, p95: 0.17, worst: 0.3, under_p95: 0.1}
//   held_out: {...}
//
// A file that is wrong is refused by InvalidInput with its line: an unknown key with the nearest right one, a
// missing one, a number that is none, an input that was not named.
#pragma once

#include <string>
#include <string_view>

#include "ballast/base/json.h"
#include "ballast/cost/model.h"

namespace ballast::cost {

Model parse_model(std::string_view text, const std::string& name);
Model read_model(const std::string& path);

Json to_json(const Model& model);
Json to_json(const Quality& quality);
/// JSON if the name ends in .json, else YAML; both read back to an equal model.
void write_model(const Model& model, const std::string& path);
std::string to_yaml(const Model& model);

}  // namespace ballast::cost
