#include "ballast/codesign/supernet.h"

#include <cmath>
#include <set>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::codesign {
namespace {

using Shape = std::vector<std::int64_t>;

at::Tensor activated(const at::Tensor& x, const std::string& activation) {
  if (activation == "hswish") return at::hardswish(x);
  if (activation == "relu") return at::relu(x);
  return x;
}

// The plans whose shapes together bound those of every genotype: all genes at their largest, once for each
// head dimension, and stages wide and narrow in turn (shortcuts that adapt a width exist only where widths
// differ).
std::vector<Plan> envelope(const Space& space) {
  std::vector<Plan> plans;
  const auto add = [&](const Genotype& g) { plans.push_back(plan_network(space, g)); };
  add(largest(space, Blocks::conv_only));
  std::set<int> head_dims;
  for (const auto& stage : space.stages)
    head_dims.insert(stage.attention.head_dims.begin(), stage.attention.head_dims.end());
  for (int head_dim : head_dims) {
    Genotype g = largest(space, Blocks::conv_only);
    for (std::size_t s = 0; s < g.stages.size(); ++s) {
      const auto& choices = space.stages[s].attention;
      if (std::find(choices.head_dims.begin(), choices.head_dims.end(), head_dim) == choices.head_dims.end())
        continue;
      for (std::size_t b = 1; b < g.stages[s].blocks.size(); ++b) {
        g.stages[s].blocks[b] = {
            .attention = true,
            .head_dim = head_dim,
            .v_expansion = *std::max_element(choices.v_expansions.begin(), choices.v_expansions.end()),
            .mlp_ratio = *std::max_element(choices.mlp_ratios.begin(), choices.mlp_ratios.end())};
      }
    }
    add(g);
  }
  for (std::size_t parity : {0u, 1u}) {
    Genotype g = largest(space, Blocks::conv_only);
    const auto narrow = [](const std::vector<int>& widths) {
      return *std::min_element(widths.begin(), widths.end());
    };
    if (parity == 0) g.stem = narrow(space.stem_widths);
    for (std::size_t s = 0; s < g.stages.size(); ++s) {
      if (s % 2 != parity) g.stages[s].width = narrow(space.stages[s].widths);
    }
    add(g);
  }
  return plans;
}

at::Tensor position_index(int side) {
  std::vector<std::int64_t> index;
  const int span = 2 * side - 1;
  for (int i = 0; i < side * side; ++i) {
    for (int j = 0; j < side * side; ++j) {
      const int dy = i / side - j / side + side - 1, dx = i % side - j % side + side - 1;
      index.push_back(dy * span + dx);
    }
  }
  return torch::tensor(index);
}

}  // namespace

std::vector<std::pair<std::string, Shape>> parameters_of(const Step& step) {
  const std::int64_t in = step.in, out = step.out, hidden = step.hidden,
                     qk = std::int64_t{step.heads} * step.head_dim;
  const auto named = [&](const char* part) { return step.name + "." + part; };
  switch (step.kind) {
    case StepKind::conv:
      return {{named("weight"), {out, step.depthwise ? 1 : in, step.kernel, step.kernel}},
              {named("bn.weight"), {out}},
              {named("bn.bias"), {out}}};
    case StepKind::squeeze:
      return {{named("reduce.weight"), {hidden, in, 1, 1}},
              {named("reduce.bias"), {hidden}},
              {named("expand.weight"), {in, hidden, 1, 1}},
              {named("expand.bias"), {in}}};
    case StepKind::attention: {
      const std::int64_t span = 2 * step.side - 1;
      std::vector<std::pair<std::string, Shape>> list = {{named("norm.weight"), {in}},
                                                         {named("norm.bias"), {in}},
                                                         {named("q.weight"), {qk, in}},
                                                         {named("q.bias"), {qk}},
                                                         {named("k.weight"), {qk, in}},
                                                         {named("k.bias"), {qk}},
                                                         {named("v.weight"), {step.v_dim, in}},
                                                         {named("v.bias"), {step.v_dim}},
                                                         {named("project.weight"), {in, step.v_dim}},
                                                         {named("project.bias"), {in}},
                                                         {named("position"), {step.heads, span, span}},
                                                         {named("scale"), {1}}};
      if (step.v_depthwise) {
        list.push_back({named("v_depthwise.weight"), {step.v_dim, 1, 3, 3}});
        list.push_back({named("v_depthwise.bias"), {step.v_dim}});
      }
      return list;
    }
    case StepKind::mlp:
      return {{named("norm.weight"), {in}},
              {named("norm.bias"), {in}},
              {named("up.weight"), {hidden, in}},
              {named("up.bias"), {hidden}},
              {named("down.weight"), {in, hidden}},
              {named("down.bias"), {in}},
              {named("scale"), {1}}};
    case StepKind::dense:
      return {{named("weight"), {out, in}}, {named("bias"), {out}}};
    default:
      return {};
  }
}

Supernet::Supernet(const Space& space, const SupernetOptions& options)
    : space_(space), kernel_transform_(options.kernel_transform) {
  std::map<std::string, Shape> shapes;
  const auto plans = envelope(space);
  for (const auto& plan : plans) declare(plan, shapes);
  create(shapes, plans, options.seed);
}

Supernet::Supernet(const Space& space, const Genotype& genotype, std::uint64_t seed)
    : space_(only(space, genotype)) {
  std::map<std::string, Shape> shapes;
  const Plan plan = plan_network(space_, genotype);
  declare(plan, shapes);
  create(shapes, {plan}, seed);
}

void Supernet::declare(const Plan& plan, std::map<std::string, Shape>& shapes) const {
  for (const auto& step : plan.steps) {
    for (const auto& [name, shape] : parameters_of(step)) {
      const auto [at, fresh] = shapes.emplace(name, shape);
      for (std::size_t d = 0; !fresh && d < shape.size(); ++d)
        at->second[d] = std::max(at->second[d], shape[d]);
    }
    if (kernel_transform_ && step.depthwise && step.kernel > 3) {
      for (int kernel = 3; kernel < step.kernel; kernel += 2)
        shapes[step.name + ".transform" + std::to_string(kernel)] = {kernel * kernel, kernel * kernel};
    }
  }
}

void Supernet::create(const std::map<std::string, Shape>& shapes, const std::vector<Plan>& plans,
                      std::uint64_t seed) {
  std::map<std::string, double> scales;
  for (const auto& plan : plans) {
    for (const auto& step : plan.steps) {
      scales[step.name + ".scale"] = step.residual_scale;
      if (step.kind == StepKind::attention && position_index_.count(step.side) == 0)
        position_index_[step.side] = position_index(step.side);
    }
  }
  // Other resolutions have other maps.
  for (int resolution : space_.resolutions) {
    int side = (resolution - 1) / space_.stem_stride + 1;
    for (const auto& stage : space_.stages) {
      side = (side - 1) / stage.stride + 1;
      if (stage.attention.options() > 0 && position_index_.count(side) == 0)
        position_index_[side] = position_index(side);
    }
  }
  torch::NoGradGuard no_grad;
  std::uint64_t stream = 0;
  for (const auto& [name, shape] : shapes) {
    at::Tensor value = at::zeros(shape);
    auto generator = at::detail::createCPUGenerator(mix64(seed ^ mix64(++stream)));
    if (name.ends_with("bn.weight") || name.ends_with("norm.weight")) {
      value.fill_(1);
    } else if (name.ends_with(".scale")) {
      value.fill_(scales.at(name));
    } else if (name.find(".transform") != std::string::npos) {
      value.copy_(at::eye(shape[0]));
    } else if (shape.size() == 4) {  // Kaiming, fan out; a depthwise one has one filter a channel
      const double fan = static_cast<double>((shape[1] == 1 ? 1 : shape[0]) * shape[2] * shape[3]);
      value.normal_(0, std::sqrt(2.0 / fan), generator);
    } else if (shape.size() >= 2) {
      value.normal_(0, name.ends_with("position") ? 0.02 : std::sqrt(1.0 / static_cast<double>(shape[1])),
                    generator);
    }
    if (shape.size() == 4) value = value.contiguous(at::MemoryFormat::ChannelsLast);
    parameters_[name] = value.requires_grad_(true);
  }
}

at::Tensor Supernet::slice(const std::string& name, const Shape& shape) const {
  const auto found = parameters_.find(name);
  if (found == parameters_.end()) throw InvalidInput("the network has no parameter '" + name + "'");
  at::Tensor value = found->second;
  const auto dims = static_cast<std::int64_t>(shape.size());
  const std::int64_t kernel = dims >= 3 ? value.size(dims - 1) : 1;
  for (std::int64_t d = 0; d < dims; ++d) {
    const std::int64_t have = value.size(d), want = shape[static_cast<std::size_t>(d)];
    BALLAST_CHECK(want <= have, name);
    if (want == have) continue;
    // Kernels and tables of positions keep their centre, all else its beginning.
    const bool centre = dims >= 3 && d >= dims - 2;
    value = value.narrow(d, centre ? (have - want) / 2 : 0, want);
  }
  if (kernel_transform_ && dims == 4 && shape[2] < kernel) {
    const auto transform =
        parameters_.find(name.substr(0, name.rfind('.')) + ".transform" + std::to_string(shape[2]));
    if (transform != parameters_.end()) {
      value =
          at::matmul(value.reshape({shape[0], shape[2] * shape[3]}), transform->second.t()).reshape(shape);
    }
  }
  return value;
}

/// One pass through a plan.
struct Supernet::Run {
  const Supernet& net;
  Mode mode;
  Statistics* statistics;
  const AnalogNoise& noise;
  std::uint64_t draws = 0;

  at::Tensor part(const Step& step, const char* name, const Shape& shape) const {
    return net.slice(step.name + "." + name, shape);
  }

  // What analog macros do to the layers that they compute: read-out rounding and noise.
  at::Tensor disturbed(at::Tensor y) {
    if (noise.sigma <= 0 && noise.adc_bits <= 0) return y;
    const at::Tensor range = y.abs().max().clamp_min(1e-12);
    if (noise.sigma > 0) {
      auto generator = at::detail::createCPUGenerator(mix64(noise.seed + ++draws));
      y = y + at::empty_like(y).normal_(0, 1, generator) * (range * noise.sigma);
    }
    if (noise.adc_bits > 0) {
      const at::Tensor step = range / static_cast<double>((1 << (noise.adc_bits - 1)) - 1);
      y = (y / step).round() * step;
    }
    return y;
  }

  void observe(const std::string& name, const at::Tensor& x) const {
    if (statistics == nullptr || !statistics->observe || mode != Mode::evaluate) return;
    auto& range = statistics->ranges[name];
    range.low = std::min(range.low, x.min().item<double>());
    range.high = std::max(range.high, x.max().item<double>());
  }

  at::Tensor normalised(const Step& step, const at::Tensor& y) const {
    const at::Tensor weight = part(step, "bn.weight", {step.out}), bias = part(step, "bn.bias", {step.out});
    if (mode == Mode::evaluate) {
      const auto& of = statistics->layers.at(step.name);
      return at::batch_norm(y, weight, bias, of.mean, of.variance, false, 0, 1e-5, false);
    }
    if (mode == Mode::calibrate) {
      auto& of = statistics->layers[step.name];
      const auto [variance, mean] = at::var_mean(y, at::IntArrayRef{0, 2, 3}, true);
      if (of.batches == 0) {
        of.mean = mean.clone();
        of.variance = variance.clone();
      } else {
        const double share = 1.0 / static_cast<double>(of.batches + 1);
        of.mean += (mean - of.mean) * share;
        of.variance += (variance - of.variance) * share;
      }
      ++of.batches;
    }
    return at::batch_norm(y, weight, bias, {}, {}, true, 0, 1e-5, false);
  }

  at::Tensor conv(const Step& step, const at::Tensor& x) {
    const at::Tensor weight =
        part(step, "weight", {step.out, step.depthwise ? 1 : step.in, step.kernel, step.kernel});
    observe(step.name, x);
    at::Tensor y = at::conv2d(x, weight, {}, step.stride, step.kernel / 2, 1, step.depthwise ? step.in : 1);
    if (!step.depthwise) y = disturbed(y);
    // With one input channel both layouts look alike and the stem would answer in the slow one.
    if (step.in == 1) y = y.contiguous(at::MemoryFormat::ChannelsLast);
    return activated(normalised(step, y), step.activation);
  }

  at::Tensor squeeze(const Step& step, const at::Tensor& x) const {
    at::Tensor gate = x.mean({2, 3}, true);
    observe(step.name + ".reduce", gate);
    gate = at::relu(at::conv2d(gate, part(step, "reduce.weight", {step.hidden, step.in, 1, 1}),
                               part(step, "reduce.bias", {step.hidden})));
    observe(step.name + ".expand", gate);
    gate = at::hardsigmoid(at::conv2d(gate, part(step, "expand.weight", {step.in, step.hidden, 1, 1}),
                                      part(step, "expand.bias", {step.in})));
    return x * gate;
  }

  at::Tensor linear(const Step& step, const at::Tensor& x, const std::string& name, std::int64_t out,
                    std::int64_t in) {
    return disturbed(at::linear(x, part(step, (name + ".weight").c_str(), {out, in}),
                                part(step, (name + ".bias").c_str(), {out})));
  }

  at::Tensor norm(const Step& step, const at::Tensor& tokens) const {
    // The exported file has the gain in the layer behind it, so the plain values are what it quantises.
    if (statistics != nullptr && statistics->observe) {
      observe(step.name + ".norm", at::layer_norm(tokens, {step.in}, {}, {}, 1e-5, false));
    }
    return at::layer_norm(tokens, {step.in}, part(step, "norm.weight", {step.in}),
                          part(step, "norm.bias", {step.in}), 1e-5, false);
  }

  at::Tensor attention(const Step& step, const at::Tensor& x) {
    const std::int64_t batch = x.size(0), n = std::int64_t{step.side} * step.side, h = step.heads,
                       d = step.head_dim;
    const at::Tensor tokens = x.flatten(2).transpose(1, 2);
    const at::Tensor normed = norm(step, tokens);
    const auto by_head = [&](const at::Tensor& t, std::int64_t width) {
      return t.view({batch, n, h, width}).transpose(1, 2);
    };
    const at::Tensor q = by_head(linear(step, normed, "q", h * d, step.in), d);
    const at::Tensor k = by_head(linear(step, normed, "k", h * d, step.in), d);
    at::Tensor v = linear(step, normed, "v", step.v_dim, step.in);
    if (step.v_depthwise) {
      const at::Tensor map = v.transpose(1, 2).reshape({batch, step.v_dim, step.side, step.side});
      v = v + at::conv2d(map, part(step, "v_depthwise.weight", {step.v_dim, 1, 3, 3}),
                         part(step, "v_depthwise.bias", {step.v_dim}), 1, 1, 1, step.v_dim)
                  .flatten(2)
                  .transpose(1, 2);
    }
    const std::int64_t span = 2 * step.side - 1;
    const at::Tensor position = net.position_bias(part(step, "position", {h, span, span}), step.side);
    const at::Tensor scores =
        at::matmul(q, k.transpose(2, 3)) * (1 / std::sqrt(static_cast<double>(d))) + position;
    const at::Tensor mixed = at::matmul(at::softmax(scores, -1), by_head(v.contiguous(), step.v_dim / h))
                                 .transpose(1, 2)
                                 .reshape({batch, n, step.v_dim});
    observe(step.name + ".project", mixed);
    const at::Tensor y =
        tokens + part(step, "scale", {1}) * linear(step, mixed, "project", step.in, step.v_dim);
    return y.transpose(1, 2).reshape({batch, step.in, step.side, step.side});
  }

  at::Tensor mlp(const Step& step, const at::Tensor& x) {
    const at::Tensor tokens = x.flatten(2).transpose(1, 2);
    const at::Tensor up = at::hardswish(linear(step, norm(step, tokens), "up", step.hidden, step.in));
    observe(step.name + ".down", up);
    const at::Tensor y = tokens + part(step, "scale", {1}) * linear(step, up, "down", step.in, step.hidden);
    return y.transpose(1, 2).reshape(x.sizes());
  }
};

at::Tensor Supernet::forward(const Plan& plan, const at::Tensor& images, Mode mode, Statistics* statistics,
                             const AnalogNoise& noise) const {
  BALLAST_CHECK(mode == Mode::train || statistics != nullptr);
  Run run{*this, mode, statistics, noise};
  std::vector<at::Tensor> values{images};
  for (const auto& step : plan.steps) {
    const at::Tensor& x = values[static_cast<std::size_t>(step.inputs[0])];
    switch (step.kind) {
      case StepKind::conv:
        values.push_back(run.conv(step, x));
        break;
      case StepKind::squeeze:
        values.push_back(run.squeeze(step, x));
        break;
      case StepKind::pool:
        values.push_back(at::avg_pool2d(x, step.kernel, step.stride, 0, true, false));
        break;
      case StepKind::add:
        values.push_back(x + values[static_cast<std::size_t>(step.inputs[1])]);
        break;
      case StepKind::mean:
        values.push_back(x.mean({2, 3}, true));
        break;
      case StepKind::attention:
        values.push_back(run.attention(step, x));
        break;
      case StepKind::mlp:
        values.push_back(run.mlp(step, x));
        break;
      case StepKind::dense:
        run.observe(step.name, x);
        values.push_back(run.disturbed(at::linear(x.flatten(1), run.part(step, "weight", {step.out, step.in}),
                                                  run.part(step, "bias", {step.out}))));
        break;
    }
  }
  return values.back();
}

Supernet Supernet::extract(const Genotype& genotype) const {
  Supernet target(space_, genotype, 0);
  torch::NoGradGuard no_grad;
  for (auto& [name, value] : target.parameters_) {
    const Shape shape(value.sizes().begin(), value.sizes().end());
    value.copy_(slice(name, shape));
  }
  return target;
}

void Supernet::assign(const Supernet& other) {
  torch::NoGradGuard no_grad;
  for (auto& [name, value] : parameters_) value.copy_(other.parameters_.at(name));
}

Supernet Supernet::clone() const {
  Supernet copy = *this;
  torch::NoGradGuard no_grad;
  for (auto& [name, value] : copy.parameters_) value = value.detach().clone().requires_grad_(true);
  return copy;
}

at::Tensor Supernet::position_bias(const at::Tensor& table, int side) const {
  const std::int64_t heads = table.size(0), tokens = std::int64_t{side} * side;
  return table.reshape({heads, -1})
      .index_select(1, position_index_.at(side))
      .view({1, heads, tokens, tokens});
}

std::int64_t Supernet::parameter_count() const {
  std::int64_t sum = 0;
  for (const auto& [name, value] : parameters_) sum += value.numel();
  return sum;
}

double top1(const Supernet& net, const Plan& plan, const at::Tensor& calibrate, const at::Tensor& images,
            const at::Tensor& labels, const AnalogNoise& noise, Statistics* statistics) {
  torch::NoGradGuard no_grad;
  constexpr std::int64_t kBatch = 250;
  Statistics own;
  Statistics& stats = statistics != nullptr ? *statistics : own;
  if (stats.layers.empty()) {
    for (const auto& batch : calibrate.split(kBatch)) net.forward(plan, batch, Mode::calibrate, &stats);
  }
  std::int64_t right = 0;
  for (std::int64_t at = 0; at < images.size(0); at += kBatch) {
    const std::int64_t count = std::min(kBatch, images.size(0) - at);
    const at::Tensor logits = net.forward(plan, images.narrow(0, at, count), Mode::evaluate, &stats, noise);
    right += logits.argmax(1).eq(labels.narrow(0, at, count)).sum().item<std::int64_t>();
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(std::max<std::int64_t>(1, images.size(0)));
}

}  // namespace ballast::codesign
