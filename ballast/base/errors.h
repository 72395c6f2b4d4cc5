// The three ways in which Ballast says no.
//
//   InvalidInput   a caller's mistake: exit code 2, HTTP 4xx
//   Unavailable    the environment's failure (a file, a peer, a device): exit code 3, HTTP 5xx
//   BALLAST_CHECK  a broken invariant of ours: prints the expression and aborts
//
//   throw InvalidInput("--fanout", given, "an integer of at least 2, or 'auto'");
//   throw InvalidInput::at("soc.el", 17, "vertex '-3'", "ids from 0 to 4294967294");
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ballast {

enum class ExitCode : int { ok = 0, failed = 1, invalid_input = 2, unavailable = 3, interrupted = 130 };

/// A mistake of the caller. `what()` is one sentence: what was given, what is accepted, and where.
class InvalidInput : public std::runtime_error {
 public:
  explicit InvalidInput(const std::string& sentence) : std::runtime_error(sentence) {}
  /// "WHAT is 'GIVEN'; accepted: ACCEPTED"
  InvalidInput(std::string_view what, std::string_view given, std::string_view accepted);
  /// "FILE:LINE: PROBLEM; accepted: ACCEPTED"
  static InvalidInput at(std::string_view file, std::uint64_t line, std::string_view problem,
                         std::string_view accepted = {});
  /// "FILE: byte OFFSET: PROBLEM; accepted: ACCEPTED", for binary files.
  static InvalidInput at_byte(std::string_view file, std::uint64_t offset, std::string_view problem,
                              std::string_view accepted = {});
};

/// The environment failed: a file cannot be opened, a peer is gone, a device or package is missing.
class Unavailable : public std::runtime_error {
 public:
  explicit Unavailable(const std::string& sentence) : std::runtime_error(sentence) {}
  /// "WHAT: PROBLEM (text of the present errno)"
  static Unavailable from_errno(std::string_view what, std::string_view problem);
};

/// The user pressed Ctrl-C; thrown from a place where it is safe to stop.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

namespace internal {
[[noreturn]] void check_failed(const char* expression, const char* file, int line, const std::string& detail);
}

/// Aborts with the expression when a broken invariant is met; the second argument (optional) is a
/// std::string.
#define BALLAST_CHECK(expression, ...)                                                                \
  do {                                                                                                \
    if (!(expression)) [[unlikely]]                                                                   \
      ::ballast::internal::check_failed(#expression, __FILE__, __LINE__, ::std::string{__VA_ARGS__}); \
  } while (false)

}  // namespace ballast
