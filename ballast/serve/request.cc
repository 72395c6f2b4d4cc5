#include "ballast/serve/request.h"

#include "ballast/base/cli.h"
#include "ballast/serve/slo.h"

namespace ballast::serve {

int Round::output_tokens() const {
  int tokens = 0;
  for (const Segment& segment : output) tokens += segment.tokens;
  return tokens;
}

int Request::total_tokens() const {
  int tokens = 0;
  for (const Round& round : rounds) tokens += round.prompt + round.output_tokens();
  return tokens;
}

std::string to_string(Admission admission) {
  switch (admission) {
    case Admission::pending:
      return "pending";
    case Admission::admitted:
      return "admitted";
    case Admission::best_effort:
      return "best_effort";
    case Admission::declined:
      return "declined";
  }
  return "?";
}

std::string to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::open:
      return "open";
    case Outcome::finished:
      return "finished";
    case Outcome::declined:
      return "declined";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::failed:
      return "failed";
  }
  return "?";
}

SloTable SloTable::from_profile(const PerfModel& perf) {
  BatchLoad one;
  one.add_decode(1, 0);
  SloTable slos;
  slos.tight_tpot_ms = 2.5 * perf.step_ms(one);
  slos.loose_tpot_ms = 5 * perf.step_ms(one);
  return slos;
}

SloTable SloTable::named(const std::string& name, const PerfModel& perf) {
  cli::require_one_of("--slo-scale", name, {"paper", "profile"});
  return name == "paper" ? paper() : from_profile(perf);
}

const std::vector<std::string>& scenario_names() {
  static const std::vector<std::string> names{"summarizer", "coder",     "chatbot",
                                              "toolcall",   "reasoning", "mixed"};
  return names;
}

}  // namespace ballast::serve
