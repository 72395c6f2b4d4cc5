#include "ballast/llama/backend.h"

#include <llama.h>

#include <mutex>

namespace ballast::llama::internal {
namespace {

// The log callback has no user data of the call at hand, so the last error is kept per thread.
thread_local std::string last_error;

void keep_errors(ggml_log_level level, const char* text, void*) {
  if (level != GGML_LOG_LEVEL_ERROR) return;
  last_error = text;
  while (!last_error.empty() && (last_error.back() == '\n' || last_error.back() == ' '))
    last_error.pop_back();
}

}  // namespace

void start_backend() {
  static std::once_flag once;
  std::call_once(once, [] {
    llama_log_set(keep_errors, nullptr);
    llama_backend_init();
  });
}

std::string take_last_error() {
  std::string error;
  error.swap(last_error);
  return error;
}

}  // namespace ballast::llama::internal
