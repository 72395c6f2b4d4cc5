#include "ballast/codesign/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("codesign",
                                "networks and their mapping for NPU and compute-in-memory devices");
  ballast::codesign::add_estimate(program);
  ballast::codesign::add_map(program);
  ballast::codesign::add_compare(program);
  ballast::codesign::add_sweep(program);
  ballast::codesign::add_calibrate(program);
  ballast::codesign::add_space(program);
  ballast::codesign::add_train(program);
  ballast::codesign::add_eval(program);
  ballast::codesign::add_search(program);
  ballast::codesign::add_deploy(program);
  ballast::codesign::add_bench(program);
  ballast::codesign::add_tour(program);
  return program.main(argc, argv);
}
