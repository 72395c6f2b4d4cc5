// RobotPerf's public result files (benchmark.yaml, robotperf/benchmarks) read as they are: dates in three
// spellings, free-text notes, hardware names with stray blanks. What a note says of mean, maximum, loss and
// rates is kept beside.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/json.h"

namespace ballast::robot {

/// What free text states.
struct Note {
  std::optional<double> mean, rms, max, min, median, loss_percent;
  std::optional<double> bounded_hz;  ///< "bounded to 30fps", "targeting 10 FPS", "update rate 100 Hz"
  std::optional<double> swept_from_hz, swept_to_hz;
  bool accelerated = false;  ///< names an accelerator in the hardware
};
Note parse_note(const std::string& note);

struct PublishedResult {
  std::string benchmark;  ///< "a1"
  std::string hardware, category, metric, unit, type, datasource, note;
  std::string date;  ///< ISO, "2023-07-07", or as it stands when it is none
  std::optional<double> value;
  Note stated;
  std::string file;
  std::uint64_t line = 0;
};

struct PublishedSet {
  std::string id, name, description;
  std::vector<PublishedResult> results;
};

/// Throws InvalidInput naming file and line when it is no such file.
PublishedSet parse_published(const std::string& text, const std::string& file);
/// A result file of ros2_benchmark. Throws InvalidInput naming the file when it is none.
PublishedSet parse_r2b(const Json& document, const std::string& file);
/// Of one file, or of every .yaml (RobotPerf) and .json (ros2_benchmark) of a folder.
std::vector<PublishedSet> read_published(const std::string& path);
/// The same keys as the public files, `timestampt` (sic) among them.
std::string to_yaml(const PublishedSet& set);

/// "07-07-2023", "2023-07-01 13:33:05", "1-9-2024" -> "2023-07-07" ...; day first; other text comes back
/// unchanged.
std::string iso_date(const std::string& text);

struct Finding {
  std::string rule;   ///< "negative-latency", "value-is-not-max", ...
  std::string where;  ///< "a1_perception_2nodes.yaml:312"
  std::string what;
};
/// The suite's own rules, made checkable; every breach of every result.
std::vector<Finding> audit(const std::vector<PublishedSet>& sets);
/// The rules and what each asks for.
const std::map<std::string, std::string>& audit_rules();
/// The same rules for our own result documents (schema ballast.robot.run/1).
std::vector<Finding> audit_document(const Json& document, const std::string& file);

}  // namespace ballast::robot
