#include "ballast/codesign/space.h"

#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/codesign/plan.h"

namespace ballast::codesign {
namespace {

int pick(const std::vector<int>& choices, Random& random) {
  return choices[random.below(choices.size())];
}

BlockGenes random_block(const StageChoices& stage, int index, Random& random, Blocks blocks) {
  BlockGenes block;
  const bool may_attend = blocks == Blocks::hybrid && index > 0 && stage.attention.options() > 0;
  // Both types are equally likely, whatever number of options each has.
  block.attention = may_attend && random.below(2) == 0;
  if (block.attention) {
    block.head_dim = pick(stage.attention.head_dims, random);
    block.v_expansion = pick(stage.attention.v_expansions, random);
    block.mlp_ratio = pick(stage.attention.mlp_ratios, random);
  } else {
    block.kernel = pick(stage.kernels, random);
    block.expansion = pick(stage.expansions, random);
  }
  return block;
}

Genotype extreme(const Space& space, Blocks blocks, bool large) {
  const auto end = [&](const std::vector<int>& choices) {
    return large ? *std::max_element(choices.begin(), choices.end())
                 : *std::min_element(choices.begin(), choices.end());
  };
  Genotype g;
  g.resolution = end(space.resolutions);
  g.stem = end(space.stem_widths);
  g.last = end(space.last_widths);
  for (const auto& stage : space.stages) {
    StageGenes genes;
    genes.width = end(stage.widths);
    BlockGenes conv;
    conv.kernel = end(stage.kernels);
    conv.expansion = end(stage.expansions);
    genes.blocks.assign(static_cast<std::size_t>(end(stage.depths)), conv);
    g.stages.push_back(genes);
  }
  if (blocks == Blocks::conv_only) return g;
  for (std::size_t s = 0; s < g.stages.size(); ++s) {
    const AttentionChoices& choices = space.stages[s].attention;
    if (choices.options() == 0) continue;
    for (std::size_t b = 1; b < g.stages[s].blocks.size(); ++b) {
      // The smallest head dimension gives the most heads and the widest queries; MACs decide.
      Genotype with = g;
      BlockGenes& block = with.stages[s].blocks[b];
      block = {.attention = true,
               .head_dim = *std::min_element(choices.head_dims.begin(), choices.head_dims.end()),
               .v_expansion = end(choices.v_expansions),
               .mlp_ratio = end(choices.mlp_ratios)};
      const auto before = plan_macs(plan_network(space, g)), after = plan_macs(plan_network(space, with));
      if (large ? after > before : after < before) g = with;
    }
  }
  return g;
}

const StageChoices& stage_at(const Space& space, std::size_t s) {
  return space.stages[s];
}

}  // namespace

bool Genotype::hybrid() const {
  for (const auto& stage : stages) {
    for (const auto& block : stage.blocks) {
      if (block.attention) return true;
    }
  }
  return false;
}

std::uint64_t Genotype::hash() const {
  std::uint64_t h = mix64(static_cast<std::uint64_t>(resolution) << 32 |
                          static_cast<std::uint64_t>(stem) << 16 | static_cast<std::uint64_t>(last));
  const auto add = [&](int value) { h = mix64(h ^ static_cast<std::uint64_t>(value)); };
  for (const auto& stage : stages) {
    add(stage.width << 8 | static_cast<int>(stage.blocks.size()));
    for (const auto& b : stage.blocks) {
      add(b.attention ? 1 << 24 | b.head_dim << 16 | b.v_expansion << 8 | b.mlp_ratio
                      : b.kernel << 8 | b.expansion);
    }
  }
  return h;
}

std::uint64_t count(const Space& space, Blocks blocks) {
  std::uint64_t total =
      std::uint64_t{space.resolutions.size()} * space.stem_widths.size() * space.last_widths.size();
  for (const auto& stage : space.stages) {
    const std::uint64_t conv = std::uint64_t{stage.kernels.size()} * stage.expansions.size();
    const std::uint64_t later = conv + (blocks == Blocks::hybrid ? stage.attention.options() : 0);
    std::uint64_t sum = 0;
    for (int depth : stage.depths) {
      std::uint64_t product = conv;
      for (int b = 1; b < depth; ++b) product *= later;
      sum += product;
    }
    if (__builtin_mul_overflow(total, sum * stage.widths.size(), &total)) return UINT64_MAX;
  }
  return total;
}

Genotype sample(const Space& space, Random& random, Blocks blocks) {
  Genotype g;
  g.resolution = pick(space.resolutions, random);
  g.stem = pick(space.stem_widths, random);
  for (const auto& stage : space.stages) {
    StageGenes genes;
    genes.width = pick(stage.widths, random);
    const int depth = pick(stage.depths, random);
    for (int b = 0; b < depth; ++b) genes.blocks.push_back(random_block(stage, b, random, blocks));
    g.stages.push_back(std::move(genes));
  }
  g.last = pick(space.last_widths, random);
  return g;
}

Genotype smallest(const Space& space, Blocks blocks) {
  return extreme(space, blocks, false);
}
Genotype largest(const Space& space, Blocks blocks) {
  return extreme(space, blocks, true);
}

Genotype mutate(const Space& space, const Genotype& parent, Random& random, double rate,
                double resolution_rate, Blocks blocks) {
  Genotype g = parent;
  const auto hit = [&](double p) { return random.uniform() < p; };
  if (hit(resolution_rate)) g.resolution = pick(space.resolutions, random);
  if (hit(rate)) g.stem = pick(space.stem_widths, random);
  if (hit(rate)) g.last = pick(space.last_widths, random);
  for (std::size_t s = 0; s < g.stages.size(); ++s) {
    const StageChoices& stage = stage_at(space, s);
    if (hit(rate)) g.stages[s].width = pick(stage.widths, random);
    if (hit(rate)) {
      const auto depth = static_cast<std::size_t>(pick(stage.depths, random));
      auto& list = g.stages[s].blocks;
      list.resize(std::min(depth, list.size()));
      while (list.size() < depth)
        list.push_back(random_block(stage, static_cast<int>(list.size()), random, blocks));
    }
    for (std::size_t b = 0; b < g.stages[s].blocks.size(); ++b) {
      BlockGenes& block = g.stages[s].blocks[b];
      if (hit(rate)) {  // the type, and with it all genes of the block
        block = random_block(stage, static_cast<int>(b), random, blocks);
      } else if (block.attention) {
        if (hit(rate)) block.head_dim = pick(stage.attention.head_dims, random);
        if (hit(rate)) block.v_expansion = pick(stage.attention.v_expansions, random);
        if (hit(rate)) block.mlp_ratio = pick(stage.attention.mlp_ratios, random);
      } else {
        if (hit(rate)) block.kernel = pick(stage.kernels, random);
        if (hit(rate)) block.expansion = pick(stage.expansions, random);
      }
    }
  }
  return g;
}

Genotype cross(const Space& space, const Genotype& a, const Genotype& b, Random& random) {
  const auto first = [&] { return random.below(2) == 0; };
  Genotype g;
  g.resolution = first() ? a.resolution : b.resolution;
  g.stem = first() ? a.stem : b.stem;
  g.last = first() ? a.last : b.last;
  for (std::size_t s = 0; s < space.stages.size(); ++s) {
    StageGenes genes;
    const StageGenes &one = a.stages[s], &two = b.stages[s];
    genes.width = first() ? one.width : two.width;
    const std::size_t depth = first() ? one.blocks.size() : two.blocks.size();
    for (std::size_t i = 0; i < depth; ++i) {
      if (i < one.blocks.size() && i < two.blocks.size()) {
        genes.blocks.push_back(first() ? one.blocks[i] : two.blocks[i]);
      } else {
        genes.blocks.push_back(i < one.blocks.size() ? one.blocks[i] : two.blocks[i]);
      }
    }
    g.stages.push_back(std::move(genes));
  }
  return g;
}

Space only(const Space& space, const Genotype& genotype) {
  check_member(space, genotype);
  Space one = space;
  one.resolutions = {genotype.resolution};
  one.stem_widths = {genotype.stem};
  one.last_widths = {genotype.last};
  // The stages keep their lists: which blocks there are is the genotype's matter, not the space's.
  for (std::size_t s = 0; s < one.stages.size(); ++s) {
    one.stages[s].widths = {genotype.stages[s].width};
    one.stages[s].depths = {static_cast<int>(genotype.stages[s].blocks.size())};
  }
  return one;
}

Space adapted(Space space, int resolution, int channels, int classes) {
  if (resolution > 0) space.resolutions = {resolution};
  space.channels = channels;
  space.classes = classes;
  return space;
}

void check_member(const Space& space, const Genotype& g) {
  const auto require = [&](const std::string& gene, int value, const std::vector<int>& choices) {
    if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
    throw InvalidInput(fmt::format("gene {} of space {} is {}; accepted: {}", gene, space.name, value,
                                   fmt::join(choices, ", ")));
  };
  require("resolution", g.resolution, space.resolutions);
  require("stem", g.stem, space.stem_widths);
  if (g.stages.size() != space.stages.size())
    throw InvalidInput(fmt::format("the genotype has {} stages; space {} has {}", g.stages.size(), space.name,
                                   space.stages.size()));
  for (std::size_t s = 0; s < g.stages.size(); ++s) {
    const StageChoices& stage = space.stages[s];
    require(stage.name + ".width", g.stages[s].width, stage.widths);
    require(stage.name + ".depth", static_cast<int>(g.stages[s].blocks.size()), stage.depths);
    for (std::size_t b = 0; b < g.stages[s].blocks.size(); ++b) {
      const BlockGenes& block = g.stages[s].blocks[b];
      const std::string at = fmt::format("{}.{}.", stage.name, b);
      if (block.attention) {
        if (b == 0)
          throw InvalidInput(
              fmt::format("gene {}type is attention; accepted: mb, a stage's first block", at));
        require(at + "head_dim", block.head_dim, stage.attention.head_dims);
        require(at + "v_expansion", block.v_expansion, stage.attention.v_expansions);
        require(at + "mlp_ratio", block.mlp_ratio, stage.attention.mlp_ratios);
      } else {
        require(at + "kernel", block.kernel, stage.kernels);
        require(at + "expansion", block.expansion, stage.expansions);
      }
    }
  }
  require("last", g.last, space.last_widths);
}

}  // namespace ballast::codesign
