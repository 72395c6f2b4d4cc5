#include "ballast/data/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("data", "readers, data sets and generators of the field's inputs");
  ballast::data::add_list(program);
  return program.main(argc, argv);
}
