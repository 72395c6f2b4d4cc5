// CombBLAS: breadth-first search as products of the transposed matrix with a sparse vector over (select2nd,
// max), PageRank as products with a dense vector over (plus, times), one thread a rank. See mpi_peer.h. Only
// a square number of ranks makes a grid.
#include <CombBLAS/CombBLAS.h>

#include "ballast/graph/peers/mpi_peer.h"

namespace {

using combblas::FullyDistSpVec;
using combblas::FullyDistVec;
using combblas::SpDCCols;
using combblas::SpParMat;
// Local indices of 32 bits, as the library's own search has them: its sparse product assumes them.
using Pattern = SpParMat<std::int64_t, bool, SpDCCols<std::int32_t, bool>>;
using Numbers = SpParMat<std::int64_t, double, SpDCCols<std::int64_t, double>>;

}  // namespace

int main(int argc, char** argv) {
  namespace peer = ballast::graph::peer;
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  {
    const peer::Arguments given = peer::arguments(argc, argv);
    int rank = 0, ranks = 1;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const auto n = static_cast<std::int64_t>(given.vertices);
    const auto grid = std::make_shared<combblas::CommGrid>(MPI_COMM_WORLD, 0, 0);
    std::vector<std::uint32_t> degree(given.vertices, 0);
    const auto all = peer::read_edges(given.path, [](std::size_t) { return true; });
    for (const auto& [u, v] : all) ++degree[u];
    const auto m = static_cast<std::int64_t>(all.size());
    FullyDistVec<std::int64_t, std::int64_t> rows(grid, m, 0), columns(grid, m, 0);
    for (std::int64_t i = 0, first = rows.LengthUntil(); i < rows.LocArrSize(); ++i) {
      rows.SetLocalElement(i, static_cast<std::int64_t>(all[static_cast<std::size_t>(first + i)].second));
      columns.SetLocalElement(i, static_cast<std::int64_t>(all[static_cast<std::size_t>(first + i)].first));
    }
    Numbers numbers(n, n, rows, columns, 1.0);
    Pattern pattern = numbers;
    combblas::OptBuf<std::int32_t, std::int64_t> buffers;
    if (ranks > 1) pattern.OptimizeForGraph500(buffers);  // its buffers fail on a single rank
    FullyDistVec<std::int64_t, double> scale(grid, n, 0);
    numbers.Reduce(scale, combblas::Column, std::plus<double>(), 0.0);
    scale.Apply([](double d) { return d == 0 ? 0 : 1 / d; });

    FullyDistVec<std::int64_t, std::int64_t> parents(grid, n, -1);
    const std::vector<double> bfs_seconds = peer::timed(given.rounds, [&] {
      parents = FullyDistVec<std::int64_t, std::int64_t>(grid, n, -1);
      FullyDistSpVec<std::int64_t, std::int64_t> fringe(grid, n);
      const auto source = static_cast<std::int64_t>(given.source);
      parents.SetElement(source, source);
      fringe.SetElement(source, source);
      while (fringe.getnnz() > 0) {
        fringe.setNumToInd();
        combblas::SpMV<combblas::SelectMaxSRing<bool, std::int64_t>>(pattern, fringe, fringe, true, buffers);
        fringe = combblas::EWiseMult(fringe, parents, true, std::int64_t{-1});
        parents.Set(fringe);
      }
    });
    const std::int64_t reached = parents.Count([](std::int64_t parent) { return parent != -1; });

    FullyDistVec<std::int64_t, double> ranks_of(grid, n, 0);
    std::int64_t empty = 0;
    for (std::uint32_t d : degree) empty += d == 0;
    const std::vector<double> pr_seconds = peer::timed(given.rounds, [&] {
      const double count = static_cast<double>(n);
      ranks_of = FullyDistVec<std::int64_t, double>(grid, n, 1 / count);
      // A vertex without edges has the same rank as all its like: what it gets each round.
      double sink = 1 / count;
      for (int iteration = 0; iteration < 10; ++iteration) {
        const double base = 0.15 / count + 0.85 * sink * static_cast<double>(empty) / count;
        ranks_of.EWiseApply(scale, std::multiplies<double>());
        ranks_of = combblas::SpMV<combblas::PlusTimesSRing<double, double>>(numbers, ranks_of);
        ranks_of.Apply([base](double sum) { return base + 0.85 * sum; });
        sink = base;
      }
    });
    const double squares = [&] {
      FullyDistVec<std::int64_t, double> copy = ranks_of;
      copy.Apply([](double value) { return value * value; });
      return copy.Reduce(std::plus<double>(), 0.0);
    }();
    const double largest = ranks_of.Reduce(combblas::maximum<double>(), 0.0);
    if (rank == 0)
      std::printf(
          "{\"version\":\"CombBLAS 1.6.2\",\"reached\":%lld,\"squares\":%.17g,\"largest\":%.17g,"
          "\"bfs\":%s,\"pr\":%s}\n",
          static_cast<long long>(reached), squares, largest, peer::as_json(bfs_seconds).c_str(),
          peer::as_json(pr_seconds).c_str());
  }
  MPI_Finalize();
}
