// Whether a round kept its promises, from nothing but its arrival and the times of its tokens. The simulator,
// the server and `serve report` all use this one judge.
//
// Two metrics (specification, section 9):
//   token  strict: the first token in time, and every token k of a segment at most k * tpot after its first
//   mean   the first token in time, and each segment's mean time per token within its tpot
#pragma once

#include <algorithm>

#include "ballast/serve/request.h"

namespace ballast::serve {

/// Rounding slack of a comparison with a deadline, in ms: far below any clock that matters here.
inline constexpr double kTimeSlack = 1e-6;

class RoundMeter {
 public:
  RoundMeter() = default;
  /// `deadline_ms`: when the first token is due. The round must outlive the meter.
  RoundMeter(const Round& round, double deadline_ms) : round_(&round), deadline_(deadline_ms) {}

  /// One token left the engine (or reached the client) at this time.
  void token(double now) {
    if (tokens_ == 0) first_late_ = now > deadline_ + kTimeSlack;
    if (in_segment_ == 0) {
      segment_first_ = now;
    } else {
      const double tpot = round_->output[segment_].tpot_ms;
      const double behind = now - (segment_first_ + in_segment_ * tpot);
      if (behind > kTimeSlack) ++late_tokens_;
      worst_behind_ = std::max(worst_behind_, behind);
    }
    segment_last_ = now;
    ++tokens_;
    if (++in_segment_ == round_->output[segment_].tokens) end_segment();
  }

  /// Ends the present segment early: its text ended, not its token limit.
  void end_segment() {
    if (in_segment_ > 1) {
      const double mean = (segment_last_ - segment_first_) / (in_segment_ - 1);
      worst_tpot_ = std::max(worst_tpot_, mean);
      if (mean > round_->output[segment_].tpot_ms + kTimeSlack) mean_missed_ = true;
    }
    in_segment_ = 0;
    if (segment_ + 1 < round_->output.size()) ++segment_;
  }

  int tokens() const { return tokens_; }
  bool first_late() const { return first_late_; }
  int late_tokens() const { return late_tokens_; }
  double worst_tpot_ms() const { return worst_tpot_; }
  double worst_behind_ms() const { return worst_behind_; }
  bool met_token() const { return !first_late_ && late_tokens_ == 0; }
  bool met_mean() const { return !first_late_ && !mean_missed_; }

 private:
  const Round* round_ = nullptr;
  double deadline_ = 0;
  std::size_t segment_ = 0;
  int in_segment_ = 0, tokens_ = 0, late_tokens_ = 0;
  double segment_first_ = 0, segment_last_ = 0, worst_tpot_ = 0, worst_behind_ = 0;
  bool first_late_ = false, mean_missed_ = false;
};

}  // namespace ballast::serve
