#include "ballast/cost/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program(
      "cost", "models of what work costs, fitted and asked; schedules of tasks over resources");
  ballast::cost::add_fit(program);
  ballast::cost::add_predict(program);
  ballast::cost::add_timeline(program);
  ballast::cost::add_bench(program);
  return program.main(argc, argv);
}
