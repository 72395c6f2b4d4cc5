// Traces with the published facts of the Azure LLM inference trace 2023, for clones without the file.
//
// Lengths and gaps are drawn through their quantile functions, given by a few knots. An hour holds only about
// a hundred silences, whose tail decides every figure of burstiness; so they are drawn stratified (one from
// each hundredth part of their law, in random order): each hour has the tail of an hour, not of a lucky one.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/trace.h"

namespace ballast::data {
namespace {

/// A quantile function: log-linear between its knots.
struct Knot {
  double share, value;
};
double draw(std::span<const Knot> law, double uniform) {
  std::size_t i = 1;
  while (i + 1 < law.size() && uniform > law[i].share) ++i;
  const auto& [p, a] = law[i - 1];
  const auto& [q, b] = law[i];
  const double t = std::clamp((uniform - p) / (q - p), 0.0, 1.0);
  return a * std::pow(b / a, t);
}

constexpr Knot kConvInput[] = {{0, 2},      {.01, 29},   {.05, 181},   {.1, 207},  {.2, 387},  {.3, 403},
                               {.4, 703},   {.5, 1020},  {.6, 1071},   {.7, 1130}, {.8, 1315}, {.9, 2734},
                               {.95, 4083}, {.99, 4142}, {.999, 6179}, {1, 14050}};
constexpr Knot kConvOutput[] = {{0, 7},     {.01, 16},  {.05, 41},   {.1, 54},  {.2, 77},  {.3, 91},
                                {.4, 103},  {.5, 129},  {.6, 177},   {.7, 384}, {.8, 400}, {.9, 424},
                                {.95, 451}, {.99, 601}, {.999, 954}, {1, 1000}};
constexpr Knot kCodeInput[] = {{0, 3},     {.01, 17},  {.05, 75},   {.1, 147},   {.2, 385},
                               {.3, 770},  {.4, 1075}, {.5, 1469},  {.6, 1909},  {.7, 2433},
                               {.8, 3192}, {.9, 5187}, {.95, 7303}, {.99, 7436}, {1, 7437}};
constexpr Knot kCodeOutput[] = {{0, 6},    {.1, 6.9},  {.2, 7.5},   {.3, 8.5}, {.4, 9.5},
                                {.5, 13},  {.6, 16},   {.7, 20},    {.8, 29},  {.9, 55},
                                {.95, 90}, {.99, 251}, {.999, 825}, {1, 1899}};
/// Gaps within a burst, and the silences between bursts, of the code trace.
constexpr Knot kCodeGap[] = {{0, 1e-5},    {.05, 9e-5}, {.1, 2e-4}, {.2, 1.15e-3}, {.3, 3.2e-3},
                             {.38, .0122}, {.4, .085},  {.5, .103}, {.6, .107},    {.7, .112},
                             {.8, .125},   {.9, .19},   {.95, .29}, {.99, .6},     {1, 1}};
constexpr Knot kCodeSilence[] = {{0, 1},    {.1, 1.13}, {.25, 1.7}, {.5, 3.13},
                                 {.75, 23}, {.9, 55},   {.95, 95},  {1, 217}};

std::uint32_t whole(double value) {
  return static_cast<std::uint32_t>(std::max(1L, std::lround(value)));
}

/// What a stream of draws is for.
enum class Use : std::uint64_t { burst = 1, order, silence, size, input, output, wave, gap };

/// The draws that belong to (seed, use, index) alone.
Random keyed(std::uint64_t seed, Use use, std::uint64_t index) {
  return Random(mix64(seed ^ (static_cast<std::uint64_t>(use) << 56)), index);
}

/// Draw i of a sequence that takes one value from each of `strata` equal parts of [0, 1), in random order,
/// over and over.
double stratified(std::uint64_t seed, Use use, std::uint64_t i, std::uint64_t strata) {
  Random order = keyed(mix64(seed ^ static_cast<std::uint64_t>(use)), Use::order, i / strata);
  std::vector<std::uint32_t> part(strata);
  for (std::uint32_t k = 0; k < strata; ++k) part[k] = k;
  order.shuffle(part);
  return (part[i % strata] + keyed(seed, use, i).uniform()) / static_cast<double>(strata);
}

// Bursts of requests, a silence after each. A burst's size is geometric of mean 63; its gaps that are more
// than near-simultaneity (above 20 ms) are stretched by a factor of the whole burst.
std::vector<double> code_arrivals(double duration_s, std::uint64_t seed) {
  constexpr double kSpread = 0.7, kMeanSize = 66, kLarger = 0.4, kSimultaneous = 0.02;
  std::vector<double> arrivals;
  double now = 0;
  for (std::uint64_t burst = 0; now < duration_s; ++burst) {
    Random random = keyed(seed, Use::burst, burst);
    const double stretch = std::exp(kSpread * random.normal());
    const double size = std::ceil(-kMeanSize * std::pow(stretch, -kLarger) *
                                  std::log1p(-stratified(seed, Use::size, burst, 100)));
    for (double i = 0; i < size && now < duration_s; ++i) {
      if (i > 0) {
        const double gap = draw(kCodeGap, random.uniform());
        now += gap > kSimultaneous ? gap * stretch : gap;
      }
      arrivals.push_back(now);
    }
    now += draw(kCodeSilence, stratified(seed, Use::silence, burst, 100));
  }
  return arrivals;
}

// Exponential gaps at a rate that wanders: the product of slow waves with random phases, so that every hour
// has the same share of slow variation; and once in a thousand requests a stall of a second or two.
std::vector<double> conv_arrivals(double duration_s, std::uint64_t seed) {
  constexpr double kRate = 5.6, kStall = 0.001;
  constexpr double kPeriods[] = {2900, 1700, 900, 500, 290, 130, 61, 23};
  constexpr double kAmplitude[] = {.20, .16, .13, .10, .08, .06, .05, .04};
  Random random = keyed(seed, Use::wave, 0);
  double phases[std::size(kPeriods)];
  for (double& phase : phases) phase = random.uniform(0, 2 * std::numbers::pi);
  std::vector<double> arrivals;
  double now = 0;
  while (now < duration_s) {
    arrivals.push_back(now);
    double log_rate = 0;
    for (std::size_t i = 0; i < std::size(kPeriods); ++i)
      log_rate += kAmplitude[i] * std::sin(2 * std::numbers::pi * now / kPeriods[i] + phases[i]);
    now += random.exponential() / (kRate * std::exp(log_rate));
    if (random.uniform() < kStall) now += random.uniform(1.0, 2.2);
  }
  return arrivals;
}

}  // namespace

Trace synthetic_trace(TraceKind kind, double duration_s, std::uint64_t seed) {
  if (!(duration_s > 0) || duration_s > 1e7)
    throw InvalidInput("duration of a trace", fmt::format("{}", duration_s), "above 0, up to 1e7 seconds");
  const bool code = kind == TraceKind::azure_code;
  const auto arrivals = code ? code_arrivals(duration_s, seed) : conv_arrivals(duration_s, seed);
  const std::span<const Knot> input = code ? std::span<const Knot>(kCodeInput) : kConvInput;
  const std::span<const Knot> output = code ? std::span<const Knot>(kCodeOutput) : kConvOutput;
  Trace trace{code ? "like azure-code" : "like azure-conv", true, {}};
  trace.requests.reserve(arrivals.size());
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    trace.requests.push_back({arrivals[i], whole(draw(input, keyed(seed, Use::input, i).uniform())),
                              whole(draw(output, keyed(seed, Use::output, i).uniform()))});
  }
  return trace;
}

}  // namespace ballast::data
