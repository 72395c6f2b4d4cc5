// The search space and its members. A genotype holds active genes only (a block that the depth leaves out has
// none), so equal networks compare and hash equal.
//
//   const Space space = load_space("h4h-28");
//   Random random(1);
//   Genotype g = sample(space, random, Blocks::hybrid);
//   to_string(g)      // "r28 w12 | 12 3x2 | 16 3x1 5x4 | 40 3x2 a8v2m1 | 48 3x4 | 96"
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/random.h"

namespace ballast::codesign {

struct AttentionChoices {
  std::vector<int> head_dims, v_expansions, mlp_ratios;
  bool v_depthwise = false;  ///< a 3x3 depthwise convolution on V

  std::uint64_t options() const {
    return std::uint64_t{head_dims.size()} * v_expansions.size() * mlp_ratios.size();
  }
};

struct StageChoices {
  std::string name;
  std::vector<int> widths, depths, kernels, expansions;
  int stride = 1;
  bool squeeze = false;
  AttentionChoices attention;  ///< for blocks of index 1 and up; no options: convolutions only
};

struct Space {
  std::string name;
  int channels = 1, classes = 10;
  std::vector<int> resolutions, stem_widths;
  int stem_stride = 2;
  bool project_shortcut = false;  ///< else the input is added only where shapes are equal
  bool wide_head = false;
  double residual_scale = 1;  ///< initial scale of attention and MLP branches
  std::vector<StageChoices> stages;
  std::vector<int> last_widths;
};

struct BlockGenes {
  bool attention = false;
  int kernel = 3, expansion = 1;
  int head_dim = 8, v_expansion = 1, mlp_ratio = 1;

  bool operator==(const BlockGenes&) const = default;
};

struct StageGenes {
  int width = 0;
  std::vector<BlockGenes> blocks;  ///< its size is the depth
  bool operator==(const StageGenes&) const = default;
};

struct Genotype {
  int resolution = 0, stem = 0, last = 0;
  std::vector<StageGenes> stages;
  bool operator==(const Genotype&) const = default;

  bool hybrid() const;
  std::uint64_t hash() const;
};

std::vector<std::string> space_names();
/// A shipped space by name, or a .yaml file; InvalidInput names line and nearest key.
Space load_space(const std::string& word);
Space parse_space(const std::string& yaml, const std::string& where);

/// Which block types a draw may use.
enum class Blocks { conv_only, hybrid };

/// Number of different networks, exactly (as a double beyond 2^64: the shipped spaces fit).
std::uint64_t count(const Space& space, Blocks blocks);

/// Uniform over each gene.
Genotype sample(const Space& space, Random& random, Blocks blocks);
/// The smallest and the largest network: every gene at its end; of the block types the one with fewer or more
/// MACs.
Genotype smallest(const Space& space, Blocks blocks);
Genotype largest(const Space& space, Blocks blocks);

/// Each gene is drawn anew with probability `rate` (the resolution with `resolution_rate`).
Genotype mutate(const Space& space, const Genotype& parent, Random& random, double rate,
                double resolution_rate = 0.5, Blocks blocks = Blocks::hybrid);
/// Each gene comes from one of the parents.
Genotype cross(const Space& space, const Genotype& a, const Genotype& b, Random& random);
/// The space that holds only this network.
Space only(const Space& space, const Genotype& genotype);
/// The same space at another resolution and number of classes or channels.
Space adapted(Space space, int resolution, int channels, int classes);

/// Throws InvalidInput naming the first gene that the space does not hold.
void check_member(const Space& space, const Genotype& genotype);

std::string to_string(const Genotype& genotype);
/// Schema ballast.genotype/1.
Json to_json(const Space& space, const Genotype& genotype);
Genotype genotype_from_json(const Json& json);

}  // namespace ballast::codesign
