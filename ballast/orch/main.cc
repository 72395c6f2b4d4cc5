#include "ballast/orch/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("orch",
                                "bring skewed batches of tasks and their data together with level load");
  ballast::orch::add_bench(program);
  ballast::orch::add_explain(program);
  ballast::orch::add_plan(program);
  ballast::orch::add_trace(program);
  ballast::orch::add_tour(program);
  return program.main(argc, argv);
}
