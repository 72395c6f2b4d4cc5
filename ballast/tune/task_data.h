// Labelled texts: one or two texts and a class, or a number. What users have (GLUE's TSV files, lines of
// JSON) and what `ballast tune data` makes.
//
//   LabelledData data = read_labelled("train.tsv", Task::pair);
//   data.classes                                             // {"equivalent", "not_equivalent"}
#pragma once

#include <string>
#include <vector>

namespace ballast::tune {

/// clm: running text; sft: instructions; cls: a text's class; pair: the class of two texts; regress: a number
/// for one text or two.
enum class Task { clm, sft, cls, pair, regress };
/// Throws InvalidInput naming the nearest.
Task task_from_string(const std::string& word);
std::string to_string(Task task);
/// Whether the task is one on whole sequences.
inline bool labelled(Task task) {
  return task == Task::cls || task == Task::pair || task == Task::regress;
}

struct LabelledText {
  std::string a, b;  ///< b is empty for tasks on one text
  std::string label;
};

struct LabelledData {
  std::vector<LabelledText> items;
  /// The labels that occur, in the order of their numbers: as integers when all are, else by their letters.
  /// Empty for regression.
  std::vector<std::string> classes;

  /// The number of a label; for regression its value.
  double target(const LabelledText& item) const;
};

/// A .tsv file, or lines of JSON. TSV: columns by the names in its first line (sentence, sentence1,
/// sentence2, text, question, premise, hypothesis, ..., label or score), or without such a line text and
/// label, or two texts and label. JSON: "text" (or "text_a" and "text_b", or a TSV's names) and "label".
/// Throws Unavailable for a file that cannot be read, InvalidInput naming the line for a missing column, an
/// empty text, or a value that is no number.
LabelledData read_labelled(const std::string& path, Task task);

/// Lines of JSON; the file appears whole or not at all.
void write_labelled(const std::string& path, const std::vector<LabelledText>& items);

}  // namespace ballast::tune
