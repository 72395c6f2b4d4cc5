#include "ballast/dynamic/workloads.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/random.h"
#include "ballast/data/arrivals.h"

namespace ballast::dynamic {
namespace {

// Streams of one instance's randomness.
enum Stream : std::uint64_t { kLength = 1, kShape = 2, kChars = 3 };

Random stream_of(std::uint64_t seed, std::uint64_t instance, Stream stream) {
  return Random(seed, mix64(instance * 8 + stream));
}

// A gamma draw of this shape and scale, rounded, drawn anew until it lies in [low, high].
int gamma_length(double shape, double scale, int low, int high, std::uint64_t seed, std::uint64_t stream) {
  for (std::uint64_t attempt = 0;; ++attempt) {
    const double x = data::gamma_draw(shape, seed, stream, attempt) * shape * scale;
    const int length = static_cast<int>(std::lround(x));
    if (length >= low && length <= high) return length;
  }
}

int poisson(Random& random, double mean) {
  const double limit = std::exp(-mean);
  int k = 0;
  for (double product = random.uniform(); product > limit; product *= random.uniform()) ++k;
  return k;
}

int grow(Tree& tree, int leaves, Random& random) {
  if (leaves == 1) {
    tree.nodes.push_back({-1, -1, static_cast<int>(random.below(20000))});
    return static_cast<int>(tree.nodes.size()) - 1;
  }
  const int left = random.uniform() < 0.55
                       ? 1
                       : 1 + static_cast<int>(random.below(static_cast<std::uint64_t>(leaves - 1)));
  const int a = grow(tree, left, random);
  const int b = grow(tree, leaves - left, random);
  tree.nodes.push_back({a, b, 0});
  return static_cast<int>(tree.nodes.size()) - 1;
}

Graph trees(bool two_types, int count, std::uint64_t seed, std::uint64_t first) {
  Graph graph(two_types ? std::vector<std::string>{"leaf", "internal_a", "internal_b", "classifier", "reduce"}
                        : std::vector<std::string>{"leaf", "internal", "classifier", "reduce"});
  const TypeId classifier = two_types ? 3 : 2, reduce = classifier + 1;
  std::vector<NodeId> outputs;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t instance = first + static_cast<std::uint64_t>(i);
    const Tree tree = draw_tree(seed, instance);
    Random kinds = stream_of(seed, instance, kChars);
    std::vector<NodeId> ids;
    for (const auto& node : tree.nodes) {
      if (node.left < 0) {
        ids.push_back(graph.add(0, {}));
        continue;
      }
      const TypeId type = two_types && kinds.below(2) == 1 ? 2 : 1;
      ids.push_back(graph.add(
          type, {ids[static_cast<std::size_t>(node.left)], ids[static_cast<std::size_t>(node.right)]}));
      outputs.push_back(graph.add(classifier, {ids.back()}));
    }
  }
  graph.add(reduce, outputs);
  return graph;
}

Graph lattices(int count, std::uint64_t seed, std::uint64_t first) {
  enum : TypeId { kInit, kChar, kWord, kAdd, kTag, kReduce };
  Graph graph({"init", "char_cell", "word_cell", "add_n", "tag", "reduce"});
  std::vector<NodeId> outputs;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t instance = first + static_cast<std::uint64_t>(i);
    const int length = gamma_length(2.54, 17.4, 3, 211, seed, mix64(instance * 8 + kLength));
    Random random = stream_of(seed, instance, kShape);
    std::vector<NodeId> state{graph.add(kInit, {})};
    for (int position = 1; position <= length; ++position) {
      std::vector<NodeId> arcs{graph.add(kChar, {state.back()})};
      std::vector<int> spans;
      for (int arc = poisson(random, 0.66); arc > 0; --arc) {
        const double u = random.uniform();
        const int span = u < 0.861 ? 2 : u < 0.973 ? 3 : u < 0.994 ? 4 : u < 0.999 ? 5 : 6;
        if (span > position || std::find(spans.begin(), spans.end(), span) != spans.end()) continue;
        spans.push_back(span);
        arcs.push_back(graph.add(kWord, {state[static_cast<std::size_t>(position - span)]}));
      }
      state.push_back(arcs.size() > 1 ? graph.add(kAdd, arcs) : arcs[0]);
      outputs.push_back(graph.add(kTag, {state.back()}));
    }
  }
  graph.add(kReduce, outputs);
  return graph;
}

Graph sentences(bool characters, int count, std::uint64_t seed, std::uint64_t first) {
  enum : TypeId {
    kEmbed,
    kForward,
    kBackward,
    kOutput,
    kReduce,
    kCharEmbed,
    kCharForward,
    kCharBackward,
    kConcat
  };
  std::vector<std::string> types{"embedding", "forward", "backward", "output", "reduce"};
  if (characters) types.insert(types.end(), {"char_embedding", "char_forward", "char_backward", "concat"});
  Graph graph(types);
  std::vector<NodeId> outputs;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t instance = first + static_cast<std::uint64_t>(i);
    const int length = gamma_length(3.08, 7.47, 1, 144, seed, mix64(instance * 8 + kLength));
    Random random = stream_of(seed, instance, kShape);
    std::vector<NodeId> words;
    for (int w = 0; w < length; ++w) {
      if (!characters || random.uniform() >= 0.25) {
        words.push_back(graph.add(kEmbed, {}));
        continue;
      }
      const int letters = gamma_length(2.47, 1.77, 1, 26, seed,
                                       mix64((instance * 200 + static_cast<std::uint64_t>(w)) * 8 + kChars));
      std::vector<NodeId> embedded;
      for (int l = 0; l < letters; ++l) embedded.push_back(graph.add(kCharEmbed, {}));
      NodeId forward = graph.add(kCharForward, {embedded.front()}),
             backward = graph.add(kCharBackward, {embedded.back()});
      for (std::size_t l = 1; l < embedded.size(); ++l) {
        forward = graph.add(kCharForward, {embedded[l], forward});
        backward = graph.add(kCharBackward, {embedded[embedded.size() - 1 - l], backward});
      }
      words.push_back(graph.add(kConcat, {forward, backward}));
    }
    std::vector<NodeId> forward, backward(words.size());
    for (std::size_t w = 0; w < words.size(); ++w) {
      forward.push_back(w == 0 ? graph.add(kForward, {words[w]})
                               : graph.add(kForward, {words[w], forward.back()}));
    }
    for (std::size_t w = words.size(); w-- > 0;) {
      backward[w] = w + 1 == words.size() ? graph.add(kBackward, {words[w]})
                                          : graph.add(kBackward, {words[w], backward[w + 1]});
    }
    for (std::size_t w = 0; w < words.size(); ++w)
      outputs.push_back(graph.add(kOutput, {forward[w], backward[w]}));
  }
  graph.add(kReduce, outputs);
  return graph;
}

/// A cell reads its neighbours of the row above, the column before and, in 3D, the plane below.
Graph grids(int dimensions, int count, std::uint64_t seed, std::uint64_t first) {
  Graph graph({"input", "cell", "output", "reduce"});
  std::vector<NodeId> outputs;
  for (int i = 0; i < count; ++i) {
    Random random = stream_of(seed, first + static_cast<std::uint64_t>(i), kShape);
    int sides[3] = {1, 1, 1};
    for (int d = 0; d < dimensions; ++d)
      sides[d] =
          dimensions == 2 ? 4 + static_cast<int>(random.below(9)) : 3 + static_cast<int>(random.below(4));
    std::vector<NodeId> cells;
    const auto at = [&](int x, int y, int z) {
      return static_cast<std::size_t>((z * sides[1] + y) * sides[0] + x);
    };
    for (int z = 0; z < sides[2]; ++z)
      for (int y = 0; y < sides[1]; ++y)
        for (int x = 0; x < sides[0]; ++x) {
          std::vector<NodeId> reads{graph.add(0, {})};
          if (x > 0) reads.push_back(cells[at(x - 1, y, z)]);
          if (y > 0) reads.push_back(cells[at(x, y - 1, z)]);
          if (z > 0) reads.push_back(cells[at(x, y, z - 1)]);
          cells.push_back(graph.add(1, reads));
        }
    outputs.push_back(graph.add(2, {cells.back()}));
  }
  graph.add(3, outputs);
  return graph;
}

Graph perfect_trees(int count, std::uint64_t seed, std::uint64_t first) {
  Graph graph({"leaf", "internal", "output", "reduce"});
  std::vector<NodeId> outputs;
  for (int i = 0; i < count; ++i) {
    Random random = stream_of(seed, first + static_cast<std::uint64_t>(i), kShape);
    std::vector<NodeId> level;
    for (int leaves = 1 << (5 + static_cast<int>(random.below(4))); leaves > 0; --leaves)
      level.push_back(graph.add(0, {}));
    while (level.size() > 1) {
      std::vector<NodeId> above;
      for (std::size_t n = 0; n + 1 < level.size(); n += 2)
        above.push_back(graph.add(1, {level[n], level[n + 1]}));
      level = std::move(above);
    }
    outputs.push_back(graph.add(2, {level[0]}));
  }
  graph.add(3, outputs);
  return graph;
}

Graph random_dags(int count, std::uint64_t seed, std::uint64_t first) {
  Graph graph({"state_a", "state_b", "state_c", "arc_a", "arc_b", "reduce"});
  std::vector<NodeId> outputs;
  for (int i = 0; i < count; ++i) {
    Random random = stream_of(seed, first + static_cast<std::uint64_t>(i), kShape);
    std::vector<NodeId> states;
    for (std::uint64_t s = 0; s < 200; ++s) {
      std::vector<NodeId> arcs;
      for (std::uint64_t arc = s == 0 ? 0 : 1 + random.below(4); arc > 0; --arc) {
        const std::uint64_t back = 1 + random.below(std::min<std::uint64_t>(s, 30));
        arcs.push_back(graph.add(static_cast<TypeId>(3 + random.below(2)), {states[s - back]}));
      }
      states.push_back(graph.add(static_cast<TypeId>(random.below(3)), arcs));
    }
    outputs.push_back(states.back());
  }
  graph.add(5, outputs);
  return graph;
}

}  // namespace

int Tree::height() const {
  std::vector<int> height(nodes.size(), 0);
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].left >= 0) {
      height[n] = 1 + std::max(height[static_cast<std::size_t>(nodes[n].left)],
                               height[static_cast<std::size_t>(nodes[n].right)]);
    }
  }
  return height.back();
}

Tree draw_tree(std::uint64_t seed, std::uint64_t instance) {
  const int leaves = gamma_length(4.22, 4.53, 2, 56, seed, mix64(instance * 8 + kLength));
  Random random = stream_of(seed, instance, kShape);
  Tree tree;
  grow(tree, leaves, random);
  return tree;
}

std::vector<std::string> workload_names() {
  return {"tree",   "tree-2type", "lattice",      "bilstm",    "bilstm-char",
          "grid2d", "grid3d",     "perfect-tree", "random-dag"};
}

Graph make_workload(const std::string& name, int count, std::uint64_t seed, std::uint64_t first) {
  cli::require_one_of("workload", name, workload_names());
  if (name == "tree" || name == "tree-2type") return trees(name == "tree-2type", count, seed, first);
  if (name == "grid2d" || name == "grid3d") return grids(name == "grid2d" ? 2 : 3, count, seed, first);
  if (name == "perfect-tree") return perfect_trees(count, seed, first);
  if (name == "random-dag") return random_dags(count, seed, first);
  if (name == "lattice") return lattices(count, seed, first);
  return sentences(name == "bilstm-char", count, seed, first);
}

}  // namespace ballast::dynamic
