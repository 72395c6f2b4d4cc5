#include "ballast/codesign/network_figure.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/markup.h"
#include "ballast/codesign/mapping_parts.h"

namespace ballast::codesign {
namespace {

constexpr double kBox = 34, kGap = 6, kLine = 92, kTop = 26, kHeight = 52;
constexpr std::size_t kPerLine = 24;
constexpr const char* kNpuColour = "#4a78c2";
constexpr const char* kCimColour = "#d98032";

std::string short_name(const Node& node) {
  switch (node.op) {
    case Op::conv:
      return fmt::format("{0}x{0}", node.fx);
    case Op::depthwise_conv:
      return fmt::format("dw{}", node.fx);
    case Op::linear:
      return "lin";
    case Op::matmul_dynamic:
      return "mm";
    case Op::softmax:
      return "smx";
    case Op::layer_norm:
      return "LN";
    case Op::elementwise:
      return node.source_op == "Add" ? "+" : node.source_op == "Mul" ? "*" : "ew";
    case Op::pool:
    case Op::global_pool:
      return "pool";
    default:
      return to_string(node.op).substr(0, 4);
  }
}

}  // namespace

Figure network_figure(const Graph& graph, const Mapping& mapping, const Run& run, const std::string& title) {
  double most = 1;
  for (const auto& node : run.nodes) most = std::max(most, node.cost.cycles);
  const std::size_t lines = (graph.nodes.size() + kPerLine - 1) / kPerLine;
  const double width = kPerLine * (kBox + kGap) + 20, height = kTop + static_cast<double>(lines) * kLine + 6;
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.0f} {:.0f}" width="100%" font-family="sans-serif" font-size="10">)",
      width, height);
  svg += fmt::format(
      R"(<rect x="10" y="4" width="12" height="12" fill="{}"/><text x="26" y="14" fill="currentColor">NPU</text>)",
      kNpuColour);
  svg += fmt::format(
      R"(<rect x="70" y="4" width="12" height="12" fill="{}"/><text x="86" y="14" fill="currentColor">macros (outlined: weights stay in the cells)</text>)",
      kCimColour);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const double x = 10 + static_cast<double>(n % kPerLine) * (kBox + kGap);
    const double base = kTop + static_cast<double>(n / kPerLine) * kLine + kHeight;
    const double h = std::max(4.0, kHeight * std::log1p(run.nodes[n].cost.cycles) / std::log1p(most));
    const bool split = is_split(mapping[n]);
    const auto box = [&](double left, double wide, const char* colour) {
      svg += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"{}/>)", left,
                         base - h, wide, h, colour,
                         mapping[n].resident ? R"( stroke="currentColor" stroke-width="2")" : "");
    };
    svg += "<g>";
    if (split) {
      const double npu = kBox * mapping[n].npu_share;
      box(x, npu, kNpuColour);
      box(x + npu, kBox - npu, kCimColour);
    } else {
      box(x, kBox, mapping[n].device == Device::npu ? kNpuColour : kCimColour);
    }
    svg += fmt::format("<title>{}: {:.1f} kcycles, bound by {}</title></g>", markup_text(node.name),
                       run.nodes[n].cost.cycles / 1e3, markup_text(run.nodes[n].cost.bound));
    svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle" fill="currentColor">{}</text>)",
                       x + kBox / 2, base + 12, markup_text(short_name(node)));
    svg += fmt::format(
        R"(<text x="{:.1f}" y="{:.1f}" text-anchor="middle" font-size="8" fill="currentColor">{}</text>)",
        x + kBox / 2, base + 22, node.k > 1 ? std::to_string(node.k) : "");
    if (run.nodes[n].transfer_cycles > 0)
      svg +=
          fmt::format(R"(<path d="M{:.1f} {:.1f} l5 4 l-5 4 z" fill="currentColor"/>)", x - kGap, base - 8);
  }
  svg += "</svg>";
  return {.title = title, .svg = std::move(svg), .basis = Basis::modelled};
}

}  // namespace ballast::codesign
