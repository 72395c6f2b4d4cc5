// How a model's texts become tokens, whatever the model came from: bytes, a GGUF's vocabulary, or a Hugging
// Face folder's WordPiece or byte-pair files.
//
//   auto vocabulary = folder_vocabulary("all-MiniLM-L6-v2");
//   LabelledSample sample = vocabulary->sequence("first text", "second text", 128);
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/llama/model.h"
#include "ballast/tune/corpus.h"
#include "ballast/tune/instructions.h"

namespace ballast::tune {

class Vocabulary {
 public:
  virtual ~Vocabulary() = default;
  /// Running text.
  virtual std::vector<std::int32_t> text(std::string_view text) const = 0;
  /// Prompt (not trained), answer and end (trained).
  virtual Sample instruction(const Instruction& instruction) const = 0;
  /// One text or two (b may be empty), cut to `max_tokens`; the target is left at 0.
  virtual LabelledSample sequence(std::string_view a, std::string_view b, std::size_t max_tokens) const;
};

/// Bytes as tokens, for random models: prompt, newline, answer, newline.
std::shared_ptr<const Vocabulary> byte_vocabulary();
/// Prompts go through the file's chat template where it has one; the end of generation is trained.
std::shared_ptr<const Vocabulary> gguf_vocabulary(std::shared_ptr<const llama::Model> model);
/// vocab.txt, or vocab.json and merges.txt, or tokenizer.json. Throws Unavailable naming the folder.
std::shared_ptr<const Vocabulary> folder_vocabulary(const std::string& folder);

std::vector<Sample> to_samples(const std::vector<Instruction>& list, const Vocabulary& vocabulary);

}  // namespace ballast::tune
