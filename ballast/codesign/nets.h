// Reference networks, built here: MobileNetV2 and the eight published AlphaNet subnets, whose
// multiply-accumulate counts are known. Shapes only; weights do not matter for cost.
#pragma once

#include <string>
#include <vector>

#include "ballast/codesign/ir.h"

namespace ballast::codesign {

/// MobileNetV2 1.0 (Sandler et al. 2018) for `resolution` x `resolution` images: 300.8 MMAC at 224.
Graph mobilenet_v2(int resolution = 224);

struct AlphaNet {
  std::string name;
  int resolution;
  std::vector<int> widths, kernels, expansions, depths;  ///< of the seven stages
  double published_mmacs, published_top1;
};
/// A0 to A6 of the AlphaNet paper (Wang et al. 2021), by public description.
const std::vector<AlphaNet>& alphanets();
Graph alphanet(const AlphaNet& net);

/// A network by name: mobilenet_v2, alphanet-a0 ... alphanet-a6 (a5s, a5b).
std::vector<std::string> net_names();
Graph make_net(const std::string& name);

}  // namespace ballast::codesign
