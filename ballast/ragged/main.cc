#include <cstdlib>
#include <string>

#include "ballast/ragged/peers/library_products.h"
#include "ballast/ragged/verbs.h"

int main(int argc, char** argv) {
  // Only benchmarks call it; the probe of its core types is a run of this program too.
  if (std::getenv("BALLAST_OPENBLAS_PROBE") || (argc > 1 && std::string(argv[1]) == "bench"))
    ballast::ragged::prefer_best_openblas_core(argv);
  ballast::cli::Program program("ragged",
                                "a compiler for ragged tensors: computes what is there, not the padding");
  ballast::ragged::add_run(program);
  ballast::ragged::add_compile(program);
  ballast::ragged::add_lengths(program);
  ballast::ragged::add_flops(program);
  ballast::ragged::add_bench(program);
  ballast::ragged::add_tune(program);
  ballast::ragged::add_tour(program);
  return program.main(argc, argv);
}
