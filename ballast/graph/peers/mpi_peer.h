// What the competitors over MPI share: each is a program of its own, started by the benchmark under mpirun,
//
//   mpirun -n RANKS ballast-graph-peer-NAME EDGES VERTICES SOURCE ROUNDS
//
// with EDGES a file of little-endian pairs of 32-bit ids, both directions of an undirected edge in it. It
// prints one JSON object: reached vertices, the largest rank and the sum of squares of ranks, and the seconds
// of each round (of the slowest rank).
#pragma once

#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace ballast::graph::peer {

struct Arguments {
  std::string path;
  std::uint64_t vertices = 0, source = 0;
  int rounds = 1;
};
inline Arguments arguments(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s EDGES VERTICES SOURCE ROUNDS\n", argv[0]);
    std::exit(2);
  }
  return {argv[1], std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10),
          std::atoi(argv[4])};
}

/// The edges for which keep(source) is true.
inline std::vector<std::pair<std::size_t, std::size_t>> read_edges(
    const std::string& path, const std::function<bool(std::size_t)>& keep) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::pair<std::size_t, std::size_t>> edges;
  for (std::uint32_t ends[2]; file.read(reinterpret_cast<char*>(ends), sizeof ends);) {
    if (keep(ends[0])) edges.emplace_back(ends[0], ends[1]);
  }
  return edges;
}

/// Seconds of each of `rounds` runs after one to warm up, of the slowest rank.
inline std::vector<double> timed(int rounds, const std::function<void()>& run) {
  std::vector<double> seconds;
  for (int round = -1; round < rounds; ++round) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    run();
    double mine = MPI_Wtime() - start, slowest = 0;
    MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    if (round >= 0) seconds.push_back(slowest);
  }
  return seconds;
}

template <typename T>
T total(T mine, MPI_Datatype type, MPI_Op op = MPI_SUM) {
  T all{};
  MPI_Allreduce(&mine, &all, 1, type, op, MPI_COMM_WORLD);
  return all;
}

inline std::string as_json(const std::vector<double>& values) {
  std::string text = "[";
  for (double value : values) text += (text.size() > 1 ? "," : "") + std::to_string(value);
  return text + "]";
}

}  // namespace ballast::graph::peer
