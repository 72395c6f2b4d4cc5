// Parallel BGL: breadth-first search over its distributed compressed_sparse_row_graph, PageRank over its
// bidirectional adjacency_list (which that algorithm asks for). See mpi_peer.h.
#include <boost/graph/use_mpi.hpp>
// The order of these includes is the library's.
#include <boost/graph/breadth_first_search.hpp>
#include <boost/graph/distributed/adjacency_list.hpp>
#include <boost/graph/distributed/breadth_first_search.hpp>
#include <boost/graph/distributed/compressed_sparse_row_graph.hpp>
#include <boost/graph/distributed/mpi_process_group.hpp>
#include <boost/graph/distributed/page_rank.hpp>
#include <boost/graph/iteration_macros.hpp>
#include <boost/graph/parallel/distribution.hpp>
#include <boost/version.hpp>
#include <limits>

#include "ballast/graph/peers/mpi_peer.h"

namespace {

using boost::graph::distributed::mpi_process_group;
using Rows = boost::compressed_sparse_row_graph<boost::directedS, boost::no_property, boost::no_property,
                                                boost::no_property, boost::distributedS<mpi_process_group>>;
using Lists = boost::adjacency_list<boost::vecS, boost::distributedS<mpi_process_group, boost::vecS>,
                                    boost::bidirectionalS>;
constexpr std::size_t kFar = std::numeric_limits<std::size_t>::max();

template <typename Graph, typename Value>
using Values =
    boost::iterator_property_map<typename std::vector<Value>::iterator,
                                 typename boost::property_map<Graph, boost::vertex_index_t>::const_type>;

}  // namespace

int main(int argc, char** argv) {
  namespace peer = ballast::graph::peer;
  const boost::mpi::environment environment(argc, argv);
  const peer::Arguments given = peer::arguments(argc, argv);
  const mpi_process_group group;
  const boost::parallel::block blocks(group, given.vertices);
  const auto edges = peer::read_edges(
      given.path, [&](std::size_t v) { return static_cast<int>(blocks(v)) == process_id(group); });

  std::uint64_t reached = 0;
  std::vector<double> bfs_seconds, pr_seconds;
  {
    const Rows graph(boost::edges_are_unsorted_multi_pass, edges.begin(), edges.end(), given.vertices, group,
                     blocks);
    std::vector<std::size_t> level(num_vertices(graph));
    bfs_seconds = peer::timed(given.rounds, [&] {
      std::fill(level.begin(), level.end(), kFar);
      Values<Rows, std::size_t> map(level.begin(), get(boost::vertex_index, graph));
      const auto start = vertex(given.source, graph);
      if (static_cast<int>(blocks(given.source)) == process_id(group)) put(map, start, 0);
      breadth_first_search(
          graph, start,
          boost::visitor(boost::make_bfs_visitor(boost::record_distances(map, boost::on_tree_edge()))));
      synchronize(group);
    });
    for (std::size_t value : level) reached += value != kFar;
    reached = peer::total(reached, MPI_UINT64_T);
  }
  double squares = 0, largest = 0;
  {
    const Lists graph(edges.begin(), edges.end(), given.vertices, group, blocks);
    std::vector<double> rank(num_vertices(graph));
    pr_seconds = peer::timed(given.rounds, [&] {
      Values<Lists, double> map(rank.begin(), get(boost::vertex_index, graph));
      boost::graph::page_rank(graph, map, boost::graph::n_iterations(10), 0.85, given.vertices);
    });
    for (double value : rank) {
      squares += value * value;
      largest = std::max(largest, value);
    }
    squares = peer::total(squares, MPI_DOUBLE);
    largest = peer::total(largest, MPI_DOUBLE, MPI_MAX);
  }
  if (process_id(group) == 0)
    std::printf(
        "{\"version\":\"Boost %d.%d\",\"reached\":%llu,\"squares\":%.17g,"
        "\"largest\":%.17g,\"bfs\":%s,\"pr\":%s}\n",
        BOOST_VERSION / 100000, BOOST_VERSION / 100 % 1000, static_cast<unsigned long long>(reached), squares,
        largest, peer::as_json(bfs_seconds).c_str(), peer::as_json(pr_seconds).c_str());
}
