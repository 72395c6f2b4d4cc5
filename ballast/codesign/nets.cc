#include "ballast/codesign/nets.h"

#include <fmt/format.h>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/codesign/net_builder.h"
#include "ballast/codesign/plan.h"

namespace ballast::codesign {
namespace {

const std::vector<AlphaNet> kAlphaNets = {
    {"a0",
     192,
     {16, 24, 32, 64, 112, 192, 216},
     {3, 3, 3, 3, 3, 3, 3},
     {1, 4, 4, 4, 4, 6, 6},
     {1, 3, 3, 3, 3, 3, 1},
     203,
     77.87},
    {"a1",
     224,
     {16, 24, 32, 64, 112, 192, 216},
     {3, 3, 3, 5, 3, 5, 3},
     {1, 4, 4, 4, 4, 6, 6},
     {1, 3, 3, 3, 3, 3, 1},
     279,
     78.94},
    {"a2",
     224,
     {16, 24, 32, 64, 112, 200, 224},
     {3, 3, 3, 3, 3, 5, 3},
     {1, 4, 5, 4, 4, 6, 6},
     {1, 3, 3, 3, 3, 4, 1},
     317,
     79.20},
    {"a3",
     224,
     {16, 24, 32, 64, 112, 208, 224},
     {3, 3, 3, 5, 3, 3, 3},
     {1, 4, 4, 4, 4, 6, 6},
     {2, 3, 3, 4, 3, 5, 1},
     357,
     79.41},
    {"a4",
     256,
     {16, 24, 32, 64, 112, 192, 216},
     {3, 3, 3, 5, 3, 5, 3},
     {1, 4, 4, 5, 4, 6, 6},
     {1, 3, 3, 4, 3, 5, 1},
     444,
     80.01},
    {"a5s",
     256,
     {16, 24, 32, 64, 112, 208, 216},
     {3, 3, 3, 3, 3, 5, 3},
     {1, 4, 4, 5, 4, 6, 6},
     {1, 3, 3, 4, 4, 5, 1},
     491,
     80.29},
    {"a5b",
     288,
     {16, 24, 32, 64, 112, 200, 216},
     {3, 3, 5, 5, 3, 3, 3},
     {1, 4, 4, 4, 5, 6, 6},
     {2, 3, 4, 3, 3, 5, 1},
     596,
     80.62},
    {"a6",
     288,
     {16, 24, 32, 64, 112, 216, 224},
     {3, 3, 3, 3, 3, 5, 3},
     {1, 4, 6, 5, 4, 6, 6},
     {1, 3, 3, 4, 4, 6, 1},
     709,
     80.78},
};

}  // namespace

Graph mobilenet_v2(int resolution) {
  // expansion, channels, repeats, stride
  static constexpr int kStages[][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                       {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  NetBuilder b("mobilenet_v2");
  TensorId x = b.conv(b.input(3, resolution), 32, 3, 2, 1, "Relu6");
  for (const auto& [expansion, channels, repeats, first_stride] : kStages) {
    for (int i = 0; i < repeats; ++i) {
      const int stride = i == 0 ? first_stride : 1;
      const auto in = static_cast<int>(b.channels(x));
      TensorId y = expansion > 1 ? b.conv(x, in * expansion, 1, 1, 1, "Relu6") : x;
      y = b.conv(y, in * expansion, 3, stride, in * expansion, "Relu6");
      y = b.conv(y, channels, 1, 1, 1, "");
      x = stride == 1 && in == channels ? b.add(x, y) : y;
    }
  }
  x = b.conv(x, 1280, 1, 1, 1, "Relu6");
  x = b.global_pool(x);
  return b.finish(b.conv(x, 1000, 1, 1, 1, ""));
}

const std::vector<AlphaNet>& alphanets() {
  return kAlphaNets;
}

Graph alphanet(const AlphaNet& net) {
  static constexpr int kStrides[7] = {1, 2, 2, 2, 1, 2, 1};
  static constexpr bool kSqueeze[7] = {false, false, true, false, true, true, true};
  NetBuilder b("alphanet-" + net.name);
  TensorId x = b.conv(b.input(3, net.resolution), 16, 3, 2, 1, "HardSwish");
  for (std::size_t stage = 0; stage < 7; ++stage) {
    for (int i = 0; i < net.depths[stage]; ++i) {
      const int stride = i == 0 ? kStrides[stage] : 1;
      const auto in = static_cast<int>(b.channels(x));
      const int inner = in * net.expansions[stage], out = net.widths[stage];
      TensorId y = net.expansions[stage] > 1 ? b.conv(x, inner, 1, 1, 1, "HardSwish") : x;
      y = b.conv(y, inner, net.kernels[stage], stride, inner, "HardSwish");
      if (kSqueeze[stage]) {
        TensorId gate = b.global_pool(y);
        gate = b.conv(gate, round_to_8(inner / 4.0), 1, 1, 1, "Relu");
        gate = b.conv(gate, inner, 1, 1, 1, "HardSigmoid");
        y = b.multiply(y, gate);
      }
      y = b.conv(y, out, 1, 1, 1, "");
      // The shortcut averages over the stride and adapts the width where it changes.
      TensorId shortcut = stride > 1 ? b.average_pool(x, stride) : x;
      if (in != out) shortcut = b.conv(shortcut, out, 1, 1, 1, "");
      x = b.add(y, shortcut);
    }
  }
  const int last = net.name == "a0" ? 1792 : 1984;
  x = b.conv(x, 6 * net.widths[6], 1, 1, 1, "HardSwish");
  x = b.global_pool(x);
  x = b.conv(x, last, 1, 1, 1, "HardSwish");
  return b.finish(b.conv(x, 1000, 1, 1, 1, ""));
}

std::vector<std::string> net_names() {
  std::vector<std::string> names{"mobilenet_v2"};
  for (const auto& net : kAlphaNets) names.push_back("alphanet-" + net.name);
  return names;
}

Graph make_net(const std::string& name) {
  cli::require_one_of("network", name, net_names());
  if (name == "mobilenet_v2") return mobilenet_v2();
  for (const auto& net : kAlphaNets) {
    if (name == "alphanet-" + net.name) return alphanet(net);
  }
  throw InvalidInput("network", name, "a known one");
}

}  // namespace ballast::codesign
