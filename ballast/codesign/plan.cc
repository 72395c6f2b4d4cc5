#include "ballast/codesign/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/codesign/net_builder.h"

namespace ballast::codesign {
namespace {

/// Appends steps; a value is its index.
class Planner {
 public:
  explicit Planner(const Space& space) : space_(space) {}

  Plan run(const Genotype& g) {
    begin(space_.channels, g.resolution);
    int x = stem(g.stem);
    for (std::size_t s = 0; s < g.stages.size(); ++s) {
      for (std::size_t b = 0; b < g.stages[s].blocks.size(); ++b)
        x = block(static_cast<int>(s), static_cast<int>(b), x, g.stages[s].blocks[b], g.stages[s].width);
    }
    head(x, g.last);
    return finish();
  }

  void begin(int channels, int side) {
    plan_.resolution = side;
    plan_.channels = channels;
    plan_.classes = space_.classes;
    channels_ = {channels};
    sides_ = {side};
  }
  Plan finish() { return std::move(plan_); }

  int stem(int width) { return conv("stem", 0, width, 3, space_.stem_stride, false, "hswish"); }

  int block(int stage, int index, int x, const BlockGenes& genes, int width) {
    stage_ = stage;
    const StageChoices& choices = space_.stages[static_cast<std::size_t>(stage)];
    const std::string at = fmt::format("{}.{}", choices.name, index);
    return genes.attention ? attention(at, x, genes, choices)
                           : inverted_residual(at, x, genes, choices, width, index == 0 ? choices.stride : 1);
  }

  void head(int x, int last) {
    stage_ = -1;
    if (space_.wide_head) {
      x = conv("head.wide", x, 6 * channels(x), 1, 1, false, "hswish");
      x = mean(x);
      x = conv("head.last", x, last, 1, 1, false, "hswish");
    } else {
      x = conv("head.last", x, last, 1, 1, false, "hswish");
      x = mean(x);
    }
    Step dense{.kind = StepKind::dense, .name = "head.classify"};
    dense.inputs = {x};
    push(std::move(dense), space_.classes, 1);
  }

 private:
  int channels(int value) const { return channels_[static_cast<std::size_t>(value)]; }
  int side(int value) const { return sides_[static_cast<std::size_t>(value)]; }

  int push(Step step, int out, int out_side) {
    step.stage = stage_;
    step.side = side(step.inputs[0]);
    step.in = channels(step.inputs[0]);
    step.out = out;
    step.out_side = out_side;
    plan_.steps.push_back(std::move(step));
    channels_.push_back(out);
    sides_.push_back(out_side);
    return static_cast<int>(plan_.steps.size());
  }

  int conv(const std::string& name, int x, int out, int kernel, int stride, bool depthwise,
           const std::string& activation) {
    Step step{.kind = StepKind::conv, .name = name};
    step.inputs = {x};
    step.kernel = kernel;
    step.stride = stride;
    step.depthwise = depthwise;
    step.activation = activation;
    const int pad = kernel / 2;
    return push(std::move(step), out, (side(x) + 2 * pad - kernel) / stride + 1);
  }

  int mean(int x) {
    Step step{.kind = StepKind::mean, .name = "head.mean"};
    step.inputs = {x};
    return push(std::move(step), channels(x), 1);
  }

  int inverted_residual(const std::string& at, int x, const BlockGenes& genes, const StageChoices& choices,
                        int width, int stride) {
    const int hidden = channels(x) * genes.expansion;
    int y = genes.expansion > 1 ? conv(at + ".mb.expand", x, hidden, 1, 1, false, "hswish") : x;
    y = conv(at + ".mb.depthwise", y, hidden, genes.kernel, stride, true, "hswish");
    if (choices.squeeze) {
      Step gate{.kind = StepKind::squeeze, .name = at + ".mb.squeeze"};
      gate.inputs = {y};
      gate.hidden = round_to_8(hidden / 4.0);
      y = push(std::move(gate), hidden, side(y));
    }
    y = conv(at + ".mb.project", y, width, 1, 1, false, "");
    const bool same = stride == 1 && channels(x) == width;
    if (!same && !space_.project_shortcut) return y;
    int shortcut = x;
    if (stride > 1) {
      Step pool{.kind = StepKind::pool, .name = at + ".mb.pool"};
      pool.inputs = {x};
      pool.kernel = pool.stride = stride;
      shortcut = push(std::move(pool), channels(x), side(y));
    }
    if (channels(shortcut) != width) shortcut = conv(at + ".mb.shortcut", shortcut, width, 1, 1, false, "");
    Step add{.kind = StepKind::add, .name = at + ".mb.add"};
    add.inputs = {y, shortcut};
    return push(std::move(add), width, side(y));
  }

  int attention(const std::string& at, int x, const BlockGenes& genes, const StageChoices& choices) {
    Step attend{.kind = StepKind::attention, .name = at + ".att", .shared = false};
    attend.inputs = {x};
    attend.heads = std::max(1, channels(x) / genes.head_dim);
    attend.head_dim = genes.head_dim;
    attend.v_dim = attend.heads * attend.head_dim * genes.v_expansion;
    attend.v_depthwise = choices.attention.v_depthwise;
    attend.residual_scale = space_.residual_scale;
    const int y = push(std::move(attend), channels(x), side(x));
    Step mlp{.kind = StepKind::mlp, .name = at + ".mlp", .shared = false};
    mlp.inputs = {y};
    mlp.hidden = channels(y) * genes.mlp_ratio;
    mlp.residual_scale = space_.residual_scale;
    return push(std::move(mlp), channels(y), side(y));
  }

  const Space& space_;
  Plan plan_;
  std::vector<int> channels_, sides_;
  int stage_ = -1;
};

// An attention step's operators, tokens x channels.
TensorId add_attention(NetBuilder& b, TensorId x, const Step& step) {
  const std::int64_t tokens = std::int64_t{step.side} * step.side;
  const int qk = step.heads * step.head_dim;
  const TensorId normed = b.layer_norm(x);
  const TensorId q = b.linear(normed, qk, ""), k = b.linear(normed, qk, "");
  TensorId v = b.linear(normed, step.v_dim, "");
  if (step.v_depthwise) v = b.add(v, b.conv(v, step.v_dim, 3, 1, step.v_dim, ""));
  const TensorId scores =
      b.matmul(q, k, step.heads, tokens, tokens, step.head_dim, {1, step.heads, tokens, tokens});
  const TensorId weights = b.softmax(scores);
  const TensorId mixed = b.matmul(weights, v, step.heads, tokens, step.v_dim / step.heads, tokens,
                                  {1, step.v_dim, step.side, step.side});
  return b.add(x, b.linear(mixed, step.in, ""));
}

}  // namespace

int round_to_8(double channels) {
  const int rounded = std::max(8, static_cast<int>(channels + 4) / 8 * 8);
  return rounded < 0.9 * channels ? rounded + 8 : rounded;
}

Plan plan_network(const Space& space, const Genotype& genotype) {
  check_member(space, genotype);
  return Planner(space).run(genotype);
}

Plan plan_stem(const Space& space, int resolution, int width) {
  Planner planner(space);
  planner.begin(space.channels, resolution);
  planner.stem(width);
  return planner.finish();
}

Plan plan_block(const Space& space, int stage, int index, int in, int side, const BlockGenes& genes,
                int width) {
  Planner planner(space);
  planner.begin(in, side);
  planner.block(stage, index, 0, genes, width);
  return planner.finish();
}

Plan plan_head(const Space& space, int in, int side, int last) {
  Planner planner(space);
  planner.begin(in, side);
  planner.head(0, last);
  return planner.finish();
}

Graph to_graph(const Plan& plan, const std::string& name) {
  NetBuilder b(name);
  std::vector<TensorId> values{b.input(plan.channels, plan.resolution)};
  const auto word = [](const std::string& activation) {
    return activation == "hswish" ? std::string("HardSwish")
           : activation == "relu" ? std::string("Relu")
                                  : "";
  };
  for (const auto& step : plan.steps) {
    b.name_next(step.name);
    const TensorId x = values[static_cast<std::size_t>(step.inputs[0])];
    switch (step.kind) {
      case StepKind::conv:
        values.push_back(b.conv(x, step.out, step.kernel, step.stride, step.depthwise ? step.out : 1,
                                word(step.activation)));
        break;
      case StepKind::squeeze: {
        TensorId gate = b.global_pool(x);
        gate = b.conv(gate, step.hidden, 1, 1, 1, "Relu");
        gate = b.conv(gate, step.out, 1, 1, 1, "HardSigmoid");
        values.push_back(b.multiply(x, gate));
        break;
      }
      case StepKind::pool:
        values.push_back(b.average_pool(x, step.stride));
        break;
      case StepKind::add:
        values.push_back(b.add(x, values[static_cast<std::size_t>(step.inputs[1])]));
        break;
      case StepKind::mean:
        values.push_back(b.global_pool(x));
        break;
      case StepKind::attention:
        values.push_back(add_attention(b, x, step));
        break;
      case StepKind::mlp:
        values.push_back(
            b.add(x, b.linear(b.linear(b.layer_norm(x), step.hidden, "HardSwish"), step.out, "")));
        break;
      case StepKind::dense:
        values.push_back(b.conv(x, step.out, 1, 1, 1, ""));
        break;
    }
  }
  return b.finish(values.back());
}

Graph to_graph(const Space& space, const Genotype& genotype) {
  return to_graph(plan_network(space, genotype), space.name);
}

std::int64_t plan_macs(const Plan& plan) {
  return to_graph(plan, "").macs();
}

}  // namespace ballast::codesign
