#include "ballast/tune/vocabulary.h"

#include <algorithm>
#include <filesystem>

#include "ballast/data/wordpiece.h"
#include "ballast/model/byte_pair.h"

namespace ballast::tune {
namespace {

void append(Sample& sample, const std::vector<std::int32_t>& tokens, bool trained) {
  sample.tokens.insert(sample.tokens.end(), tokens.begin(), tokens.end());
  sample.trained.insert(sample.trained.end(), tokens.size(), trained);
}

class ByteTokens : public Vocabulary {
 public:
  std::vector<std::int32_t> text(std::string_view text) const override {
    return byte_tokens(std::string(text));
  }
  Sample instruction(const Instruction& instruction) const override {
    Sample sample;
    if (!instruction.prompt.empty()) append(sample, text(instruction.prompt + "\n"), false);
    append(sample, text(instruction.answer + "\n"), true);
    return sample;
  }
};

class OfGguf : public Vocabulary {
 public:
  explicit OfGguf(std::shared_ptr<const llama::Model> model) : model_(std::move(model)) {}
  std::vector<std::int32_t> text(std::string_view text) const override { return model_->tokenize(text); }
  Sample instruction(const Instruction& instruction) const override {
    Sample sample;
    if (!instruction.prompt.empty()) {
      const auto rendered = model_->render_chat({{"user", instruction.prompt}});
      append(sample,
             model_->tokenize(rendered.value_or(instruction.prompt + "\n"), true, rendered.has_value()),
             false);
    }
    append(sample, model_->tokenize(instruction.answer, instruction.prompt.empty()), true);
    if (model_->end_token() >= 0) append(sample, {model_->end_token()}, true);
    return sample;
  }

 private:
  std::shared_ptr<const llama::Model> model_;
};

class WordPieces : public Vocabulary {
 public:
  explicit WordPieces(const std::string& path) : tokens_(path) {}
  std::vector<std::int32_t> text(std::string_view text) const override {
    return tokens_.encode(text, std::size_t{1} << 40);
  }
  Sample instruction(const Instruction& instruction) const override {
    Sample sample;
    append(sample, text(instruction.prompt), false);
    append(sample, text(instruction.answer), true);
    return sample;
  }
  LabelledSample sequence(std::string_view a, std::string_view b, std::size_t max_tokens) const override {
    if (b.empty()) return {.tokens = tokens_.encode(a, max_tokens)};
    data::WordPiece::Pair pair = tokens_.encode_pair(a, b, max_tokens);
    return {.tokens = std::move(pair.ids), .second = static_cast<std::int64_t>(pair.second)};
  }

 private:
  data::WordPiece tokens_;
};

class BytePairs : public Vocabulary {
 public:
  explicit BytePairs(const std::string& folder)
      : tokens_(folder), begin_(tokens_.find("<s>")), end_(tokens_.find("</s>")) {
    if (end_ < 0) end_ = tokens_.find("<|endoftext|>");
  }
  std::vector<std::int32_t> text(std::string_view text) const override { return tokens_.encode(text); }
  Sample instruction(const Instruction& instruction) const override {
    Sample sample;
    if (!instruction.prompt.empty()) append(sample, text(instruction.prompt + "\n"), false);
    append(sample, text(instruction.answer), true);
    if (end_ >= 0) append(sample, {end_}, true);
    return sample;
  }
  // RoBERTa: <s> a </s> or <s> a </s></s> b </s>. Vocabularies without <s>: the texts with a newline between.
  LabelledSample sequence(std::string_view a, std::string_view b, std::size_t max_tokens) const override {
    if (begin_ < 0) return Vocabulary::sequence(a, b, max_tokens);
    std::vector<std::int32_t> first = tokens_.encode(a), second = tokens_.encode(b);
    const std::size_t marks = b.empty() ? 2 : 4;
    while (first.size() + second.size() + marks > std::max(max_tokens, marks))
      (first.size() >= second.size() ? first : second).pop_back();
    LabelledSample sample;
    sample.tokens.push_back(begin_);
    sample.tokens.insert(sample.tokens.end(), first.begin(), first.end());
    sample.tokens.push_back(end_);
    if (b.empty()) return sample;
    sample.tokens.push_back(end_);
    sample.tokens.insert(sample.tokens.end(), second.begin(), second.end());
    sample.tokens.push_back(end_);
    return sample;
  }

 private:
  model::BytePair tokens_;
  std::int32_t begin_, end_;
};

}  // namespace

LabelledSample Vocabulary::sequence(std::string_view a, std::string_view b, std::size_t max_tokens) const {
  LabelledSample sample{.tokens = text(b.empty() ? std::string(a) : std::string(a) + "\n" + std::string(b))};
  if (sample.tokens.size() > max_tokens) sample.tokens.resize(max_tokens);
  return sample;
}

std::shared_ptr<const Vocabulary> byte_vocabulary() {
  return std::make_shared<ByteTokens>();
}

std::shared_ptr<const Vocabulary> gguf_vocabulary(std::shared_ptr<const llama::Model> model) {
  return std::make_shared<OfGguf>(std::move(model));
}

std::shared_ptr<const Vocabulary> folder_vocabulary(const std::string& folder) {
  const std::string words = folder + "/vocab.txt";
  if (std::filesystem::exists(words)) return std::make_shared<WordPieces>(words);
  return std::make_shared<BytePairs>(folder);
}

std::vector<Sample> to_samples(const std::vector<Instruction>& list, const Vocabulary& vocabulary) {
  std::vector<Sample> samples;
  samples.reserve(list.size());
  for (const Instruction& instruction : list) samples.push_back(vocabulary.instruction(instruction));
  return samples;
}

}  // namespace ballast::tune
