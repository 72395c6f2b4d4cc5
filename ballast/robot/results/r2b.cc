#include "ballast/base/errors.h"
#include "ballast/robot/results/published.h"

namespace ballast::robot {

PublishedSet parse_r2b(const Json& document, const std::string& file) {
  const std::string prefix = "BasicPerformanceMetrics.";
  if (!document.is_object() || !document.contains("metadata") ||
      !document.contains(prefix + "MEAN_FRAME_RATE"))
    throw InvalidInput(file + " is no result of ros2_benchmark: metadata or " + prefix +
                       "MEAN_FRAME_RATE is missing");
  const Json& metadata = document.at("metadata");
  const auto text = [&](const char* key) {
    const std::string name = std::string("BenchmarkMetadata.") + key;
    return metadata.contains(name) && metadata.at(name).is_string() ? metadata.at(name).get<std::string>()
                                                                    : "";
  };
  PublishedSet set{text("NAME"), text("NAME"), text("INPUT_DATA_PATH"), {}};
  const auto add = [&](const Json& metrics, const std::string& at) {
    const auto number = [&](const std::string& key) -> std::optional<double> {
      const std::string name = prefix + key;
      if (!metrics.contains(name) || !metrics.at(name).is_number()) return std::nullopt;
      return metrics.at(name).get<double>();
    };
    PublishedResult item;
    item.benchmark = set.id;
    item.hardware = text("DEVICE_HOSTNAME");
    item.type = "black";
    item.datasource = text("INPUT_DATA_PATH");
    item.date = iso_date(text("TEST_DATETIME"));
    item.file = file;
    item.note = at;
    item.stated.mean = number("MEAN_LATENCY");
    item.stated.max = number("MAX_LATENCY");
    item.stated.min = number("MIN_LATENCY");
    const auto sent = number("NUM_FRAMES_SENT"), missed = number("NUM_MISSED_FRAMES");
    if (sent && missed && *sent > 0) item.stated.loss_percent = 100 * *missed / *sent;
    item.metric = "latency";
    item.unit = "ms";
    item.value = number("MAX_LATENCY");
    if (item.value) set.results.push_back(item);
    item.metric = "throughput";
    item.unit = "fps";
    item.value = number("MEAN_FRAME_RATE");
    item.stated = {};
    if (item.value) set.results.push_back(item);
  };
  add(document, "peak");
  for (const auto& [key, value] : document.items())
    if (key.ends_with("fps") && value.is_object()) add(value, key);
  return set;
}

}  // namespace ballast::robot
