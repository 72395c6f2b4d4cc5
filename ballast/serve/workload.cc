#include "ballast/serve/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"

namespace ballast::serve {

std::vector<Arrival> poisson_arrivals(double per_second, int count, std::uint64_t seed) {
  if (!(per_second > 0))
    throw InvalidInput("rate", fmt::format("{}", per_second), "a positive number of requests a second");
  Random random(seed, 0x617272);
  std::vector<Arrival> arrivals;
  double now = 0;
  for (int i = 0; i < count; ++i) {
    now += random.exponential() * 1000 / per_second;
    arrivals.push_back({now, 0, 0});
  }
  return arrivals;
}

Rescale rescale_from_string(const std::string& word) {
  cli::require_one_of("--rescale", word, {"thin", "stretch"});
  return word == "thin" ? Rescale::thin : Rescale::stretch;
}

NamedTrace find_trace(const std::string& name_or_file, std::uint64_t seed) {
  if (std::filesystem::exists(name_or_file)) {
    data::Trace trace = data::read_trace(name_or_file);
    if (!trace.has_arrivals)
      throw InvalidInput(fmt::format("{}: has lengths but no arrival times", name_or_file));
    return {std::move(trace), name_or_file};
  }
  cli::require_one_of("trace (a file, or a name)", name_or_file, {"azure-code", "azure-conv"});
  const bool code = name_or_file == "azure-code";
  const char* folder = std::getenv("BALLAST_SHARED_DATA");
  const std::string file =
      fmt::format("{}/azure/AzureLLMInferenceTrace_{}.csv",
                  folder != nullptr ? folder : BALLAST_SOURCE_DIR "/../shared/data", code ? "code" : "conv");
  if (std::filesystem::exists(file)) return {data::read_trace(file), file};
  return {data::synthetic_trace(code ? data::TraceKind::azure_code : data::TraceKind::azure_conv, 3500, seed),
          fmt::format("generated after the facts of {}", name_or_file)};
}

std::vector<Arrival> arrivals_of(const data::Trace& trace, double per_second, Rescale mode, std::size_t count,
                                 std::uint64_t seed) {
  const double own = trace.rate_per_s();
  if (!(own > 0))
    throw InvalidInput("a trace of fewer than two arrivals, or of no duration, has no rate to rescale");
  const data::Trace moved = mode == Rescale::stretch ? data::stretch(trace, own / per_second)
                                                     : data::at_rate(trace, per_second, seed);
  std::vector<Arrival> arrivals;
  for (const data::Request& request : moved.requests) {
    if (count > 0 && arrivals.size() == count) break;
    arrivals.push_back({(request.arrival_s - moved.requests.front().arrival_s) * 1000,
                        static_cast<int>(request.input_tokens), static_cast<int>(request.output_tokens)});
  }
  return arrivals;
}

namespace {

// A log-normal length by its median and 90th percentile.
int log_normal(Random& random, double median, double p90, int least, int most) {
  const double sigma = std::log(p90 / median) / 1.2815515655446004;
  return std::clamp(static_cast<int>(std::lround(median * std::exp(sigma * random.normal()))), least, most);
}

Round plain(int prompt, double slowdown, int output, double tpot) {
  Round round;
  round.prompt = prompt;
  round.ttft_slowdown = slowdown;
  round.output = {{Segment::Kind::decode, output, tpot}};
  return round;
}

std::vector<Round> rounds_of(const std::string& scenario, const Arrival& arrival, const SloTable& slos,
                             Random& random, bool keep) {
  auto prompt = [&](double median, double p90, int most) {
    const int drawn = log_normal(random, median, p90, 8, most);
    return keep && arrival.prompt > 0 ? std::min(arrival.prompt, 4096) : drawn;
  };
  auto output = [&](double median, double p90, int most) {
    const int drawn = log_normal(random, median, p90, 2, most);
    return keep && arrival.output > 0 ? std::clamp(arrival.output, 1, 1024) : drawn;
  };
  if (scenario == "chatbot")
    return {plain(prompt(1020, 2735, 4096), slos.loose_slowdown, output(129, 424, 1024), slos.loose_tpot_ms)};
  if (scenario == "coder")
    return {plain(prompt(157, 266, 1024), slos.loose_slowdown, output(82, 177, 512), slos.tight_tpot_ms)};
  if (scenario == "summarizer") {
    const int drawn = std::clamp(static_cast<int>(std::lround(2588 + 945 * random.normal())), 200, 6000);
    return {plain(keep && arrival.prompt > 0 ? std::min(arrival.prompt, 4096) : drawn, slos.tight_slowdown,
                  output(167, 372, 400), slos.loose_tpot_ms)};
  }
  if (scenario == "toolcall") {
    const int count = 2 + static_cast<int>(random.below(5));
    std::vector<Round> rounds;
    for (int i = 0; i < count; ++i) {
      const bool last = i + 1 == count;
      rounds.push_back(plain(i == 0 ? 1200 : 300, slos.tight_slowdown, log_normal(random, 54, 90, 4, 256),
                             last ? slos.loose_tpot_ms : slos.tight_tpot_ms));
      if (!last) rounds.back().tool_wait_ms = 1000 * std::exp(0.5 * random.normal());
    }
    return rounds;
  }
  if (scenario == "reasoning") {
    Round round;
    round.prompt = prompt(180, 320, 2048);
    round.ttft_slowdown = slos.tight_slowdown;
    round.output = {{Segment::Kind::think, log_normal(random, 1570, 3800, 16, 8192), slos.tight_tpot_ms},
                    {Segment::Kind::decode, log_normal(random, 270, 480, 8, 1024), slos.loose_tpot_ms}};
    return {round};
  }
  BALLAST_CHECK(false, "a scenario without lengths: " + scenario);
}

}  // namespace

std::vector<Request> make_requests(const std::string& scenario, const std::vector<Arrival>& arrivals,
                                   const SloTable& slos, std::uint64_t seed, bool keep_lengths) {
  cli::require_one_of("--scenario", scenario, scenario_names());
  std::vector<Request> requests;
  requests.reserve(arrivals.size());
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    Random random(seed, mix64(i));  // a request's lengths do not depend on the others
    Request request;
    request.id = i;
    request.arrival_ms = arrivals[i].ms;
    request.scenario = scenario;
    if (scenario == "mixed") {
      static const char* kParts[] = {"chatbot", "coder", "summarizer"};
      request.scenario = kParts[random.below(3)];
    }
    request.rounds = rounds_of(request.scenario, arrivals[i], slos, random, keep_lengths);
    requests.push_back(std::move(request));
  }
  return requests;
}

}  // namespace ballast::serve
