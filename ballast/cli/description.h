// What all built programs understand, asked of the programs themselves (`ballast-NAME --describe`): the one
// source of man pages and shell completion.
#pragma once

#include <string>
#include <vector>

namespace ballast::cli {

struct FlagDescription {
  std::vector<std::string> names;  ///< "-o", "--output"; of a positional its one name
  std::string value;               ///< what it takes, as in the help text; empty: a switch
  std::string default_value;
  std::string text;
  std::string group;
  bool required = false;
  bool positional = false;
};

struct VerbDescription {
  std::string name;
  std::string summary;
  std::vector<std::string> examples;
  std::vector<FlagDescription> flags;
};

struct ProgramDescription {
  std::string component;
  std::string summary;
  std::vector<VerbDescription> verbs;
};

/// Of every program that was built, in the order of the tour. Throws Unavailable for one that does not
/// answer.
std::vector<ProgramDescription> describe_programs();

}  // namespace ballast::cli
