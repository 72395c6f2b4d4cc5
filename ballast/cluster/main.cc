#include "ballast/cluster/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("cluster",
                                "machines, exchange and exact accounting under the distributed components");
  ballast::cluster::add_info(program);
  ballast::cluster::add_ping(program);
  ballast::cluster::add_bench(program);
  return program.main(argc, argv);
}
