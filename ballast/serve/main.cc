#include "ballast/serve/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("serve",
                                "an OpenAI-compatible server that keeps per-request latency promises");
  ballast::serve::add_start(program);
  ballast::serve::add_router(program);
  ballast::serve::add_profile(program);
  ballast::serve::add_sim(program);
  ballast::serve::add_capacity(program);
  ballast::serve::add_plan(program);
  ballast::serve::add_bench(program);
  ballast::serve::add_load(program);
  ballast::serve::add_tour(program);
  return program.main(argc, argv);
}
