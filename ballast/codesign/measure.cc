#include "ballast/codesign/measure.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <set>

#include "ballast/base/statistics.h"
#include "ballast/codesign/cost_table.h"

namespace ballast::codesign {
namespace {

// What is run each time; empty for operators that libtorch does not have alone.
std::function<at::Tensor()> operation(const Node& node) {
  const auto map = [](std::vector<std::int64_t> shape) {
    at::Tensor x = at::randn(shape);
    return shape.size() == 4 ? x.contiguous(at::MemoryFormat::ChannelsLast) : x;
  };
  switch (node.op) {
    case Op::conv:
    case Op::depthwise_conv:
    case Op::group_conv: {
      const at::Tensor x =
          map({node.batch, node.c * node.groups, node.oy * node.stride, node.ox * node.stride});
      const at::Tensor w = map({node.k, node.c, node.fy, node.fx}), b = at::randn({node.k});
      return [=, pad = node.fy / 2, stride = node.stride, groups = node.groups] {
        return at::conv2d(x, w, b, stride, pad, 1, groups);
      };
    }
    case Op::linear: {
      const at::Tensor x = at::randn({node.ox, node.c}), w = at::randn({node.k, node.c}),
                       b = at::randn({node.k});
      return [=] { return at::linear(x, w, b); };
    }
    case Op::elementwise: {
      const at::Tensor x = at::randn({node.out_bytes}), y = at::randn({node.out_bytes});
      if (node.source_op == "Mul") return [=] { return x * y; };
      return [=] { return x + y; };
    }
    case Op::activation: {
      const at::Tensor x = at::randn({node.out_bytes});
      return [=] { return at::hardswish(x); };
    }
    default:
      return {};
  }
}

}  // namespace

Timing time_operator(const Node& node, int runs) {
  torch::NoGradGuard no_grad;
  const auto run = operation(node);
  if (!run) return {};
  for (int i = 0; i < 3; ++i) run();
  std::vector<double> samples;
  for (int i = 0; i < runs; ++i) {
    // Short operators several times, so that the clock's grain does not count.
    int repeats = node.macs < 2'000'000 ? 8 : 1;
    const auto start = std::chrono::steady_clock::now();
    for (int r = 0; r < repeats; ++r) run();
    samples.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count() /
        repeats);
  }
  // On a machine with other work some runs wait; the middle half is what the operator takes.
  std::sort(samples.begin(), samples.end());
  const std::vector<double> middle(samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 4),
                                   samples.end() - static_cast<std::ptrdiff_t>(samples.size() / 4));
  return {.median_us = median(samples), .std_us = std::sqrt(variance(middle)), .runs = runs};
}

std::string measure_host(const std::vector<Graph>& graphs, int runs, const std::function<void()>& tick) {
  std::string text =
      "device,op,in_shape,weight_shape,stride,groups,precision,latency_us,latency_std_us,energy_uj,count,"
      "source\n";
  std::set<std::string> seen;
  for (const auto& graph : graphs) {
    for (const auto& node : graph.nodes) {
      if (!seen.insert(table_key(node, "npu")).second) continue;
      const Timing timing = time_operator(node, runs);
      if (timing.runs == 0) continue;
      text += fmt::format("{},{:.4f},{:.4f},,{},measured\n", table_row_head(node, "npu", "f32"),
                          timing.median_us, std::min(timing.std_us, timing.median_us), timing.runs);
      if (tick) tick();
    }
  }
  return text;
}

}  // namespace ballast::codesign
