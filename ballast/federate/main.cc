#include "ballast/federate/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program(
      "federate", "federated learning when concepts drift at different times in different places");
  ballast::federate::add_sim(program);
  ballast::federate::add_detect(program);
  ballast::federate::add_pattern(program);
  ballast::federate::add_privacy(program);
  ballast::federate::add_serve(program);
  ballast::federate::add_client(program);
  ballast::federate::add_token(program);
  ballast::federate::add_status(program);
  ballast::federate::add_drain(program);
  ballast::federate::add_release(program);
  ballast::federate::add_predict(program);
  ballast::federate::add_export(program);
  ballast::federate::add_report(program);
  ballast::federate::add_plan(program);
  ballast::federate::add_bench(program);
  ballast::federate::add_tour(program);
  return program.main(argc, argv);
}
