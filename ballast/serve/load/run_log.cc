#include "ballast/serve/load/run_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
#include "ballast/serve/meter.h"

namespace ballast::serve {

Json LoggedRequest::to_json() const {
  return {{"id", id},
          {"scenario", scenario},
          {"scheduled_ms", scheduled_ms},
          {"sent_ms", sent_ms},
          {"status", status},
          {"admission", admission},
          {"finish", finish},
          {"prompt_tokens", prompt_tokens},
          {"output_tokens", output_tokens},
          {"ttft_slowdown", ttft_slowdown},
          {"ttft_ms", ttft_ms},
          {"tpot_ms", tpot_ms},
          {"idle_ms", idle_ms},
          {"server_says_met", server_says_met},
          {"token_ms", token_ms},
          {"token_counts", token_counts}};
}

LoggedRequest LoggedRequest::from_json(const Json& json, const std::string& where) {
  try {
    LoggedRequest r;
    r.id = json.at("id").get<std::uint64_t>();
    r.scenario = json.at("scenario").get<std::string>();
    r.scheduled_ms = json.at("scheduled_ms").get<double>();
    r.sent_ms = json.value("sent_ms", r.scheduled_ms);
    r.status = json.at("status").get<int>();
    r.admission = json.value("admission", "");
    r.finish = json.value("finish", "");
    r.prompt_tokens = json.value("prompt_tokens", 0);
    r.output_tokens = json.value("output_tokens", 0);
    r.ttft_slowdown = json.value("ttft_slowdown", 0.0);
    r.ttft_ms = json.value("ttft_ms", 0.0);
    r.tpot_ms = json.at("tpot_ms").get<double>();
    r.idle_ms = json.value("idle_ms", 0.0);
    r.server_says_met = json.value("server_says_met", false);
    r.token_ms = json.at("token_ms").get<std::vector<double>>();
    r.token_counts = json.value("token_counts", std::vector<int>());
    if (r.token_counts.empty()) r.token_counts.assign(r.token_ms.size(), 1);
    if (r.token_counts.size() != r.token_ms.size() || !std::is_sorted(r.token_ms.begin(), r.token_ms.end()) ||
        std::any_of(r.token_counts.begin(), r.token_counts.end(),
                    [](int n) { return n < 1 || n > 1 << 20; }) ||
        !(r.tpot_ms > 0))
      throw InvalidInput(fmt::format(
          "{}: token times must ascend, with a positive count each and a positive tpot_ms", where));
    return r;
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("{}: {}", where, error.what()));
  }
}

LogVerdict judge(const LoggedRequest& request) {
  LogVerdict verdict;
  verdict.answered = request.status == 200 && !request.token_ms.empty() &&
                     (request.finish == "stop" || request.finish == "length");
  if (request.token_ms.empty()) return verdict;
  Round round;
  int tokens = 0;
  for (const int count : request.token_counts) tokens += count;
  round.output = {{Segment::Kind::decode, tokens + 1, request.tpot_ms}};  // ended by end_segment() below
  const double promise = request.ttft_ms > 0 ? request.ttft_ms : request.ttft_slowdown * request.idle_ms;
  RoundMeter meter(round, request.scheduled_ms + promise);
  for (std::size_t i = 0; i < request.token_ms.size(); ++i) {
    for (int k = 0; k < request.token_counts[i]; ++k) meter.token(request.token_ms[i]);
    if (i > 0)
      verdict.worst_gap_ms = std::max(verdict.worst_gap_ms, request.token_ms[i] - request.token_ms[i - 1]);
  }
  meter.end_segment();
  verdict.ttft_ms = request.token_ms.front() - request.scheduled_ms;
  verdict.slowdown = request.idle_ms > 0 ? verdict.ttft_ms / request.idle_ms : 0;
  verdict.tpot_ms = meter.worst_tpot_ms();
  verdict.met_token = verdict.answered && meter.met_token();
  verdict.met_mean = verdict.answered && meter.met_mean();
  return verdict;
}

LogSummary summarise(const std::vector<LoggedRequest>& log) {
  LogSummary s;
  std::vector<double> ttft, tpot;
  double first = 1e300, last = 0, tokens = 0;
  int met_token = 0, met_mean = 0, kept = 0;
  for (const LoggedRequest& request : log) {
    const LogVerdict verdict = judge(request);
    ++s.requests;
    s.answered += verdict.answered ? 1 : 0;
    s.guaranteed += request.admission == "guaranteed" ? 1 : 0;
    s.best_effort += request.admission == "best_effort" ? 1 : 0;
    s.declined += request.status == 429 ? 1 : 0;
    s.failed += !verdict.answered && request.status != 429 ? 1 : 0;
    met_token += verdict.met_token ? 1 : 0;
    met_mean += verdict.met_mean ? 1 : 0;
    kept += request.admission == "guaranteed" && verdict.met_token ? 1 : 0;
    s.server_disagrees +=
        verdict.answered && !request.admission.empty() && request.server_says_met != verdict.met_token ? 1
                                                                                                       : 0;
    first = std::min(first, request.scheduled_ms);
    if (request.token_ms.empty()) continue;
    last = std::max(last, request.token_ms.back());
    ttft.push_back(verdict.ttft_ms);
    if (request.token_ms.size() > 1) tpot.push_back(verdict.tpot_ms);
    s.worst_gap_ms = std::max(s.worst_gap_ms, verdict.worst_gap_ms);
    for (const int count : request.token_counts) tokens += count;
  }
  if (s.requests > 0) {
    s.attainment_token = static_cast<double>(met_token) / s.requests;
    s.attainment_mean = static_cast<double>(met_mean) / s.requests;
  }
  s.guaranteed_kept = s.guaranteed > 0 ? static_cast<double>(kept) / s.guaranteed : 1;
  if (!ttft.empty()) s.p50_ttft_ms = quantile(ttft, 0.5), s.p99_ttft_ms = quantile(ttft, 0.99);
  if (!tpot.empty()) s.p50_tpot_ms = quantile(tpot, 0.5), s.p99_tpot_ms = quantile(tpot, 0.99);
  if (last > first) s.output_tokens_per_s = tokens * 1000 / (last - first);
  return s;
}

Table summary_table(const LogSummary& s, const std::string& title) {
  Table table(title, {"figure", "value"});
  auto percent = [](double x) { return fmt::format("{:.1f} %", 100 * x); };
  table.row({"requests (answered, declined, failed)",
             fmt::format("{} ({}, {}, {})", s.requests, s.answered, s.declined, s.failed)});
  table.row({"kept every promise, of all (token metric)", percent(s.attainment_token)});
  table.row({"kept on average, of all (mean metric)", percent(s.attainment_mean)});
  table.row({"guaranteed by the server, of these kept",
             fmt::format("{}, {}", s.guaranteed, percent(s.guaranteed_kept))});
  table.row({"first token ms, p50 / p99", fmt::format("{:.0f} / {:.0f}", s.p50_ttft_ms, s.p99_ttft_ms)});
  table.row({"ms a token, p50 / p99", fmt::format("{:.1f} / {:.1f}", s.p50_tpot_ms, s.p99_tpot_ms)});
  table.row({"longest gap ms", fmt::format("{:.0f}", s.worst_gap_ms)});
  table.row({"output tokens/s", fmt::format("{:.0f}", s.output_tokens_per_s)});
  table.row({"server and client disagree on", std::to_string(s.server_disagrees)});
  return table;
}

Json to_json(const LogSummary& s) {
  return {{"requests", s.requests},
          {"answered", s.answered},
          {"declined", s.declined},
          {"failed", s.failed},
          {"guaranteed", s.guaranteed},
          {"best_effort", s.best_effort},
          {"attainment_token", s.attainment_token},
          {"attainment_mean", s.attainment_mean},
          {"guaranteed_kept", s.guaranteed_kept},
          {"ttft_ms", {{"p50", s.p50_ttft_ms}, {"p99", s.p99_ttft_ms}}},
          {"tpot_ms", {{"p50", s.p50_tpot_ms}, {"p99", s.p99_tpot_ms}}},
          {"worst_gap_ms", s.worst_gap_ms},
          {"output_tokens_per_s", s.output_tokens_per_s},
          {"server_disagrees", s.server_disagrees},
          {"basis", "measured"}};
}

std::vector<RequestBars> bars(const std::vector<LoggedRequest>& log) {
  std::vector<RequestBars> result;
  for (const LoggedRequest& request : log)
    result.push_back({.name = fmt::format("{} {}", request.scenario, request.id),
                      .arrival_ms = request.scheduled_ms,
                      .token_ms = request.token_ms,
                      .admission = request.admission,
                      .kept = judge(request).met_token});
  return result;
}

std::vector<LoggedRequest> read_log(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::vector<LoggedRequest> log;
  std::uint64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.empty()) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (json.is_discarded()) throw InvalidInput::at(path, number, "not a JSON line");
    log.push_back(LoggedRequest::from_json(json, fmt::format("{}:{}", path, number)));
  }
  if (log.empty()) throw InvalidInput(fmt::format("{}: holds no request", path));
  return log;
}

void write_log(const std::string& path, const std::vector<LoggedRequest>& log) {
  AtomicFile file(path);
  for (const LoggedRequest& request : log) file.write(request.to_json().dump() + "\n");
  file.commit();
}

}  // namespace ballast::serve
