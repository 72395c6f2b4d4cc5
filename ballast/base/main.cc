#include "ballast/base/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program(
      "base", "what every component stands on: histograms and the cost of the tools themselves");
  ballast::add_histogram_verb(program);
  ballast::add_bench_verb(program);
  return program.main(argc, argv);
}
