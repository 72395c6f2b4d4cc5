// A genotype as a list of steps, from the image to the logits: the one description that the cost models
// (graph of operators), the supernet (libtorch) and the exporter (ONNX) all walk, so that the three cannot
// disagree.
//
// Value 0 is the image; step i makes value i + 1. Extents of a step: `in` and `out` channels, maps of `side`
// x `side` positions before and `out_side` after it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/codesign/ir.h"
#include "ballast/codesign/space.h"

namespace ballast::codesign {

enum class StepKind {
  conv,       ///< convolution, batch norm, activation
  squeeze,    ///< x * hard_sigmoid(W2 relu(W1 mean(x)))
  pool,       ///< mean over stride x stride positions
  add,        ///< inputs[0] + inputs[1]
  mean,       ///< over all positions
  attention,  ///< x + scale * attention(norm(x))
  mlp,        ///< x + scale * W2 hswish(W1 norm(x))
  dense,      ///< logits
};

struct Step {
  StepKind kind = StepKind::conv;
  std::string name = {};  ///< path of its parameters, such as "s3.1.mb.depthwise"
  int stage = -1;         ///< -1: stem or head
  bool shared = true;     ///< false: a part of an attention block, new in the second phase of training
  std::vector<int> inputs = {};
  int in = 0, out = 0, side = 0, out_side = 0;
  int kernel = 1, stride = 1;
  bool depthwise = false;
  std::string activation = {};             ///< "", "relu" or "hswish"
  int hidden = 0;                          ///< of squeeze and mlp
  int heads = 0, head_dim = 0, v_dim = 0;  ///< v_dim: of all heads
  bool v_depthwise = false;
  double residual_scale = 1;  ///< of attention and mlp, before training
};

struct Plan {
  int resolution = 0, channels = 0, classes = 0;
  std::vector<Step> steps;
};

/// Throws InvalidInput when the genotype is no member of the space.
Plan plan_network(const Space& space, const Genotype& genotype);

/// The parts of which every network consists, alone: input channels and map as given.
Plan plan_stem(const Space& space, int resolution, int width);
Plan plan_block(const Space& space, int stage, int index, int in, int side, const BlockGenes& genes,
                int width);
Plan plan_head(const Space& space, int in, int side, int last);

/// The plan's operators for cost models. Its multiply-accumulates are those of the exported ONNX file.
Graph to_graph(const Plan& plan, const std::string& name);
Graph to_graph(const Space& space, const Genotype& genotype);

std::int64_t plan_macs(const Plan& plan);

/// Multiples of 8, at most a tenth below: the usual rounding of mobile networks.
int round_to_8(double channels);

}  // namespace ballast::codesign
