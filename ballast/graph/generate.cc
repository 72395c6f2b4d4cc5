#include "ballast/graph/generate.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/units.h"

namespace ballast::graph {
namespace {

// Streams of the seed, so that ends, weights and places do not depend on each other.
constexpr std::uint64_t kEndsStream = 1, kWeightStream = 2, kPlaceStream = 3, kKeepStream = 4;

// Graph500's quadrants as thresholds of a 32-bit draw.
constexpr std::uint32_t kA = static_cast<std::uint32_t>(0.57 * 4294967296.0);
constexpr std::uint32_t kAB = static_cast<std::uint32_t>(0.76 * 4294967296.0);
constexpr std::uint32_t kABC = static_cast<std::uint32_t>(0.95 * 4294967296.0);

constexpr double kStreetsKept = 0.65;
constexpr double kStreetLength = 100;  // of an unmoved street

std::uint64_t draw(std::uint64_t seed, std::uint64_t index, std::uint64_t stream) {
  const auto words = philox(seed, index, stream);
  return words[0] | std::uint64_t{words[1]} << 32;
}

std::uint64_t scaled(std::uint64_t random, std::uint64_t n) {
  return static_cast<std::uint64_t>(static_cast<ballast::internal::uint128>(random) * n >> 64);
}

double weight_at(std::uint64_t seed, std::uint64_t i) {
  return 1.0 + static_cast<double>(scaled(draw(seed, i, kWeightStream), 255));
}

}  // namespace

const std::vector<std::string>& generator_kinds() {
  static const std::vector<std::string> kinds{"kron", "uniform", "road", "grid", "ba",
                                              "hub",  "zipf",    "star", "path", "complete"};
  return kinds;
}

Generator::Generator(const GenerateOptions& options)
    : options_(options),
      permutation_(std::uint64_t{1} << std::min<std::uint64_t>(options.scale, 31), options.seed) {
  cli::require_one_of("kind of graph", options.kind, generator_kinds());
  kind_ = static_cast<Kind>(std::find(generator_kinds().begin(), generator_kinds().end(), options.kind) -
                            generator_kinds().begin());
  if (options.scale > 31) throw InvalidInput("--scale", std::to_string(options.scale), "0 to 31");
  const std::uint64_t power = std::uint64_t{1} << options.scale;
  const std::uint64_t size = options.size > 0 ? options.size : power;
  switch (kind_) {
    case Kind::road:
    case Kind::grid:
      side_ = options.size > 0 ? options.size : std::uint64_t{1} << (options.scale / 2);
      if (side_ > 65535) throw InvalidInput("side of the grid", std::to_string(side_), "1 to 65535");
      vertices_ = side_ * side_;
      candidates_ = 2 * vertices_;
      break;
    case Kind::star:
    case Kind::path:
      vertices_ = size;
      candidates_ = size == 0 ? 0 : size - 1;
      break;
    case Kind::complete:
      if (size > (std::uint64_t{1} << 20))
        throw InvalidInput("complete graph", std::to_string(size), "at most 2^20 vertices");
      vertices_ = size;
      candidates_ = size * size;  // pairs (i / n, i mod n), of which those with i / n < i mod n are edges
      break;
    default:
      vertices_ = size;
      if (kind_ == Kind::kron && options.size > 0) throw InvalidInput("kron takes --scale, not --size");
      candidates_ = vertices_ * options.degree;
      if (kind_ == Kind::zipf) zipf_.emplace(vertices_, options.skew);
      break;
  }
  if (vertices_ > kMaxVertices)
    throw InvalidInput("vertices", std::to_string(vertices_), fmt::format("at most {}", kMaxVertices));
}

VertexId Generator::permuted(std::uint64_t v) const {
  return static_cast<VertexId>(options_.permute ? permutation_(v) : v);
}

Edge Generator::kron(std::uint64_t i) const {
  std::uint64_t source = 0, target = 0;
  for (std::uint64_t level = 0; level < options_.scale;) {
    const auto words = philox(options_.seed, i, kEndsStream << 32 | level);
    for (std::size_t w = 0; w < 4 && level < options_.scale; ++w, ++level) {
      const bool down = words[w] >= kAB, right = words[w] >= kA && (words[w] < kAB || words[w] >= kABC);
      source = source << 1 | static_cast<std::uint64_t>(down);
      target = target << 1 | static_cast<std::uint64_t>(right);
    }
  }
  return {permuted(source), permuted(target)};
}

// Edge i joins vertex i / degree to the vertex found by retracing: slot 2i holds the source of edge i, slot
// 2i + 1 a copy of an earlier slot chosen by hash.
Edge Generator::preferential(std::uint64_t i) const {
  std::uint64_t slot = 2 * i + 1;
  do {
    slot = scaled(draw(options_.seed, slot, kEndsStream), slot);
  } while (slot % 2 == 1);
  return {static_cast<VertexId>(i / options_.degree), static_cast<VertexId>(slot / 2 / options_.degree)};
}

bool Generator::grid(std::uint64_t i, Edge& edge, double& weight) const {
  const std::uint64_t v = i / 2, row = v / side_, column = v % side_;
  const bool down = i % 2 == 1;
  if (down ? row + 1 == side_ : column + 1 == side_) return false;
  const std::uint64_t u = down ? v + side_ : v + 1;
  edge = {static_cast<VertexId>(v), static_cast<VertexId>(u)};
  weight = 1;
  if (kind_ == Kind::grid) return true;
  const auto kept = philox(options_.seed, i, kKeepStream);
  if (kept[0] >= static_cast<std::uint32_t>(kStreetsKept * 4294967296.0)) return false;
  // Crossings move by up to 0.4 of a street in each direction.
  auto place = [&](std::uint64_t w) {
    const auto words = philox(options_.seed, w, kPlaceStream);
    return std::pair(static_cast<double>(w / side_) + 0.8 * (words[0] * 0x1p-32 - 0.5),
                     static_cast<double>(w % side_) + 0.8 * (words[1] * 0x1p-32 - 0.5));
  };
  const auto [y0, x0] = place(v);
  const auto [y1, x1] = place(u);
  weight = std::max(1.0, std::round(kStreetLength * std::hypot(y1 - y0, x1 - x0)));
  return true;
}

bool Generator::edge(std::uint64_t i, Edge& edge, double& weight) const {
  switch (kind_) {
    case Kind::road:
    case Kind::grid:
      return grid(i, edge, weight);
    case Kind::kron:
      edge = kron(i);
      break;
    case Kind::uniform: {
      const auto words = philox(options_.seed, i, kEndsStream);
      edge = {static_cast<VertexId>(std::uint64_t{words[0]} * vertices_ >> 32),
              static_cast<VertexId>(std::uint64_t{words[1]} * vertices_ >> 32)};
      break;
    }
    case Kind::ba:
      edge = preferential(i);
      break;
    case Kind::hub: {
      const auto words = philox(options_.seed, i, kEndsStream);
      const std::uint64_t sources = words[2] < 0x80000000u ? std::min(options_.hubs, vertices_) : vertices_;
      edge = {static_cast<VertexId>(std::uint64_t{words[0]} * sources >> 32),
              static_cast<VertexId>(std::uint64_t{words[1]} * vertices_ >> 32)};
      break;
    }
    case Kind::zipf: {
      // Ranks are scattered over 2^scale ids; with another --size the low ids are the hubs.
      std::uint64_t source = zipf_->at(options_.seed, kEndsStream, i);
      if (vertices_ == permutation_.size()) source = permuted(source);
      edge = {static_cast<VertexId>(source),
              static_cast<VertexId>(scaled(draw(options_.seed, i, kPlaceStream), vertices_))};
      break;
    }
    case Kind::star:
      edge = {0, static_cast<VertexId>(i + 1)};
      break;
    case Kind::path:
      edge = {static_cast<VertexId>(i), static_cast<VertexId>(i + 1)};
      break;
    case Kind::complete:
      edge = {static_cast<VertexId>(i / vertices_), static_cast<VertexId>(i % vertices_)};
      if (edge.source >= edge.target) return false;
      break;
  }
  weight = weight_at(options_.seed, i);
  return true;
}

EdgeList Generator::slice(std::uint64_t begin, std::uint64_t end) const {
  EdgeList list;
  list.vertices = vertices_;
  list.directed = options_.directed;
  const auto likely = kind_ == Kind::complete ? (end - begin) / 2 : end - begin;
  list.edges.reserve(likely);
  if (options_.weighted) list.weights.reserve(likely);
  Edge next;
  double weight = 1;
  for (std::uint64_t i = begin; i < end; ++i) {
    if ((i & 0xFFFFF) == 0) cli::stop_if_interrupted();
    if (!edge(i, next, weight)) continue;
    list.edges.push_back(next);
    if (options_.weighted) list.weights.push_back(weight);
  }
  return list;
}

void add_weights(EdgeList& list, std::uint64_t seed) {
  list.weights.resize(list.edges.size());
  for (std::size_t i = 0; i < list.edges.size(); ++i) list.weights[i] = weight_at(seed, i);
}

bool parse_generator(const std::string& word, GenerateOptions& options) {
  const auto colon = word.find(':');
  if (colon == std::string::npos) return false;
  const std::string kind = word.substr(0, colon);
  const auto& kinds = generator_kinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) return false;
  options.kind = kind;
  std::string rest = word.substr(colon + 1);
  const auto second = rest.find(':');
  if (second != std::string::npos) {
    options.degree = parse_count("degree", rest.substr(second + 1));
    rest.resize(second);
  }
  const bool sized =
      kind == "road" || kind == "grid" || kind == "star" || kind == "path" || kind == "complete";
  (sized ? options.size : options.scale) = parse_count(sized ? "size" : "scale", rest);
  if (sized && options.size == 0) throw InvalidInput("size of the graph", rest, "at least 1");
  return true;
}

}  // namespace ballast::graph
