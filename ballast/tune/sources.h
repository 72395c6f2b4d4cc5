// Instruction data made from what a Debian machine carries: real text, no download.
//
//   std::vector<Instruction> list = build_source("pydoc", 0);       // signature and docstring to body
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/tune/instructions.h"

namespace ballast::tune {

struct Source {
  std::string name, what, licence;
};
/// pydoc, jargon, foldoc, deb-section.
std::vector<Source> known_sources();

/// At most `limit` samples (0: all), in a fixed order. Throws Unavailable naming the command that brings what
/// is missing, InvalidInput for an unknown name.
std::vector<Instruction> build_source(const std::string& name, std::int64_t limit);

/// Functions with docstrings in one Python source: "def f(a):\n    \"\"\"...\"\"\"" to the rest of the body.
std::vector<Instruction> python_functions(const std::string& source);

/// Entries of a dictd dictionary: the index's lines are "headword TAB offset TAB length" with base-64
/// numbers.
std::vector<Instruction> dictd_entries(const std::string& index, const std::string& text);

/// Paragraphs of `apt-cache dumpavail`: a package's description to its section, the package's own name
/// removed.
std::vector<Instruction> package_sections(const std::string& paragraphs);

}  // namespace ballast::tune
