// What is asked for: a request is a sequence of rounds (a prompt, then output), an agent's tool calls lie
// between them. Each round carries its promises: the time to its first token, and the time per output token
// of every segment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::serve {

/// A stretch of output with one reading speed: silent thinking, or an answer that someone reads.
struct Segment {
  enum class Kind { think, decode };
  Kind kind = Kind::decode;
  int tokens = 0;      ///< real length in a replay; the most that may be generated in a live server
  double tpot_ms = 0;  ///< promise: token k of the segment at most k * tpot_ms after the segment's first
};

struct Round {
  int prompt = 0;            ///< new tokens; what earlier rounds left is context
  double ttft_slowdown = 0;  ///< promise: first token within this multiple of the idle prefill time T0 ...
  double ttft_ms = 0;        ///< ... or, when positive, within this absolute time
  std::vector<Segment> output;
  double tool_wait_ms = 0;  ///< after this round, before the next arrives; the last round has none

  int output_tokens() const;
};

/// What becomes of a request whose promise cannot be made. `decline` waits while it still may be made,
/// `hand_over` declines at the plan's first no, so that another replica can be asked in time.
enum class OnMiss { best_effort, decline, downgrade, hand_over };

struct Request {
  std::uint64_t id = 0;
  double arrival_ms = 0;
  std::string scenario;
  std::string tenant;
  double weight = 1;
  OnMiss on_miss = OnMiss::best_effort;
  std::vector<Round> rounds;

  int total_tokens() const;  ///< KV tokens at the end of its life
};

enum class Admission { pending, admitted, best_effort, declined };
std::string to_string(Admission admission);

enum class Outcome { open, finished, declined, cancelled, failed };
std::string to_string(Outcome outcome);

}  // namespace ballast::serve
