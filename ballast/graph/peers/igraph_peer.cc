#include "ballast/graph/peers/library_peer.h"

#include <igraph.h>

#include "ballast/base/errors.h"

namespace ballast::graph {
namespace {

void must(igraph_error_t code) {
  if (code != IGRAPH_SUCCESS) throw Unavailable(std::string("igraph failed: ") + igraph_strerror(code));
}

class Vector {
 public:
  Vector() { must(igraph_vector_init(&values, 0)); }
  ~Vector() { igraph_vector_destroy(&values); }
  igraph_vector_t values;
};
class Integers {
 public:
  explicit Integers(igraph_integer_t size = 0) { must(igraph_vector_int_init(&values, size)); }
  ~Integers() { igraph_vector_int_destroy(&values); }
  igraph_vector_int_t values;
};

class Igraph : public LibraryPeer {
 public:
  explicit Igraph(const EdgeList& list) {
    Integers ends(static_cast<igraph_integer_t>(2 * list.edges.size()));
    for (std::size_t i = 0; i < list.edges.size(); ++i) {
      VECTOR(ends.values)[2 * i] = list.edges[i].source;
      VECTOR(ends.values)[2 * i + 1] = list.edges[i].target;
    }
    must(igraph_create(&graph_, &ends.values, static_cast<igraph_integer_t>(list.vertices), list.directed));
  }
  ~Igraph() override { igraph_destroy(&graph_); }

  std::string version() const override {
    const char* text = nullptr;
    igraph_version(&text, nullptr, nullptr, nullptr);
    return text;
  }
  std::optional<double> reached_by_bfs(VertexId source) override {
    Integers order, layers, parents;
    must(igraph_bfs_simple(&graph_, source, IGRAPH_OUT, &order.values, &layers.values, &parents.values));
    return static_cast<double>(igraph_vector_int_size(&order.values));
  }
  std::optional<double> components() override {
    Integers membership;
    igraph_integer_t count = 0;
    must(igraph_connected_components(&graph_, &membership.values, nullptr, &count, IGRAPH_WEAK));
    return static_cast<double>(count);
  }
  std::optional<std::vector<double>> pagerank(double damping) override {
    Vector ranks;
    must(igraph_pagerank(&graph_, IGRAPH_PAGERANK_ALGO_PRPACK, &ranks.values, nullptr, igraph_vss_all(),
                         IGRAPH_DIRECTED, damping, nullptr, nullptr));
    const igraph_integer_t size = igraph_vector_size(&ranks.values);
    return std::vector<double>(VECTOR(ranks.values), VECTOR(ranks.values) + size);
  }

 private:
  igraph_t graph_;
};

}  // namespace

std::unique_ptr<LibraryPeer> make_igraph(const EdgeList& list) {
  return std::make_unique<Igraph>(list);
}

}  // namespace ballast::graph
