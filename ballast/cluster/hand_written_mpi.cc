#include <mpi.h>

#include <chrono>
#include <vector>

#include "ballast/cluster/hand_written.h"

namespace ballast::cluster {

double time_alltoallv(std::size_t bytes, int repeats) {
  int ranks = 1, rank = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  const auto n = static_cast<std::size_t>(ranks);
  std::vector<char> send(bytes * n, 'a'), receive(bytes * n);
  std::vector<int> counts(n, static_cast<int>(bytes)), places(n), theirs(n);
  counts[static_cast<std::size_t>(rank)] = 0;
  for (std::size_t r = 0; r < n; ++r) places[r] = static_cast<int>(r * bytes);
  MPI_Barrier(MPI_COMM_WORLD);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) {
    MPI_Alltoall(counts.data(), 1, MPI_INT, theirs.data(), 1, MPI_INT, MPI_COMM_WORLD);
    MPI_Alltoallv(send.data(), counts.data(), places.data(), MPI_CHAR, receive.data(), theirs.data(),
                  places.data(), MPI_CHAR, MPI_COMM_WORLD);
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

}  // namespace ballast::cluster
