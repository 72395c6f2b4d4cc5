// Instruction data made from what a Debian machine carries: real text, no download.
//
//   std::vector<Instruction> list = build_source("pydoc", 0);       // signature and docstring to body
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/tune/instructions.h"
#include "ballast/tune/task_data.h"

namespace ballast::tune {

struct Source {
  std::string name, what, licence;
  Task task = Task::sft;  ///< what it is made for
};
/// Instructions (pydoc, jargon, foldoc, glossary) and labelled texts (deb-section, deb-pair, wordnet-isa,
/// fortune, toy-sorted).
std::vector<Source> known_sources();

/// At most `limit` samples (0: all), in a fixed order. Throws Unavailable naming the command that brings what
/// is missing, InvalidInput for an unknown name.
std::vector<Instruction> build_source(const std::string& name, std::int64_t limit);
/// The same for sources of labelled texts; their order is shuffled by the seed, so that a limit takes a
/// sample.
std::vector<LabelledText> build_labelled(const std::string& name, std::int64_t limit, std::uint64_t seed);

/// Functions with docstrings in one Python source: "def f(a):\n    \"\"\"...\"\"\"" to the rest of the body.
std::vector<Instruction> python_functions(const std::string& source);

/// Entries of a dictd dictionary: the index's lines are "headword TAB offset TAB length" with base-64
/// numbers.
std::vector<Instruction> dictd_entries(const std::string& index, const std::string& text);

/// A package as `apt-cache dumpavail` describes it, its own name replaced by "it".
struct DebianPackage {
  std::string section;   ///< without the archive's area
  std::string synopsis;  ///< the description's first line
  std::string text;      ///< the rest
};
std::vector<DebianPackage> debian_packages(const std::string& paragraphs);

/// Descriptions with their section, of the `classes` most frequent sections.
std::vector<LabelledText> section_samples(const std::vector<DebianPackage>& packages, std::size_t classes);
/// Synopsis and long description: of the same package ("match"), or of two of one section ("other").
std::vector<LabelledText> pair_samples(const std::vector<DebianPackage>& packages, std::uint64_t seed);
/// WordNet's data.noun: "WORD: gloss" and a noun, which is one of its hypernyms ("yes") or one of another
/// word's ("no").
std::vector<LabelledText> hypernym_samples(const std::string& data_noun, std::uint64_t seed);

}  // namespace ballast::tune
