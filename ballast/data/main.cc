#include "ballast/data/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("data", "readers, data sets and generators of the field's inputs");
  ballast::data::add_list(program);
  ballast::data::add_info(program);
  ballast::data::add_gen(program);
  ballast::data::add_bench(program);
  return program.main(argc, argv);
}
