#include "ballast/robot/verbs/run_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/bag.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::robot {
namespace {

/// Whether the first field is a std_msgs/Header, that is: whether a stamp can be the key.
bool begins_with_header(const std::string& type) {
  const auto* description = ros::TypeLibrary::standard().find(type);
  return description && !description->fields.empty() &&
         description->fields[0].type.nested == "std_msgs/msg/Header";
}

std::vector<ros::Bytes> generated_messages(const std::string& type, std::uint64_t seed) {
  for (const auto& benchmark : benchmarks()) {
    const auto graph = benchmark.graph(benchmark.slots.front());
    const bool has = std::any_of(graph.inputs.begin(), graph.inputs.end(),
                                 [&](const TopicSpec& topic) { return topic.type == type; });
    if (!has) continue;
    for (auto& stream : benchmark.input(Size::test, seed).streams)
      if (stream.topic.type == type) return stream.messages;
  }
  throw InvalidInput(fmt::format("nothing generates {}: give the input with --bag", type));
}

std::vector<ros::Bytes> bag_messages(const GraphRunOptions& options, const TopicSpec& topic) {
  std::string wanted = topic.topic;
  for (const auto& map : options.maps) {
    const auto mark = map.find(":=");
    if (mark == std::string::npos) throw InvalidInput("--map", map, "BAG_TOPIC:=GRAPH_TOPIC");
    if (map.substr(mark + 2) == topic.topic) wanted = map.substr(0, mark);
  }
  const auto bag = bag::open(options.bag);
  const auto index = bag->topic_index(wanted);
  if (bag->topics()[index].type != topic.type)
    throw InvalidInput(fmt::format("topic {} of {}", wanted, options.bag), bag->topics()[index].type,
                       topic.type);
  std::vector<ros::Bytes> messages;
  while (const auto message = bag->next()) {
    if (message->topic != index) continue;
    messages.emplace_back(message->data.begin(), message->data.end());
    if (messages.size() == options.buffer) break;
  }
  if (messages.empty()) throw InvalidInput(fmt::format("{} has no message of {}", options.bag, wanted));
  return messages;
}

}  // namespace

std::vector<Stream> streams_for(const GraphSpec& graph, const GraphRunOptions& options, std::uint64_t seed) {
  std::vector<Stream> streams;
  std::size_t frames = SIZE_MAX;
  for (const auto& topic : graph.inputs) {
    Stream stream{.topic = topic,
                  .messages = options.bag.empty() ? generated_messages(topic.type, seed)
                                                  : bag_messages(options, topic)};
    stream.once = topic.qos.durability == ros::Durability::transient_local;
    stream.stamped = begins_with_header(topic.type);
    if (stream.once) {
      stream.messages.resize(1);
    } else if (stream.messages.size() > 1) {
      frames = std::min(frames, stream.messages.size());
    }
    streams.push_back(std::move(stream));
  }
  if (frames == SIZE_MAX) frames = 1;
  // A frame group has one message of each topic: a single one (a calibration) stands beside all of the
  // others.
  for (auto& stream : streams) {
    if (stream.once) continue;
    const auto one = stream.messages.size();
    for (std::size_t i = one; i < frames; ++i) stream.messages.push_back(stream.messages[i % one]);
    stream.messages.resize(frames);
  }
  return streams;
}

SessionResult run_graph_file(const GraphRunOptions& options, const SessionOptions& session) {
  GraphSpec graph = read_graph(options.graph_file);
  if (!options.command.empty()) {
    graph.nodes.clear();
    graph.command = {"/bin/sh", "-c", options.command};
  }
  if (!session.executor.empty()) graph.executor = session.executor;
  auto streams = streams_for(graph, options, session.seed);
  auto result = run_graph_session(graph, std::move(streams), session);
  result.input = options.bag.empty() ? "generated messages" : options.bag;
  result.synthetic = options.bag.empty();
  return result;
}

}  // namespace ballast::robot
