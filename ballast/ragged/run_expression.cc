// `ballast ragged run --op expr`: an operator of the user's own over .npy files.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/units.h"
#include "ballast/data/npy.h"
#include "ballast/ragged/einsum.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/program.h"
#include "ballast/ragged/run_expression.h"

namespace ballast::ragged {
namespace {

/// "NAME=VALUE" in two.
std::pair<std::string, std::string> pair_of(const std::string& flag, const std::string& text) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos || at == 0 || at + 1 == text.size())
    throw InvalidInput(flag, text, "NAME=VALUE");
  return {text.substr(0, at), text.substr(at + 1)};
}

}  // namespace

void run_expression(const ExpressionRun& o, const cli::Common& common) {
  if (o.expression.empty() || o.dims.empty()) throw InvalidInput("op expr needs --expr and --dims");
  const Einsum e = parse_einsum(o.expression, o.dims);
  const Schedule s = parse_schedule(e, o.schedule.empty() ? "" : read_file(o.schedule));
  Pattern pattern;
  for (const std::string& text : o.lengths) {
    const auto [name, file] = pair_of("--length", text);
    pattern.lengths[name] = read_lengths(file);
  }
  for (const std::string& text : o.scalars) {
    const auto [name, value] = pair_of("--scalar", text);
    std::int64_t number = 0;
    const auto [rest, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || rest != value.data() + value.size())
      throw InvalidInput("--scalar " + name, value, "an integer");
    pattern.scalars[name] = number;
  }
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const Program program(registry, {s});
  const Prepared p = program.prepare(pattern);
  const LoweredKernel& kernel = program.kernels().front();
  std::map<std::string, std::vector<float>> memory;
  std::map<std::string, float*> tensors;
  for (const Tensor& t : kernel.operands) {
    memory[t->name] = program.allocate(p, t->name);
    tensors[t->name] = memory[t->name].data();
  }
  std::map<std::string, bool> given;
  for (const std::string& text : o.inputs) {
    const auto [name, file] = pair_of("--tensor", text);
    const auto found = std::find_if(e.inputs.begin(), e.inputs.end(),
                                    [&, &wanted = name](const Tensor& t) { return t->name == wanted; });
    if (found == e.inputs.end())
      throw InvalidInput("--tensor " + name + ": the expression reads no such tensor");
    const data::Array array = data::read_npy(data::InputStream::open(file));
    const auto values = array.as<float>();
    std::int64_t slack = 0;
    for (std::size_t i = 0; i < kernel.operands.size(); ++i)
      if (kernel.operands[i]->name == name) slack = kernel.slack[i];
    const std::int64_t want = p.volume(name) - slack;
    if (static_cast<std::int64_t>(values.size()) != want || array.fortran_order)
      throw InvalidInput(file, fmt::format("{} numbers", values.size()),
                         fmt::format("{} in C order: all elements of {} one after the other", want, name));
    std::copy(values.begin(), values.end(), memory[name].begin());
    given[name] = true;
  }
  for (const Tensor& t : e.inputs)
    if (!given[t->name]) throw InvalidInput("--tensor " + t->name + "=FILE.npy is missing");
  const double time = time_of([&] { program.run(launcher, p, tensors); });
  const std::string& name = kernel.operands.back()->name;
  std::vector<float>& result = memory[name];
  result.resize(result.size() - static_cast<std::size_t>(kernel.slack.back()));
  double error = 0;
  if (o.check) {
    std::vector<float> again = program.allocate(p, name);
    tensors[name] = again.data();
    program.interpret(p, tensors);
    double scale = 1e-30;
    for (const float v : again) scale = std::max(scale, std::fabs(static_cast<double>(v)));
    for (std::size_t i = 0; i < result.size(); ++i)
      error = std::max(error, std::fabs(static_cast<double>(result[i]) - again[i]) / scale);
  }
  if (!o.output.empty()) data::write_npy(o.output, data::Array::of<float>({result.size()}, result).view());
  Json json{{"op", "expr"},        {"tensor", name},     {"elements", result.size()},     {"seconds", time},
            {"basis", "measured"}, {"output", o.output}, {"table_bytes", p.table_bytes()}};
  if (o.check) json["largest_relative_error"] = error;
  common.write_json(json);
  if (!common.for_people()) return;
  fmt::print("{}: {} elements, {} (measured), {} bytes of tables{}\n", name, result.size(),
             format_seconds(time), p.table_bytes(), o.output.empty() ? "" : ", written to " + o.output);
  if (o.check) fmt::print("largest difference from the interpreter, relative: {:.2e}\n", error);
}

}  // namespace ballast::ragged
