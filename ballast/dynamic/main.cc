#include "ballast/dynamic/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("dynamic", "automatic batching of dynamic neural networks");
  ballast::dynamic::add_schedule(program);
  ballast::dynamic::add_gen(program);
  ballast::dynamic::add_train_policy(program);
  ballast::dynamic::add_check(program);
  ballast::dynamic::add_compile(program);
  ballast::dynamic::add_run(program);
  ballast::dynamic::add_inspect(program);
  ballast::dynamic::add_plan(program);
  ballast::dynamic::add_train(program);
  ballast::dynamic::add_bench(program);
  ballast::dynamic::add_tour(program);
  return program.main(argc, argv);
}
