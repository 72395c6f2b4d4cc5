#include "ballast/dynamic/runtime/globals.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/loop/gemm.h"

namespace ballast::dynamic {

Globals::Globals(const Program& program, Parameters parameters)
    : program_(program),
      parameters_(std::move(parameters)),
      plain_(program.globals.size()),
      packed_(program.globals.size()) {
  std::string problems;
  for (const ParamDecl& param : program.module->params) {
    const auto found = parameters_.find(param.name);
    if (found == parameters_.end())
      problems += fmt::format("; '{}' is missing", param.name);
    else if (static_cast<std::int64_t>(found->second.size()) != volume(param.type->shape))
      problems += fmt::format("; '{}' has {} numbers, not {} of shape {}", param.name, found->second.size(),
                              volume(param.type->shape), to_string(param.type->shape));
  }
  for (const auto& [name, values] : parameters_) {
    const auto& params = program.module->params;
    if (std::none_of(params.begin(), params.end(), [&, n = name](const ParamDecl& p) { return p.name == n; }))
      problems += fmt::format("; the model has no parameter '{}'", name);
  }
  if (!problems.empty()) throw InvalidInput("the parameters do not fit the model: " + problems.substr(2));
}

float* Globals::plain(GlobalId id) {
  if (plain_[id].empty()) make(id);
  return plain_[id].data();
}

float* Globals::packed(GlobalId id) {
  if (packed_[id].empty()) {
    const Shape& s = program_.globals[id].shape;  // [n, k]
    packed_[id].resize(static_cast<std::size_t>(loop::packed_size(s[1], s[0])));
    loop::pack_panels(plain(id), s[1], true, s[1], s[0], packed_[id].data());
  }
  return packed_[id].data();
}

Parameters& Globals::change() {
  for (auto& values : plain_) values.clear();
  for (auto& values : packed_) values.clear();
  return parameters_;
}

void Globals::make(GlobalId id) {
  const Global& g = program_.globals[id];
  std::vector<float>& out = plain_[id];
  switch (g.kind) {
    case Global::Kind::param:
      out = parameters_.at(g.name);
      break;
    case Global::Kind::fill:
      out.assign(static_cast<std::size_t>(volume(g.shape)), static_cast<float>(g.value));
      break;
    case Global::Kind::identity:
      out.assign(static_cast<std::size_t>(volume(g.shape)), 0.0f);
      for (std::int64_t i = 0; i < g.shape[0]; ++i) out[static_cast<std::size_t>(i * (g.shape[1] + 1))] = 1;
      break;
    case Global::Kind::stack:
      for (const GlobalId part : g.of) {
        const float* from = plain(part);
        out.insert(out.end(), from, from + volume(program_.globals[part].shape));
      }
      break;
    case Global::Kind::columns: {
      const Shape& s = program_.globals[g.of[0]].shape;
      const float* from = plain(g.of[0]);
      for (std::int64_t row = 0; row < volume(s) / s.back(); ++row)
        out.insert(out.end(), from + row * s.back() + g.from, from + row * s.back() + g.to);
      break;
    }
    case Global::Kind::computed: {
      std::vector<std::vector<double>> values;
      std::vector<Shape> shapes;
      std::vector<const std::vector<double>*> operands;
      for (const GlobalId part : g.of) {
        const float* from = plain(part);
        values.emplace_back(from, from + volume(program_.globals[part].shape));
        shapes.push_back(program_.globals[part].shape);
      }
      for (const auto& v : values) operands.push_back(&v);
      const std::vector<double> result = reference_op(g.cell->nodes[0].op, shapes, operands, 0, g.shape);
      out.assign(result.begin(), result.end());
      break;
    }
  }
}

void Globals::spread(GlobalId id, const std::vector<float>& gradient, Parameters& to) const {
  const Global& g = program_.globals[id];
  if (g.kind == Global::Kind::param) {
    std::vector<float>& sum = to[g.name];
    sum.resize(gradient.size());
    for (std::size_t i = 0; i < gradient.size(); ++i) sum[i] += gradient[i];
  } else if (g.kind == Global::Kind::stack) {
    std::size_t begin = 0;
    for (const GlobalId part : g.of) {
      const auto size = static_cast<std::size_t>(volume(program_.globals[part].shape));
      spread(part,
             {gradient.begin() + static_cast<std::ptrdiff_t>(begin),
              gradient.begin() + static_cast<std::ptrdiff_t>(begin + size)},
             to);
      begin += size;
    }
  } else if (g.kind == Global::Kind::columns) {
    const Shape& s = program_.globals[g.of[0]].shape;
    std::vector<float> whole(static_cast<std::size_t>(volume(s)), 0.0f);
    const std::int64_t width = g.to - g.from;
    for (std::int64_t row = 0; row < volume(s) / s.back(); ++row)
      for (std::int64_t c = 0; c < width; ++c)
        whole[static_cast<std::size_t>(row * s.back() + g.from + c)] =
            gradient[static_cast<std::size_t>(row * width + c)];
    spread(g.of[0], whole, to);
  }
}

}  // namespace ballast::dynamic
