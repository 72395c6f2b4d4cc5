#include "ballast/kv/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("kv", "a partitioned key-value store that hot keys cannot hurt");
  ballast::kv::add_serve(program);
  ballast::kv::add_bench(program);
  ballast::kv::add_plan(program);
  ballast::kv::add_tour(program);
  return program.main(argc, argv);
}
