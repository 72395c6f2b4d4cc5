// Text as batches of token windows. Which window is in which batch is a pure function of the seed and the
// step, so that a resumed run goes on with the same data and all methods of a comparison see the same.
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

class Corpus {
 public:
  /// Throws InvalidInput when the text is too short for one window of each kind.
  Corpus(std::vector<std::int32_t> tokens, const CorpusOptions& options);

  /// Training batch of an optimizer step: each epoch is one pass over all training windows in a new order.
  model::TokenBatch batch(std::int64_t step, std::int64_t rows) const;
  /// The held-out windows, at most `limit` of them, as batches.
  std::vector<model::TokenBatch> validation(std::int64_t rows, std::int64_t limit = 1 << 30) const;
  std::vector<model::TokenBatch> calibration(std::int64_t rows) const;

  std::int64_t training_windows() const { return static_cast<std::int64_t>(training_.size()); }
  std::int64_t tokens() const { return static_cast<std::int64_t>(tokens_.size()); }

 private:
  model::TokenBatch gather(const std::vector<std::int64_t>& windows) const;
  std::vector<model::TokenBatch> in_batches(const std::vector<std::int64_t>& windows, std::int64_t rows,
                                            std::int64_t limit) const;
  std::vector<std::int32_t> tokens_;
  CorpusOptions options_;
  std::vector<std::int64_t> training_, validation_, calibration_;  // window numbers
};

/// Bytes as tokens 0 to 255.
std::vector<std::int32_t> byte_tokens(const std::string& text);

/// All regular files directly in a folder that hold text, joined in the order of their names; or one file.
/// Throws Unavailable when nothing readable is there.
std::string read_text(const std::string& path);

}  // namespace ballast::tune
