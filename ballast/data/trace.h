// Request traces: when requests arrive and how many tokens each brings and asks for.
//
//   Trace trace = read_trace("AzureLLMInferenceTrace_conv.csv");        // Azure, Vidur or our own columns
//   trace = thin(trace, 0.5, seed);                                     // half the rate, the same bursts
//   Trace made = synthetic_trace(TraceKind::azure_code, 3436, seed);    // for clones without the data
//
// | form | columns | arrivals |
// | Azure LLM inference 2023/2024 | TIMESTAMP,ContextTokens,GeneratedTokens | yes, made relative to the first
// | | Vidur | num_prefill_tokens,num_decode_tokens[,num_total_tokens,pd_ratio][,arrived_at] | if it has
// arrived_at | | Ballast | arrival_s,input_tokens,output_tokens | yes |
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ballast/data/stream.h"

namespace ballast::data {

struct Request {
  double arrival_s = 0;  ///< since the first request; 0 throughout in a trace without arrivals
  std::uint32_t input_tokens = 0;
  std::uint32_t output_tokens = 0;
  bool operator==(const Request&) const = default;
};

struct Trace {
  std::string form;  ///< "azure", "vidur", "ballast" or what generated it
  bool has_arrivals = false;
  std::vector<Request> requests;  ///< by arrival

  double span_s() const {
    return requests.empty() ? 0 : requests.back().arrival_s - requests.front().arrival_s;
  }
  double rate_per_s() const { return span_s() > 0 ? static_cast<double>(requests.size() - 1) / span_s() : 0; }
};

/// The header decides the form. Throws InvalidInput with file and line for anything that is no such trace: a
/// time that goes back, a token count that is no natural number up to 2^24, a Vidur total that is not the
/// sum.
Trace read_trace(InputStream in);
Trace read_trace(const std::string& path);
/// Our own form, whole microseconds; the file appears complete or not at all.
void write_trace(const std::string& path, const Trace& trace);

/// Keeps each request with probability `keep` (0 to 1]: the rate falls, the shape of bursts in wall-clock
/// time stays.
Trace thin(const Trace& trace, double keep, std::uint64_t seed);
/// Multiplies all times by `factor` (> 0): simultaneous arrivals stay simultaneous.
Trace stretch(const Trace& trace, double factor);
/// `copies` copies, each rotated by a random part of the span: rates above the trace's own.
Trace overlay(const Trace& trace, int copies, std::uint64_t seed);
/// The trace brought to a rate: thinned below its own rate, overlaid and then thinned above it.
Trace at_rate(const Trace& trace, double requests_per_s, std::uint64_t seed);

/// What stands in the chapter's table about a trace, for checks and for `ballast data info`.
struct TraceFacts {
  std::size_t requests = 0;
  double span_s = 0, rate_per_s = 0;
  double gap_cv = 0, gap_p50_s = 0, gap_p90_s = 0, gap_p99_s = 0, gap_max_s = 0;
  double count_max = 0, dispersion_1s = 0, empty_seconds = 0;  ///< of the counts in windows of a second
  double dispersion_10s = 0, dispersion_60s = 0;               ///< variance over mean
  double autocorrelation_1 = 0, autocorrelation_10 = 0;        ///< of the 1-s counts
  double input_mean = 0, input_p50 = 0, input_p90 = 0, input_p99 = 0;
  double output_mean = 0, output_p50 = 0, output_p90 = 0, output_p99 = 0;
};
TraceFacts facts_of(const Trace& trace);

enum class TraceKind {
  azure_conv,  ///< chat: nearly Poisson with a slowly wandering rate, 5.5 requests/s
  azure_code,  ///< code completion: bursts of near-simultaneous requests between long silences, 2.6
               ///< requests/s
};

/// A trace drawn from a model fitted to the published facts of the Azure LLM inference trace 2023 (gaps,
/// burst counts, lengths; Patel et al., "Splitwise", ISCA 2024). It shares no request with the original.
Trace synthetic_trace(TraceKind kind, double duration_s, std::uint64_t seed);

}  // namespace ballast::data
