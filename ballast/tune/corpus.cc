#include "ballast/tune/corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::tune {

Corpus::Corpus(std::vector<std::int32_t> tokens, const CorpusOptions& options)
    : tokens_(std::move(tokens)), options_(options) {
  if (options_.window < 1) throw InvalidInput("--seq", std::to_string(options_.window), "at least 1");
  // A window needs one token more than its length: the last label.
  std::vector<std::int64_t> windows;
  for (std::int64_t first = 0; first + options_.window + 1 <= this->tokens(); first += options_.window) {
    windows.push_back(first);
  }
  Random random(options_.seed, 0xc0de);
  random.shuffle(windows);
  const auto total = static_cast<std::int64_t>(windows.size());
  const auto held =
      std::max<std::int64_t>(1, static_cast<std::int64_t>(options_.validation * static_cast<double>(total)));
  if (total < held + options_.calibration + 1) {
    throw InvalidInput("text",
                       fmt::format("{} tokens ({} windows of {})", this->tokens(), total, options_.window),
                       fmt::format("at least {} windows", held + options_.calibration + 1));
  }
  validation_.assign(windows.begin(), windows.begin() + held);
  calibration_.assign(windows.begin() + held, windows.begin() + held + options_.calibration);
  training_.assign(windows.begin() + held + options_.calibration, windows.end());
}

model::TokenBatch Corpus::gather(const std::vector<std::int64_t>& windows) const {
  const auto rows = static_cast<std::int64_t>(windows.size());
  model::TokenBatch batch;
  batch.ids = torch::empty({rows, options_.window}, torch::kInt64);
  batch.labels = torch::empty({rows, options_.window}, torch::kInt64);
  auto* ids = batch.ids.data_ptr<std::int64_t>();
  auto* labels = batch.labels.data_ptr<std::int64_t>();
  for (const std::int64_t first : windows) {
    const auto* from = tokens_.data() + first;
    ids = std::copy(from, from + options_.window, ids);
    labels = std::copy(from + 1, from + options_.window + 1, labels);
  }
  return batch;
}

model::TokenBatch Corpus::batch(std::int64_t step, std::int64_t rows) const {
  std::vector<std::int64_t> windows;
  std::int64_t epoch = -1;
  std::vector<std::int64_t> order;
  for (std::int64_t i = step * rows; i < (step + 1) * rows; ++i) {
    if (i / training_windows() != epoch) {
      epoch = i / training_windows();
      order = training_;
      Random random(options_.seed, 0xe90c0000u + static_cast<std::uint64_t>(epoch));
      random.shuffle(order);
    }
    windows.push_back(order[static_cast<std::size_t>(i % training_windows())]);
  }
  return gather(windows);
}

std::vector<model::TokenBatch> Corpus::in_batches(const std::vector<std::int64_t>& windows, std::int64_t rows,
                                                  std::int64_t limit) const {
  std::vector<model::TokenBatch> batches;
  const auto total = std::min(limit, static_cast<std::int64_t>(windows.size()));
  for (std::int64_t first = 0; first < total; first += rows) {
    batches.push_back(gather({windows.begin() + first, windows.begin() + std::min(total, first + rows)}));
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
