// Who answered what: publications linked to the callbacks that they woke, and callbacks to what they
// published, from the tracepoints alone (as tracetools_analysis' message flow). A path is one message's way
// through the graph.
//
//   transport   publish -> take (or, within a process, publish -> out of the ring buffer)
//   waiting     take -> callback start
//   execution   callback start -> the publication that goes on, or the callback's end at the last node
//
// The three parts of all hops of a path add up to its total exactly.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/robot/harness/accounting.h"
#include "ballast/robot/trace/event.h"

namespace ballast::trace {

/// What exists: from the initialisation events; handles are addresses and count only with their process.
struct Ros2Model {
  using Handle = std::pair<std::uint64_t, std::uint64_t>;  ///< process, address
  struct Endpoint {
    std::string node, topic;
    std::uint64_t queue_depth = 0;
  };
  std::map<Handle, std::string> nodes;                      ///< by node_handle: full names
  std::map<Handle, Endpoint> publishers, publishers_rmw;    ///< by rcl's and by rmw's handle
  std::map<Handle, Endpoint> subscriptions_rmw, callbacks;  ///< by rmw's handle, and by callback
  std::map<Handle, Endpoint> buffers;                       ///< ring buffers of intra-process hand-over
  std::map<Handle, std::int64_t> timer_callbacks;           ///< callback -> period, ns
  std::map<Handle, std::string> services;                   ///< callback -> service name
};
Ros2Model build_model(const Trace& trace);

struct FlowHop {
  std::string topic, from, to;  ///< node names; `from` empty when the publisher is not in the trace
  std::int64_t publish_ns = 0, take_ns = 0, start_ns = 0,
               end_ns = 0;  ///< end: next publication or callback end
};

struct FlowPath {
  std::vector<FlowHop> hops;
  std::int64_t total_ns() const { return hops.back().end_ns - hops.front().publish_ns; }
};

struct FlowEdge {
  std::size_t messages = 0;
  robot::LatencySummary transport, waiting, execution;
};

struct MessageFlow {
  std::vector<FlowPath> paths;  ///< every one from a first publication to a callback that publishes no more
  std::map<std::string, FlowEdge> edges;  ///< "from -> topic -> to"
  std::map<std::string, std::size_t>
      overwritten;  ///< topic -> messages that newer ones pushed out of a buffer
  std::map<std::string, std::size_t>
      not_taken;  ///< topic -> publications to a subscription here, never taken
  std::size_t publications = 0, unlinked_callbacks = 0;  ///< callbacks of subscriptions without a known cause
};
MessageFlow analyse_flow(const Trace& trace);

/// Paths grouped by their nodes: count, total and the share of each part; the critical path is the slowest
/// group.
Json to_json(const MessageFlow& flow);

}  // namespace ballast::trace
