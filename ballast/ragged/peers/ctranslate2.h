// CTranslate2 (PyPI: ctranslate2) as a competitor: an inference engine that removes padding, on the same
// weights, in a Python process of its own that stays for the whole comparison.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ballast/base/json.h"
#include "ballast/base/temporary_folder.h"

namespace ballast::ragged {

class CTranslate2 {
 public:
  /// The model of a folder with config.json and model.safetensors of BERT's names; null where CTranslate2 is
  /// not installed (setup/setup.sh --peers installs it).
  static std::unique_ptr<CTranslate2> start(const std::string& folder, int threads);
  ~CTranslate2();
  CTranslate2(const CTranslate2&) = delete;
  CTranslate2& operator=(const CTranslate2&) = delete;

  void set_batch(const std::vector<std::vector<std::int32_t>>& tokens);
  /// Hidden states behind the last layer, the rows of all sequences one after the other.
  std::vector<float> hidden();
  /// Seconds of one pass, the mean of `repeat`, as its own process measures them.
  double seconds(int repeat = 1);
  const std::string& version() const { return version_; }

 private:
  CTranslate2() = default;
  /// One line there, one back. Throws Unavailable when the process ended.
  Json ask(const Json& question);

  TemporaryFolder folder_;
  int to_ = -1, from_ = -1, process_ = -1;
  std::string buffer_, version_;
};

/// A BERT-type folder with these sizes and random weights, for engines that read folders.
void write_random_bert(const std::string& folder, std::int64_t layers, std::int64_t model, std::int64_t heads,
                       std::int64_t feed_forward, std::int64_t vocabulary, std::uint64_t seed);

}  // namespace ballast::ragged
