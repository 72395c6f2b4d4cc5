#include "ballast/base/cli.h"
#include "ballast/graph/verbs/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("graph", "a distributed graph engine that skewed degrees cannot hurt");
  ballast::graph::add_gen(program);
  ballast::graph::add_convert(program);
  ballast::graph::add_info(program);
  ballast::graph::add_run(program);
  ballast::graph::add_validate(program);
  ballast::graph::add_graphalytics(program);
  ballast::graph::add_plan(program);
  ballast::graph::add_bench(program);
  ballast::graph::add_tour(program);
  return program.main(argc, argv);
}
