// `ballast robot`: benchmarks of robotics computing on ROS 2 graphs, with no ROS 2 installed.
#include "ballast/base/cli.h"
#include "ballast/robot/verbs/verbs.h"

int main(int argc, char** argv) {
  ballast::cli::Program program("robot", "vendor-neutral benchmarks of ROS 2 computing");
  ballast::robot::add_list(program);
  ballast::robot::add_run(program);
  ballast::robot::add_search(program);
  ballast::robot::add_graph(program);
  ballast::robot::add_echo(program);
  ballast::robot::add_hz(program);
  ballast::robot::add_play(program);
  ballast::robot::add_record(program);
  ballast::robot::add_gen(program);
  ballast::robot::add_bag(program);
  ballast::robot::add_trace(program);
  ballast::robot::add_ping(program);
  ballast::robot::add_bench(program);
  ballast::robot::add_results(program);
  ballast::robot::add_component_host(program);
  ballast::robot::add_tour(program);
  return program.main(argc, argv);
}
