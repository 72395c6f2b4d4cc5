#include "ballast/data/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/data/csv.h"

namespace ballast::data {
namespace {

constexpr std::int64_t kMostTokens = std::int64_t{1} << 24;

std::uint32_t tokens(const CsvReader& rows, std::size_t column) {
  return static_cast<std::uint32_t>(rows.integer(column, 0, kMostTokens));
}

// Days since 1970-01-01 of a date of the Gregorian calendar.
std::int64_t days_of(std::int64_t year, std::int64_t month, std::int64_t day) {
  year -= month <= 2;
  const std::int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
  const std::int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
  return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

// "2023-11-16 18:17:03.9799600", with an optional "+00:00"; ticks of 100 ns since 1970, or nullopt.
std::optional<std::int64_t> ticks_of(std::string_view text) {
  if (text.ends_with("+00:00")) text.remove_suffix(6);
  if (text.size() < 19 || text.size() > 29) return std::nullopt;
  const auto digits = [&text](std::size_t at, std::size_t count) -> std::int64_t {
    std::int64_t value = 0;
    for (std::size_t i = at; i < at + count; ++i) {
      if (text[i] < '0' || text[i] > '9') return -1;
      value = value * 10 + (text[i] - '0');
    }
    return value;
  };
  const std::int64_t year = digits(0, 4), month = digits(5, 2), day = digits(8, 2), hour = digits(11, 2),
                     minute = digits(14, 2), second = digits(17, 2);
  const bool separators = text[4] == '-' && text[7] == '-' && (text[10] == ' ' || text[10] == 'T') &&
                          text[13] == ':' && text[16] == ':';
  if (!separators || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
      minute < 0 || minute > 59 || second < 0 || second > 60)
    return std::nullopt;
  std::int64_t fraction = 0;
  if (text.size() > 19) {
    if (text[19] != '.' || text.size() == 20) return std::nullopt;
    for (std::size_t i = 20; i < text.size(); ++i)
      if (text[i] < '0' || text[i] > '9') return std::nullopt;
    for (std::size_t i = 20; i < 27; ++i) fraction = fraction * 10 + (i < text.size() ? text[i] - '0' : 0);
  }
  return (((days_of(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 10'000'000 + fraction;
}

Trace read_azure(CsvReader& rows) {
  const std::size_t time = rows.column("TIMESTAMP"), input = rows.column("ContextTokens"),
                    output = rows.column("GeneratedTokens");
  Trace trace{"azure", true, {}};
  std::int64_t first = 0, last = 0;
  while (rows.next()) {
    const auto ticks = ticks_of(rows.text(time));
    if (!ticks) rows.refuse(time, "a time such as 2023-11-16 18:17:03.9799600");
    if (trace.requests.empty()) first = last = *ticks;
    if (*ticks < last) rows.refuse(time, "times that do not go back");
    last = *ticks;
    trace.requests.push_back(
        {static_cast<double>(*ticks - first) * 1e-7, tokens(rows, input), tokens(rows, output)});
  }
  return trace;
}

Trace read_relative(CsvReader& rows, Trace trace, std::optional<std::size_t> time, std::size_t input,
                    std::size_t output, std::optional<std::size_t> total) {
  trace.has_arrivals = time.has_value();
  double last = 0;
  while (rows.next()) {
    Request request{0, tokens(rows, input), tokens(rows, output)};
    if (time) {
      request.arrival_s = rows.number(*time);
      if (request.arrival_s < last) rows.refuse(*time, "times of at least 0 that do not go back");
      last = request.arrival_s;
    }
    if (total && tokens(rows, *total) != request.input_tokens + request.output_tokens)
      rows.refuse(*total, "the sum of prefill and decode tokens");
    trace.requests.push_back(request);
  }
  return trace;
}

double dispersion(const Trace& trace, double window_s, std::vector<double>& counts) {
  counts.assign(static_cast<std::size_t>(trace.span_s() / window_s) + 1, 0.0);
  const double first = trace.requests.front().arrival_s;
  for (const auto& request : trace.requests)
    ++counts[std::min(counts.size() - 1, static_cast<std::size_t>((request.arrival_s - first) / window_s))];
  return variance(counts) / mean(counts);
}

double autocorrelation(const std::vector<double>& counts, std::size_t lag) {
  const double middle = mean(counts);
  double product = 0, square = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    square += (counts[i] - middle) * (counts[i] - middle);
    if (i >= lag) product += (counts[i] - middle) * (counts[i - lag] - middle);
  }
  return square > 0 ? product / square : 0;
}

}  // namespace

Trace read_trace(InputStream in) {
  CsvReader rows(std::move(in));
  Trace trace;
  if (rows.has_column("TIMESTAMP")) {
    trace = read_azure(rows);
  } else if (rows.has_column("num_prefill_tokens")) {
    const auto optional = [&rows](const char* name) {
      return rows.has_column(name) ? std::optional(rows.column(name)) : std::nullopt;
    };
    trace =
        read_relative(rows, {"vidur", false, {}}, optional("arrived_at"), rows.column("num_prefill_tokens"),
                      rows.column("num_decode_tokens"), optional("num_total_tokens"));
  } else if (rows.has_column("arrival_s")) {
    trace = read_relative(rows, {"ballast", true, {}}, rows.column("arrival_s"), rows.column("input_tokens"),
                          rows.column("output_tokens"), std::nullopt);
  } else {
    throw InvalidInput::at(
        rows.name(), 1, "the header is that of no request trace",
        "TIMESTAMP,ContextTokens,GeneratedTokens (Azure), num_prefill_tokens,num_decode_tokens "
        "(Vidur), or arrival_s,input_tokens,output_tokens");
  }
  if (trace.requests.empty()) throw InvalidInput::at(rows.name(), 2, "the trace has no request");
  return trace;
}

Trace read_trace(const std::string& path) {
  return read_trace(InputStream::open(path));
}

void write_trace(const std::string& path, const Trace& trace) {
  CsvWriter rows(path, {"arrival_s", "input_tokens", "output_tokens"});
  for (const auto& request : trace.requests)
    rows.row({fmt::format("{:.6f}", request.arrival_s), std::to_string(request.input_tokens),
              std::to_string(request.output_tokens)});
  rows.commit();
}

Trace thin(const Trace& trace, double keep, std::uint64_t seed) {
  if (!(keep > 0) || keep > 1)
    throw InvalidInput("share to keep", fmt::format("{}", keep), "above 0, up to 1");
  Trace thinned{trace.form, trace.has_arrivals, {}};
  for (std::size_t i = 0; i < trace.requests.size(); ++i)
    if (Random(seed, i).uniform() < keep) thinned.requests.push_back(trace.requests[i]);
  return thinned;
}

Trace stretch(const Trace& trace, double factor) {
  if (!(factor > 0) || !std::isfinite(factor))
    throw InvalidInput("stretch factor", fmt::format("{}", factor), "a positive number");
  Trace stretched = trace;
  for (auto& request : stretched.requests) request.arrival_s *= factor;
  return stretched;
}

Trace overlay(const Trace& trace, int copies, std::uint64_t seed) {
  if (copies < 1) throw InvalidInput("copies of the trace", std::to_string(copies), "at least 1");
  Trace all = trace;
  const double span = trace.span_s();
  for (int copy = 1; copy < copies; ++copy) {
    const double shift = Random(seed, static_cast<std::uint64_t>(copy)).uniform() * span;
    for (Request request : trace.requests) {
      request.arrival_s += shift;
      if (request.arrival_s > span) request.arrival_s -= span;
      all.requests.push_back(request);
    }
  }
  std::stable_sort(all.requests.begin(), all.requests.end(),
                   [](const Request& a, const Request& b) { return a.arrival_s < b.arrival_s; });
  return all;
}

Trace at_rate(const Trace& trace, double requests_per_s, std::uint64_t seed) {
  const double own = trace.rate_per_s();
  if (!(requests_per_s > 0) || !std::isfinite(requests_per_s / own))
    throw InvalidInput("request rate", fmt::format("{}", requests_per_s),
                       "a positive number, of a trace with arrivals");
  const double copies = std::ceil(requests_per_s / own);
  if (copies > 10'000)
    throw InvalidInput("request rate", fmt::format("{}", requests_per_s),
                       "up to 10 000 times the trace's own");
  return thin(overlay(trace, static_cast<int>(copies), seed), requests_per_s / (own * copies), seed + 1);
}

TraceFacts facts_of(const Trace& trace) {
  TraceFacts facts;
  facts.requests = trace.requests.size();
  std::vector<double> input, output, gaps;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    input.push_back(trace.requests[i].input_tokens);
    output.push_back(trace.requests[i].output_tokens);
    if (i > 0) gaps.push_back(trace.requests[i].arrival_s - trace.requests[i - 1].arrival_s);
  }
  facts.input_mean = mean(input);
  facts.input_p50 = quantile(input, 0.5);
  facts.input_p90 = quantile(input, 0.9);
  facts.input_p99 = quantile(input, 0.99);
  facts.output_mean = mean(output);
  facts.output_p50 = quantile(output, 0.5);
  facts.output_p90 = quantile(output, 0.9);
  facts.output_p99 = quantile(output, 0.99);
  if (!trace.has_arrivals || gaps.empty() || trace.span_s() <= 0) return facts;
  facts.span_s = trace.span_s();
  facts.rate_per_s = trace.rate_per_s();
  facts.gap_cv = std::sqrt(variance(gaps)) / mean(gaps);
  facts.gap_p50_s = quantile(gaps, 0.5);
  facts.gap_p90_s = quantile(gaps, 0.9);
  facts.gap_p99_s = quantile(gaps, 0.99);
  facts.gap_max_s = quantile(gaps, 1);
  std::vector<double> counts;
  facts.dispersion_10s = dispersion(trace, 10, counts);
  facts.dispersion_60s = dispersion(trace, 60, counts);
  facts.dispersion_1s = dispersion(trace, 1, counts);
  facts.count_max = *std::max_element(counts.begin(), counts.end());
  facts.empty_seconds =
      static_cast<double>(std::count(counts.begin(), counts.end(), 0.0)) / static_cast<double>(counts.size());
  facts.autocorrelation_1 = autocorrelation(counts, 1);
  facts.autocorrelation_10 = autocorrelation(counts, 10);
  return facts;
}

}  // namespace ballast::data
