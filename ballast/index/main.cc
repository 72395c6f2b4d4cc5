#include "ballast/index/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("index", "an ordered index that skew cannot slow");
  ballast::index::add_explain(program);
  ballast::index::add_run(program);
  ballast::index::add_files(program);
  ballast::index::add_model(program);
  ballast::index::add_plan(program);
  ballast::index::add_soak(program);
  ballast::index::add_bench(program);
  ballast::index::add_tour(program);
  return program.main(argc, argv);
}
