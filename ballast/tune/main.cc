#include "ballast/tune/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("tune", "full-parameter fine-tuning beyond device memory");
  ballast::tune::add_plan(program);
  ballast::tune::add_run(program);
  ballast::tune::add_calibrate(program);
  ballast::tune::add_export(program);
  ballast::tune::add_eval(program);
  ballast::tune::add_data(program);
  ballast::tune::add_bench(program);
  ballast::tune::add_tour(program);
  return program.main(argc, argv);
}
