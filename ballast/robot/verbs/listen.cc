#include "ballast/robot/verbs/listen.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"

namespace ballast::robot {

Found find_topic(ros::Context& context, const std::string& topic, std::chrono::milliseconds limit) {
  ros::check_full_name(topic);
  ros::GraphCache cache(context);
  if (!cache.wait_until([&](const ros::Graph& graph) { return !graph.writers(topic).empty(); }, limit))
    throw Unavailable(ros::explain_mismatch(cache.snapshot(), topic, "", {}, true) +
                      fmt::format("; waited {} s", std::chrono::duration<double>(limit).count()));
  const auto graph = cache.snapshot();
  const auto writers = graph.writers(topic);
  // BEST_AVAILABLE: reliable and transient-local only if all publishers are.
  Found found{writers[0]->type, {}, ros::vendor_name(writers[0]->guid)};
  found.qos.durability = ros::Durability::transient_local;
  found.qos.depth = 100;
  for (const auto* writer : writers) {
    if (writer->type != found.type)
      throw Unavailable(
          fmt::format("topic {} has publishers of two types: {} and {}", topic, found.type, writer->type));
    if (writer->qos.reliability == ros::Reliability::best_effort)
      found.qos.reliability = ros::Reliability::best_effort;
    if (writer->qos.durability == ros::Durability::volatile_)
      found.qos.durability = ros::Durability::volatile_;
  }
  return found;
}

}  // namespace ballast::robot
