// The black-box method: playback and monitor around an unmodified system, over DDS.
//
//   BlackBox test(context, streams, monitors);
//   test.wait_ready(sut, 20s);                     // on discovery, never on a fixed sleep
//   Run run = test.run({.rate_hz = 30}, 300);      // 300 frame groups at 30 Hz
//   run.analyses[0].corrected.p99_ms
//
// Messages lie serialized in memory before the run; the measured path allocates nothing of its own.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "ballast/robot/harness/accounting.h"
#include "ballast/robot/harness/energy.h"
#include "ballast/robot/harness/graph_file.h"
#include "ballast/robot/harness/resources.h"
#include "ballast/robot/harness/schedule.h"
#include "ballast/robot/harness/sut.h"
#include "ballast/robot/wire/graph_cache.h"

namespace ballast::robot {

/// One input topic with its buffered messages. All streams of a test have as many; message k of all of them
/// form a frame group, sent in the order of the streams with one stamp.
struct Stream {
  TopicSpec topic;
  std::vector<ros::Bytes> messages;
  bool stamped = true;  ///< set header.stamp to the key before sending
  bool once = false;    ///< sent once before the run (maps, static transforms), transient-local
  std::string key_path =
      {};  ///< an integer field that gets the number of the message, for outputs with key user:PATH
};

struct RunOptions {
  ArrivalOptions arrival = {};
  std::size_t count = 150;  ///< frame groups
  Playback playback = Playback::looping;
  std::uint64_t seed = 1;
  double deadline_ms = 0;
  std::size_t keep_outputs = 0;  ///< payloads of so many outputs a monitor are kept, for functional checks
};

struct Run {
  ArrivalOptions arrival;
  std::vector<Analysis> analyses;  ///< one a monitor
  std::vector<Sent> sent;
  std::vector<std::vector<Received>> received;
  std::vector<std::vector<ros::Bytes>> outputs;  ///< kept payloads, one list a monitor
  std::vector<std::vector<std::int64_t>> output_keys;
  ResourceUse resources;
  EnergyUse energy;                  ///< of the whole machine during the run, or why nothing is known
  std::vector<std::string> invalid;  ///< the broken run rules; empty: valid
  double duration_s = 0;
  const Analysis& analysis() const { return analyses.at(0); }
  bool valid() const { return invalid.empty(); }
};

/// The run rules of docs/robot.md, "Validity"; pure.
std::vector<std::string> broken_rules(const Analysis& analysis, const ArrivalOptions& arrival,
                                      const ResourceUse& resources, std::int64_t realtime_step_ns);

class BlackBox {
 public:
  /// Throws InvalidInput: streams of different lengths, a stamp key on a type without a header, messages that
  /// would take more than half of the free memory.
  BlackBox(ros::Context& context, std::vector<Stream> streams, std::vector<TopicSpec> monitors);
  ~BlackBox();

  /// Until every input has a reader and every output a writer that match ours. Throws Unavailable naming the
  /// mismatch, or how the system ended.
  void wait_ready(Sut& sut, std::chrono::milliseconds limit);

  Run run(const RunOptions& options, Sut& sut);

  const std::vector<Stream>& streams() const { return streams_; }
  const std::vector<TopicSpec>& monitors() const { return monitor_specs_; }

 private:
  class Monitor;
  ros::Context& context_;
  std::vector<Stream> streams_;
  std::vector<TopicSpec> monitor_specs_;
  std::vector<std::unique_ptr<ros::RawPublisher>> publishers_;
  std::vector<std::unique_ptr<Monitor>> monitors_;
  ros::GraphCache cache_;
  EnergyMeter energy_;
  bool once_sent_ = false;
};

}  // namespace ballast::robot
