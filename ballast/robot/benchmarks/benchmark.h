// The benchmark set: each benchmark is a graph, its input, its implementations and a functional check; an
// output that is wrong voids the timing. Ids follow RobotPerf (a perception, b localization, c control, d
// manipulation, ...).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ballast/robot/harness/black_box.h"
#include "ballast/robot/harness/graph_file.h"

namespace ballast::robot {

/// How large the input is: `test` takes seconds, `bench` is what results are reported for.
enum class Size { test, bench };

struct Input {
  std::vector<Stream> streams;
  std::string description;             ///< "13 grey images 640x480, opencv-doc left01..14"
  bool synthetic = false;              ///< generated, not recorded
  std::vector<ros::Bytes> truth = {};  ///< what a check compares with, serialized: disparities, corners
};

struct Check {
  bool passed = false;
  std::string what;  ///< "largest RMS difference to the analytic rectification, grey levels"
  double value = 0, limit = 0;
};

struct Benchmark {
  std::string id, name, category, what;
  std::vector<double> rates_hz;              ///< those that RobotPerf publishes
  std::vector<std::string> slots;            ///< the first is the reference
  std::vector<std::string> file_slots = {};  ///< further ones that take a file: "network" for network:FILE
  std::function<GraphSpec(const std::string& slot)> graph;
  std::function<Input(Size, std::uint64_t seed)> input;
  /// Judges the outputs kept by a run over the input: `outputs[k]` answers the frame group `frames[k]`.
  std::function<Check(const Input&, const std::string& slot, const std::vector<ros::Bytes>& outputs,
                      const std::vector<std::size_t>& frames)>
      check;
  double upper_hz = 2000;         ///< of the peak search
  std::size_t check_frames = 10;  ///< of the functional check, at 20 Hz
};

const std::vector<Benchmark>& benchmarks();
/// Throws InvalidInput naming the nearest id.
const Benchmark& find_benchmark(const std::string& id);

/// A graph of one node with one input and one output of these names; the node's remaps are added.
GraphSpec one_node(const std::string& id, const std::string& in, const std::string& in_type,
                   const std::string& out, const std::string& out_type, NodeSpec node);

std::vector<Benchmark> perception_benchmarks();
std::vector<Benchmark> depth_benchmarks();
std::vector<Benchmark> motion_benchmarks();
std::vector<Benchmark> frame_benchmarks();
std::vector<Benchmark> classify_benchmarks();
std::vector<Benchmark> localization_benchmarks();
std::vector<Benchmark> avoidance_benchmarks();
/// m2 to m7: the transforms of m1 beside each of d1 to d6.
std::vector<Benchmark> loaded_transform_benchmarks();

}  // namespace ballast::robot
