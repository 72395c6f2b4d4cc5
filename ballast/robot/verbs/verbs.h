// The verbs of `ballast robot`, one file each.
#pragma once

#include <memory>
#include <string>

#include "ballast/base/cli.h"
#include "ballast/robot/wire/dds.h"

namespace ballast::robot {

void add_graph(cli::Program& program);
void add_echo(cli::Program& program);
void add_hz(cli::Program& program);
void add_list(cli::Program& program);
void add_run(cli::Program& program);
void add_results(cli::Program& program);
void add_bench(cli::Program& program);
void add_bag(cli::Program& program);
void add_play(cli::Program& program);
void add_record(cli::Program& program);
void add_component_host(cli::Program& program);
void add_gen(cli::Program& program);
void add_search(cli::Program& program);
void add_trace(cli::Program& program);
void add_ping(cli::Program& program);
void add_tour(cli::Program& program);

/// --domain, --range, --dialect, as every verb that speaks DDS takes them; defaults from the environment.
struct DomainFlags {
  int domain = -1;
  std::string range, dialect = "iron+";
  ros::ContextOptions options() const;
};
std::shared_ptr<DomainFlags> add_domain_flags(cli::Verb& verb);

}  // namespace ballast::robot
