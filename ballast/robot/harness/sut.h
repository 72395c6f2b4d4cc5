// A system under test as child processes: our component hosts, or any command. They die with the harness.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "ballast/robot/harness/graph_file.h"

namespace ballast::robot {

class Sut {
 public:
  /// One child with this command line; ROS_DOMAIN_ID and the localhost range are set in its environment. Its
  /// standard output and error go to `log_file` (empty: discarded).
  static Sut command(const std::vector<std::string>& words, std::uint32_t domain,
                     const std::string& log_file = {}, const std::vector<std::string>& environment = {});
  /// The graph's own command, or component hosts of this program for its nodes (one, or one a node).
  static Sut graph(const GraphSpec& graph, std::uint32_t domain, const std::string& folder,
                   const std::vector<std::string>& host_flags = {});
  /// Nothing to start: the system runs elsewhere.
  static Sut external() { return Sut(); }

  Sut(Sut&& other) noexcept;
  Sut& operator=(Sut&& other) noexcept;
  ~Sut();

  const std::vector<pid_t>& pids() const { return pids_; }
  /// What became of a child that has ended ("ballast-robot component-host ended with exit code 2: ..."), or
  /// nullopt while all run.
  std::optional<std::string> ended();
  /// SIGTERM, then SIGKILL after five seconds.
  void stop();

 private:
  Sut() = default;
  std::vector<pid_t> pids_;
  std::vector<std::string> names_, logs_;
};

/// The path of this program, which is also the component host.
std::string own_program();

}  // namespace ballast::robot
