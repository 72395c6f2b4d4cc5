// Instruction data: lines of JSON in the field's usual forms, made into samples whose prompts are not
// trained.
//
//   {"instruction": "...", "input": "...", "output": "..."}        Alpaca
//   {"prompt": "...", "completion": "..."}                          completion
//   {"messages": [{"role": "user", "content": "..."}, ...]}         chat; the last message is the answer
//   {"text": "..."}                                                 all of it is trained
//
//   std::vector<Instruction> list = read_instructions("jargon.jsonl");
//   std::vector<Sample> samples = to_samples(list, vocabulary);           // vocabulary.h
#pragma once

#include <string>
#include <vector>

namespace ballast::tune {

struct Instruction {
  std::string prompt;  ///< empty: plain text
  std::string answer;
};

/// Throws Unavailable for a file that cannot be read, InvalidInput naming the line of a sample that is
/// malformed or of no known form, and for a file without samples.
std::vector<Instruction> read_instructions(const std::string& path);
/// One JSON object a line in the `prompt`/`completion` form; the file appears whole or not at all.
void write_instructions(const std::string& path, const std::vector<Instruction>& list);

}  // namespace ballast::tune
