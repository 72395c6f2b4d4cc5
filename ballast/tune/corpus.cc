#include "ballast/tune/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/model/loss.h"

namespace ballast::tune {

Corpus::Corpus(std::vector<std::int32_t> tokens, const CorpusOptions& options)
    : tokens_(std::move(tokens)), options_(options) {
  if (options_.window < 1) throw InvalidInput("--seq", std::to_string(options_.window), "at least 1");
  // A window needs one token more than its length: the last label.
  std::vector<Piece> pieces;
  for (std::int64_t first = 0; first + options_.window + 1 <= this->tokens(); first += options_.window) {
    pieces.push_back({first, options_.window});
  }
  split(std::move(pieces));
}

Corpus::Corpus(const std::vector<Sample>& samples, const CorpusOptions& options)
    : options_(options), kind_(Kind::samples) {
  if (options_.window < 1) throw InvalidInput("--seq", std::to_string(options_.window), "at least 1");
  std::vector<Piece> pieces;
  for (const Sample& sample : samples) {
    BALLAST_CHECK(sample.tokens.size() == sample.trained.size());
    const std::size_t kept = std::min(sample.tokens.size(), static_cast<std::size_t>(options_.window + 1));
    // The first token is never a label.
    if (kept < 2 || std::none_of(sample.trained.begin() + 1, sample.trained.begin() + static_cast<long>(kept),
                                 [](bool trained) { return trained; })) {
      ++left_out_;
      continue;
    }
    if (kept < sample.tokens.size()) ++cut_;
    pieces.push_back({this->tokens(), static_cast<std::int64_t>(kept) - 1});
    tokens_.insert(tokens_.end(), sample.tokens.begin(), sample.tokens.begin() + static_cast<long>(kept));
    trained_.insert(trained_.end(), sample.trained.begin(), sample.trained.begin() + static_cast<long>(kept));
  }
  split(std::move(pieces));
}

Corpus::Corpus(const std::vector<LabelledSample>& samples, bool regression, const CorpusOptions& options)
    : options_(options), kind_(regression ? Kind::values : Kind::classes) {
  if (options_.window < 1) throw InvalidInput("--seq", std::to_string(options_.window), "at least 1");
  std::vector<Piece> pieces;
  for (const LabelledSample& sample : samples) {
    if (sample.tokens.empty()) {
      ++left_out_;
      continue;
    }
    const std::int64_t length = std::min(static_cast<std::int64_t>(sample.tokens.size()), options_.window);
    if (length < static_cast<std::int64_t>(sample.tokens.size())) ++cut_;
    pieces.push_back({this->tokens(), length, sample.second, sample.target});
    tokens_.insert(tokens_.end(), sample.tokens.begin(), sample.tokens.begin() + length);
  }
  split(std::move(pieces));
}

void Corpus::split(std::vector<Piece> pieces) {
  Random random(options_.seed, 0xc0de);
  random.shuffle(pieces);
  const auto total = static_cast<std::int64_t>(pieces.size());
  const auto held =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(options_.validation * static_cast<double>(total)));
  if (total < held + options_.calibration + 1) {
    throw InvalidInput("text",
                       fmt::format("{} tokens ({} sequences of up to {})", tokens(), total, options_.window),
                       fmt::format("at least {} sequences", held + options_.calibration + 1));
  }
  const auto last = pieces.begin() + held + options_.calibration;
  validation_.assign(pieces.begin(), pieces.begin() + held);
  calibration_.assign(pieces.begin() + held, last);
  training_.assign(last, pieces.end());
}

model::TokenBatch Corpus::gather(const std::vector<Piece>& pieces) const {
  const auto rows = static_cast<std::int64_t>(pieces.size());
  std::int64_t longest = 1;
  for (const Piece& piece : pieces) longest = std::max(longest, piece.length);
  if (kind_ != Kind::windows) longest = (longest + 7) / 8 * 8;
  model::TokenBatch batch;
  batch.ids = torch::zeros({rows, longest}, torch::kInt64);
  batch.labels = torch::full({rows, longest}, model::kIgnored, torch::kInt64);
  for (std::int64_t row = 0; row < rows; ++row) {
    const Piece& piece = pieces[static_cast<std::size_t>(row)];
    auto* ids = batch.ids.data_ptr<std::int64_t>() + row * longest;
    auto* labels = batch.labels.data_ptr<std::int64_t>() + row * longest;
    for (std::int64_t i = 0; i < piece.length; ++i) {
      const auto at = static_cast<std::size_t>(piece.first + i);
      ids[i] = tokens_[at];
      if (kind_ == Kind::classes || kind_ == Kind::values) continue;
      if (trained_.empty() || trained_[at + 1]) labels[i] = tokens_[at + 1];
    }
  }
  if (kind_ == Kind::classes || kind_ == Kind::values) pad_labelled(pieces, batch);
  return batch;
}

// What a task on whole sequences needs beside the tokens.
void Corpus::pad_labelled(const std::vector<Piece>& pieces, model::TokenBatch& batch) const {
  const auto rows = static_cast<std::int64_t>(pieces.size());
  batch.seen = torch::zeros(batch.ids.sizes(), torch::kBool);
  batch.classes = torch::zeros({rows}, kind_ == Kind::values ? torch::kFloat32 : torch::kInt64);
  batch.segments = torch::zeros_like(batch.ids);
  for (std::int64_t row = 0; row < rows; ++row) {
    const Piece& piece = pieces[static_cast<std::size_t>(row)];
    batch.seen[row].narrow(0, 0, piece.length).fill_(true);
    batch.classes[row] = piece.target;
    if (piece.second >= 0 && piece.second < piece.length)
      batch.segments[row].narrow(0, piece.second, piece.length - piece.second).fill_(1);
  }
}

std::vector<Corpus::Piece> Corpus::epoch_order(std::int64_t epoch, std::int64_t rows) const {
  std::vector<Piece> order = training_;
  Random random(options_.seed, 0xe90c0000u + static_cast<std::uint64_t>(epoch));
  random.shuffle(order);
  if (kind_ == Kind::windows) return order;
  // Neighbours of similar length share a batch: sorted within stretches of sixteen batches.
  const std::int64_t stretch = 16 * rows, total = training_windows();
  for (std::int64_t first = 0; first < total; first += stretch) {
    std::stable_sort(order.begin() + first, order.begin() + std::min(total, first + stretch),
                     [](const Piece& a, const Piece& b) { return a.length < b.length; });
  }
  return order;
}

model::TokenBatch Corpus::batch(std::int64_t step, std::int64_t rows) const {
  std::vector<Piece> pieces, order;
  std::int64_t epoch = -1;
  for (std::int64_t i = step * rows; i < (step + 1) * rows; ++i) {
    if (i / training_windows() != epoch) {
      epoch = i / training_windows();
      order = epoch_order(epoch, rows);
    }
    pieces.push_back(order[static_cast<std::size_t>(i % training_windows())]);
  }
  return gather(pieces);
}

double Corpus::padding_share(std::int64_t rows) const {
  const std::vector<Piece> order = epoch_order(0, rows);
  std::int64_t real = 0, all = 0;
  for (std::size_t first = 0; first < order.size(); first += static_cast<std::size_t>(rows)) {
    const std::size_t last = std::min(order.size(), first + static_cast<std::size_t>(rows));
    std::int64_t longest = 0;
    for (std::size_t i = first; i < last; ++i) {
      real += order[i].length;
      longest = std::max(longest, order[i].length);
    }
    if (kind_ != Kind::windows) longest = (longest + 7) / 8 * 8;
    all += longest * static_cast<std::int64_t>(last - first);
  }
  return all > 0 ? 1 - static_cast<double>(real) / static_cast<double>(all) : 0;
}

std::vector<model::TokenBatch> Corpus::in_batches(const std::vector<Piece>& pieces, std::int64_t rows,
                                                  std::int64_t limit) const {
  std::vector<model::TokenBatch> batches;
  const auto total = std::min(limit, static_cast<std::int64_t>(pieces.size()));
  for (std::int64_t first = 0; first < total; first += rows) {
    batches.push_back(gather({pieces.begin() + first, pieces.begin() + std::min(total, first + rows)}));
  }
  return batches;
}

std::vector<model::TokenBatch> Corpus::validation(std::int64_t rows, std::int64_t limit) const {
  return in_batches(validation_, rows, limit);
}

std::vector<model::TokenBatch> Corpus::calibration(std::int64_t rows) const {
  return in_batches(calibration_, rows, 1 << 30);
}

std::vector<std::int32_t> byte_tokens(const std::string& text) {
  std::vector<std::int32_t> tokens;
  tokens.reserve(text.size());
  for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
  return tokens;
}

std::string read_text(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return read_file(path);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(path, ignored)) {
    if (entry.is_regular_file(ignored) && !entry.is_symlink(ignored)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::string text;
  for (const std::string& file : files) {
    const std::string content = read_file(file);
    if (content.find('\0') == std::string::npos) text += content + "\n";
  }
  if (text.empty()) throw Unavailable(path + ": no text files are there");
  return text;
}

}  // namespace ballast::tune
