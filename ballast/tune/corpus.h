// Text as batches of token windows, or samples with masked prompts as padded batches. Which window is in
// which batch is a pure function of the seed and the step, so that a resumed run goes on with the same data
// and all methods of a comparison see the same.
//
//   Corpus corpus(tokens, {.window = 128, .validation = 0.1, .calibration = 16, .seed = 1});
//   model::TokenBatch batch = corpus.batch(step, 8);
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/model/block_model.h"

namespace ballast::tune {

struct CorpusOptions {
  std::int64_t window = 128;      ///< tokens of a sequence
  double validation = 0.1;        ///< share of the windows held out
  std::int64_t calibration = 16;  ///< windows held aside for fitting projectors
  std::uint64_t seed = 1;
};

/// A sequence with its own ends: tokens, and which of them are to be learnt (a prompt's are not).
struct Sample {
  std::vector<std::int32_t> tokens;
  std::vector<bool> trained;  ///< as long as tokens
};

/// A sequence with one target: a class's number, or a value.
struct LabelledSample {
  std::vector<std::int32_t> tokens;
  std::int64_t second = -1;  ///< where the second of two texts begins; -1: one text
  double target = 0;
};

class Corpus {
 public:
  /// Throws InvalidInput when the text is too short for one window of each kind.
  Corpus(std::vector<std::int32_t> tokens, const CorpusOptions& options);
  /// Samples of up to window + 1 tokens; longer ones are cut, those without a trained token are left out,
  /// both counted. A batch holds samples of similar length and is padded to a multiple of 8; padding is not
  /// trained.
  Corpus(const std::vector<Sample>& samples, const CorpusOptions& options);

  /// Sequences with a class each, or a value (`regression`). Batches have `classes`, `seen` and, where there
  /// are pairs, `segments`. Longer ones are cut at `window` and counted.
  Corpus(const std::vector<LabelledSample>& samples, bool regression, const CorpusOptions& options);

  /// Training batch of an optimizer step: each epoch is one pass over all training windows in a new order.
  model::TokenBatch batch(std::int64_t step, std::int64_t rows) const;
  /// The held-out windows, at most `limit` of them, as batches.
  std::vector<model::TokenBatch> validation(std::int64_t rows, std::int64_t limit = 1 << 30) const;
  std::vector<model::TokenBatch> calibration(std::int64_t rows) const;

  std::int64_t training_windows() const { return static_cast<std::int64_t>(training_.size()); }
  std::int64_t cut() const { return cut_; }
  std::int64_t left_out() const { return left_out_; }
  /// Share of padding in the training batches of one epoch of `rows` sequences.
  double padding_share(std::int64_t rows) const;
  std::int64_t tokens() const { return static_cast<std::int64_t>(tokens_.size()); }

 private:
  enum class Kind { windows, samples, classes, values };
  struct Piece {
    std::int64_t first = 0, length = 0;  // of the inputs; the labels are one further
    std::int64_t second = -1;            // of a pair
    double target = 0;
  };
  void pad_labelled(const std::vector<Piece>& pieces, model::TokenBatch& batch) const;
  void split(std::vector<Piece> pieces);
  std::vector<Piece> epoch_order(std::int64_t epoch, std::int64_t rows) const;
  model::TokenBatch gather(const std::vector<Piece>& pieces) const;
  std::vector<model::TokenBatch> in_batches(const std::vector<Piece>& pieces, std::int64_t rows,
                                            std::int64_t limit) const;
  std::vector<std::int32_t> tokens_;
  std::vector<bool> trained_;  // by token, of samples
  CorpusOptions options_;
  Kind kind_ = Kind::windows;
  std::vector<Piece> training_, validation_, calibration_;
  std::int64_t cut_ = 0, left_out_ = 0;
};

/// Bytes as tokens 0 to 255.
std::vector<std::int32_t> byte_tokens(const std::string& text);

/// All regular files directly in a folder that hold text, joined in the order of their names; or one file.
/// Throws Unavailable when nothing readable is there.
std::string read_text(const std::string& path);

}  // namespace ballast::tune
