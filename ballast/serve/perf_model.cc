#include "ballast/serve/perf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/serve/presets.h"

namespace ballast::serve {

void BatchLoad::add_decode(int verified_tokens, int context) {
  tokens += verified_tokens;
  decode_context += context;
  ++decodes;
}

void BatchLoad::add_chunk(int chunk, int done) {
  const double c = chunk, d = done;
  tokens += chunk;
  prefill_area += c * (2 * d + c);
  chunk_done += c * d;
  chunk_square += c * c;
  tile_done += std::min(c, 64.0) * d;
  ++chunks;
}

double PerfModel::base_ms(double tokens) const {
  if (tokens <= 0) return 0;
  if (table.empty()) {
    double highest = 0;
    for (const Line& line : lines) highest = std::max(highest, line.fixed_ms + line.ms_per_token * tokens);
    return highest;
  }
  if (tokens <= table.front().first) return table.front().second;
  std::size_t right = 1;
  while (right + 1 < table.size() && table[right].first < tokens) ++right;
  const auto& [x0, y0] = table[right - 1];
  const auto& [x1, y1] = table[right];
  return y0 + (y1 - y0) * (tokens - x0) / (x1 - x0);  // beyond the last knot: the last slope
}

double PerfModel::rest_ms(const BatchLoad& load) const {
  double ms =
      kv_ms * load.decode_context + area_ms * load.prefill_area + draft_ms * load.draft_steps + overhead_ms;
  ms += cpu.done * load.chunk_done + cpu.square * load.chunk_square + cpu.tile * load.tile_done;
  if (load.decodes > 0 && load.chunks > 0) ms += cpu.mixed_pass;
  return ms + cpu.pool * load.tokens * load.highest_cell;
}

double PerfModel::step_ms(const BatchLoad& load) const {
  if (load.tokens <= 0) return 0;
  return (base_ms(load.tokens) + rest_ms(load)) * scale;
}

// The inverse of base_ms: the largest N with base(N) <= ms, as a real number; negative when there is none.
double PerfModel::tokens_for_base(double ms) const {
  double tokens = 1e9;
  if (table.empty()) {
    for (const Line& line : lines) {
      if (line.ms_per_token > 0)
        tokens = std::min(tokens, (ms - line.fixed_ms) / line.ms_per_token);
      else if (line.fixed_ms > ms)
        return -1;
    }
    return tokens;
  }
  if (ms < table.front().second) return -1;
  std::size_t right = 1;
  while (right + 1 < table.size() && table[right].second <= ms) ++right;
  const auto& [x0, y0] = table[right - 1];
  const auto& [x1, y1] = table[right];
  return y1 > y0 ? x0 + (x1 - x0) * (ms - y0) / (y1 - y0) : x1;
}

double PerfModel::tokens_within(double ms, double decode_context, int draft_steps) const {
  const double budget =
      ms / ((1 + safety) * scale) - kv_ms * decode_context - draft_ms * draft_steps - overhead_ms;
  const double tokens = std::floor(tokens_for_base(budget) + 1e-9);
  const double most = max_batch_tokens > 0 ? max_batch_tokens : 1e9;
  return tokens < 1 ? 0 : std::min(tokens, most);
}

int PerfModel::max_chunk(const BatchLoad& load, int done, int limit, double ms) const {
  if (max_batch_tokens > 0) limit = std::min(limit, max_batch_tokens - load.tokens);
  if (limit <= 0) return 0;
  auto fits = [&](int chunk) {
    BatchLoad with = load;
    with.add_chunk(chunk, done);
    return planned_ms(with) <= ms + 1e-9;
  };
  if (fits(limit)) return limit;
  int low = 0, high = limit;  // low fits (an empty chunk adds nothing), high does not
  // The lines alone give an upper bound at once; the terms that grow with the chunk only lower it.
  const double bound = tokens_for_base(ms / ((1 + safety) * scale)) - load.tokens + 1;
  if (bound < high) high = std::max(1, static_cast<int>(bound));
  while (high - low > 1) {
    const int middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low == 0 && high < limit && fits(high) ? high : low;
}

double PerfModel::idle_prefill_ms(int prompt, int done) const {
  double ms = 0;
  while (done < prompt) {
    const int chunk = max_batch_tokens > 0 ? std::min(prompt - done, max_batch_tokens) : prompt - done;
    BatchLoad load;
    load.add_chunk(chunk, done);
    ms += planned_ms(load);
    done += chunk;
  }
  return ms;
}

double PerfModel::compute_ms_per_token() const {
  double steepest = 0;
  if (table.empty()) {
    for (const Line& line : lines) steepest = std::max(steepest, line.ms_per_token);
  } else {
    const auto& [x0, y0] = table[table.size() - 2];
    const auto& [x1, y1] = table.back();
    steepest = (y1 - y0) / (x1 - x0);
  }
  return steepest;
}

double PerfModel::effective_tokens(int done, int total) const {
  const double d = done, p = total, work = p - d;
  const double attention = area_ms * (p * p - d * d) + cpu.done * (p * p - d * d) / 2 + cpu.square * work;
  return work + attention / compute_ms_per_token();
}

PerfModel PerfModel::without(const std::vector<std::string>& off) const {
  PerfModel result = *this;
  for (const std::string& term : off) {
    cli::require_one_of("performance term", term, {"kv", "area", "draft", "overhead", "cpu"});
    if (term == "kv") result.kv_ms = 0;
    if (term == "area") result.area_ms = 0;
    if (term == "draft") result.draft_ms = 0;
    if (term == "overhead") result.overhead_ms = 0;
    if (term == "cpu") result.cpu = {};
  }
  return result;
}

std::vector<std::string> PerfModel::presets() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

PerfModel PerfModel::load(const std::string& name_or_file) {
  for (const Preset& preset : kPresets) {
    if (name_or_file != preset.name) continue;
    PerfModel perf;
    perf.name = preset.name;
    perf.device = preset.device;
    perf.model = preset.model;
    perf.origin = fmt::format("published:{}", preset.source);
    perf.lines = {preset.memory, preset.compute};
    perf.kv_ms = preset.kv_ms;
    perf.area_ms = preset.area_ms;
    perf.kv_tokens = preset.kv_tokens;
    perf.max_batch_tokens = 16384;
    perf.max_sequences = 4096;
    return perf;
  }
  if (std::filesystem::exists(name_or_file)) return from_json(read_json(name_or_file), name_or_file);
  cli::require_one_of("performance model (a preset or an existing file)", name_or_file, presets());
  BALLAST_CHECK(false, "require_one_of returned for a word that is not accepted");
}

namespace {
constexpr const char* kSchema = "ballast.perf/1";

double number(const Json& json, const char* key, const std::string& where, double least = 0) {
  if (!json.contains(key)) return 0;
  if (!json.at(key).is_number()) throw InvalidInput(fmt::format("{}: '{}' is no number", where, key));
  const double value = json.at(key).get<double>();
  if (!std::isfinite(value) || value < least)
    throw InvalidInput(fmt::format("{}: '{}' is {}; accepted: at least {}", where, key, value, least));
  return value;
}
}  // namespace

PerfModel PerfModel::from_json(const Json& json, const std::string& where) {
  if (!json.is_object() || json.value("schema", "") != kSchema)
    throw InvalidInput(fmt::format("{}: not a performance profile (its schema is not {})", where, kSchema));
  try {
    PerfModel perf;
    perf.name = json.value("name", where);
    perf.device = json.value("device", "");
    perf.model = json.value("model", "");
    perf.origin = json.at("origin").get<std::string>();
    for (const auto& line : json.value("lines", Json::array()))
      perf.lines.push_back({number(line, "fixed_ms", where), number(line, "ms_per_token", where)});
    for (const auto& knot : json.value("table", Json::array())) {
      const double tokens = knot.at(0).get<double>(), ms = knot.at(1).get<double>();
      if (!perf.table.empty() && (tokens <= perf.table.back().first || ms < perf.table.back().second))
        throw InvalidInput(
            fmt::format("{}: the table must increase; it does not at {} tokens", where, tokens));
      perf.table.emplace_back(tokens, ms);
    }
    if (perf.lines.empty() && perf.table.size() < 2)
      throw InvalidInput(fmt::format("{}: has neither lines nor a table of at least two knots", where));
    if (perf.compute_ms_per_token() <= 0)
      throw InvalidInput(fmt::format("{}: more tokens must take more time", where));
    perf.kv_ms = number(json, "kv_ms", where);
    perf.area_ms = number(json, "area_ms", where);
    perf.draft_ms = number(json, "draft_ms", where);
    perf.overhead_ms = number(json, "overhead_ms", where);
    if (const auto cpu = json.find("cpu"); cpu != json.end()) {
      perf.cpu = {number(*cpu, "done", where), number(*cpu, "square", where), number(*cpu, "tile", where),
                  number(*cpu, "mixed_pass", where), number(*cpu, "pool", where)};
    }
    perf.kv_tokens = static_cast<int>(number(json, "kv_tokens", where, 1));
    perf.max_batch_tokens = static_cast<int>(number(json, "max_batch_tokens", where));
    perf.max_sequences = static_cast<int>(number(json, "max_sequences", where));
    perf.safety = number(json, "safety", where);
    perf.statistics = json.value("statistics", Json::object());
    return perf;
  } catch (const Json::exception& error) {
    throw InvalidInput(fmt::format("{}: {}", where, error.what()));
  }
}

Json PerfModel::to_json() const {
  Json json{{"schema", kSchema}, {"name", name}, {"device", device}, {"model", model}, {"origin", origin}};
  for (const Line& line : lines)
    json["lines"].push_back({{"fixed_ms", line.fixed_ms}, {"ms_per_token", line.ms_per_token}});
  for (const auto& [tokens, ms] : table) json["table"].push_back(Json::array({tokens, ms}));
  json["kv_ms"] = kv_ms;
  json["area_ms"] = area_ms;
  json["draft_ms"] = draft_ms;
  json["overhead_ms"] = overhead_ms;
  json["cpu"] = {{"done", cpu.done},
                 {"square", cpu.square},
                 {"tile", cpu.tile},
                 {"mixed_pass", cpu.mixed_pass},
                 {"pool", cpu.pool}};
  json["kv_tokens"] = kv_tokens;
  json["max_batch_tokens"] = max_batch_tokens;
  json["max_sequences"] = max_sequences;
  json["safety"] = safety;
  json["statistics"] = statistics;
  return json;
}

}  // namespace ballast::serve
