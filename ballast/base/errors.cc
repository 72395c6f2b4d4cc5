#include "ballast/base/errors.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ballast {
namespace {

std::string with_accepted(std::string sentence, std::string_view accepted) {
  if (!accepted.empty()) sentence += fmt::format("; accepted: {}", accepted);
  return sentence;
}

}  // namespace

InvalidInput::InvalidInput(std::string_view what, std::string_view given, std::string_view accepted)
    : std::runtime_error(with_accepted(fmt::format("{} is '{}'", what, given), accepted)) {}

InvalidInput InvalidInput::at(std::string_view file, std::uint64_t line, std::string_view problem,
                              std::string_view accepted) {
  return InvalidInput(with_accepted(fmt::format("{}:{}: {}", file, line, problem), accepted));
}

InvalidInput InvalidInput::at_byte(std::string_view file, std::uint64_t offset, std::string_view problem,
                                   std::string_view accepted) {
  return InvalidInput(with_accepted(fmt::format("{}: byte {}: {}", file, offset, problem), accepted));
}

Unavailable Unavailable::from_errno(std::string_view what, std::string_view problem) {
  const int error = errno;
  return Unavailable(fmt::format("{}: {} ({})", what, problem, std::strerror(error)));
}

namespace internal {

void check_failed(const char* expression, const char* file, int line, const std::string& detail) {
  std::fprintf(stderr, "ballast: broken invariant: %s at %s:%d%s%s\n", expression, file, line,
               detail.empty() ? "" : ": ", detail.c_str());
  std::abort();
}

}  // namespace internal
}  // namespace ballast
