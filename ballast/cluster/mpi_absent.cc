// Stands in for mpi_transport.cc where no MPI was found at configure time.
#include "ballast/cluster/transport.h"

namespace ballast::cluster {

bool built_with_mpi() {
  return false;
}

std::string describe_mpi() {
  return "none: built without MPI (install libopenmpi-dev and configure again)";
}

std::unique_ptr<Transport> make_mpi_transport(int, double) {
  throw Unavailable(
      "--transport mpi: Ballast was built without MPI; install libopenmpi-dev and openmpi-bin "
      "(setup/setup.sh) "
      "and configure again");
}

}  // namespace ballast::cluster
