// Reading YAML (and JSON) with complaints that name the line: a thin layer over yaml-cpp, for this
// component's files.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <string_view>
#include <vector>

namespace ballast::cost {

/// A node of the document and the name of the file that it stands in.
class Yaml {
 public:
  /// Throws InvalidInput with the line for a text that is no YAML document.
  static Yaml parse(std::string_view text, const std::string& file);

  /// A mapping with no other keys than these; names the nearest for another one.
  const Yaml& only(const std::vector<std::string>& keys) const;
  bool has(const std::string& key) const;
  /// The value of a key that must be there.
  Yaml at(const std::string& key) const;
  std::vector<std::string> keys() const;
  /// The entries of a sequence.
  std::vector<Yaml> list() const;

  std::string text() const;
  double number() const;    ///< finite
  double positive() const;  ///< above 0
  double not_negative() const;
  bool is_list() const { return node_.IsSequence(); }
  std::vector<double> numbers() const;

  [[noreturn]] void refuse(const std::string& problem, const std::string& accepted = {}) const;

 private:
  Yaml(YAML::Node node, std::string file, YAML::Mark mark)
      : node_(std::move(node)), file_(std::move(file)), mark_(mark) {}

  YAML::Node node_;
  std::string file_;
  YAML::Mark mark_;  // of the node, or of the key that it stands under
};

}  // namespace ballast::cost
