// Requests to serve: when they arrive (a trace, a generator) and what they ask for (a scenario's lengths and
// promises).
//
//   auto arrivals = poisson_arrivals(2.0, 500, seed);
//   auto requests = make_requests("coder", arrivals, SloTable::paper(), seed);
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/data/trace.h"
#include "ballast/serve/request.h"
#include "ballast/serve/slo.h"

namespace ballast::serve {

/// One row of a request trace. Lengths of 0: the scenario draws them.
struct Arrival {
  double ms = 0;
  int prompt = 0;
  int output = 0;
};

std::vector<Arrival> poisson_arrivals(double per_second, int count, std::uint64_t seed);
/// A trace file (Azure, Vidur or Ballast columns), or "azure-code" / "azure-conv": the original where the
/// data folder has it, else one generated from its published facts. Throws InvalidInput with the line for a
/// malformed one.
struct NamedTrace {
  data::Trace trace;
  std::string source;  ///< file, or "generated: ..."
};
NamedTrace find_trace(const std::string& name_or_file, std::uint64_t seed);

/// thin: keep each arrival with a probability, so that bursts keep their shape in wall-clock time; above the
/// trace's own rate, shifted copies are laid over it. stretch: multiply the gaps, which keeps simultaneous
/// arrivals simultaneous.
enum class Rescale { thin, stretch };
Rescale rescale_from_string(const std::string& word);
/// The first `count` arrivals (0: all) of the trace brought to this rate, beginning at time 0.
std::vector<Arrival> arrivals_of(const data::Trace& trace, double per_second, Rescale mode, std::size_t count,
                                 std::uint64_t seed);

/// Lengths and promises of a scenario (slo.h). `keep_lengths`: take the trace's own lengths where it has them
/// (cut to 4096 prompt and 1024 output tokens).
std::vector<Request> make_requests(const std::string& scenario, const std::vector<Arrival>& arrivals,
                                   const SloTable& slos, std::uint64_t seed, bool keep_lengths = false);

}  // namespace ballast::serve
