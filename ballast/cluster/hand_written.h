// What `cluster bench` compares the exchange over MPI with: MPI_Alltoallv called directly, as one would by
// hand.
#pragma once

#include <cstddef>

namespace ballast::cluster {

/// Seconds for one personalised all-to-all of `bytes` to every other rank from reused buffers, sizes agreed
/// by MPI_Alltoall before, checksums on neither side. Called by all ranks; MPI must be running.
double time_alltoallv(std::size_t bytes, int repeats);
/// A plain copy of `bytes` from one reused buffer to another.
double time_memcpy(std::size_t bytes, int repeats);

}  // namespace ballast::cluster
