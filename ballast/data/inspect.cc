#include "ballast/data/inspect.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/data/csv.h"
#include "ballast/data/idx.h"
#include "ballast/data/npy.h"
#include "ballast/data/safetensors.h"
#include "ballast/data/trace.h"

namespace ballast::data {
namespace {

void add_array(Inspection& out, const std::string& name, const ArrayView& array) {
  out.table.row({name, std::string(to_string(array.dtype)), to_string(array.shape),
                 to_string(Bytes{array.bytes.size()})});
  out.json["arrays"].push_back({{"name", name},
                                {"dtype", std::string(to_string(array.dtype))},
                                {"shape", array.shape},
                                {"bytes", array.bytes.size()}});
}

Inspection of_arrays(const std::string& path, const std::string& format) {
  Inspection out{format, Table(path, {"array", "type", "shape", "size"}), {}};
  out.json["arrays"] = Json::array();
  if (format == "npy") {
    add_array(out, "-", read_npy(InputStream::open(path)).view());
  } else if (format == "idx") {
    add_array(out, "-", read_idx(InputStream::open(path)).view());
  } else if (format == "npz") {
    for (const auto& [name, array] : read_npz(path)) add_array(out, name, array.view());
  } else {
    const SafetensorsFile file(path);
    for (const auto& [name, view] : file.tensors()) add_array(out, name, view);
    out.json["metadata"] = file.metadata();
  }
  return out;
}

Inspection of_trace(const std::string& path) {
  const Trace trace = read_trace(path);
  const TraceFacts facts = facts_of(trace);
  Inspection out{
      "trace", Table(fmt::format("{}: request trace ({})", path, trace.form), {"fact", "value"}), {}};
  const auto fact = [&out](const char* key, const char* words, double value) {
    out.table.row({words, fmt::format("{:.6g}", value)});
    out.json["facts"][key] = value;
  };
  out.json["form"] = trace.form;
  fact("requests", "requests", static_cast<double>(facts.requests));
  if (trace.has_arrivals) {
    fact("span_s", "span (s)", facts.span_s);
    fact("rate_per_s", "rate (1/s)", facts.rate_per_s);
    fact("gap_cv", "coefficient of variation of the gaps", facts.gap_cv);
    fact("gap_p50_s", "gap p50 (s)", facts.gap_p50_s);
    fact("gap_p90_s", "gap p90 (s)", facts.gap_p90_s);
    fact("gap_p99_s", "gap p99 (s)", facts.gap_p99_s);
    fact("gap_max_s", "longest gap (s)", facts.gap_max_s);
    fact("count_max", "most requests in a second", facts.count_max);
    fact("dispersion_1s", "variance/mean of 1-s counts", facts.dispersion_1s);
    fact("dispersion_10s", "variance/mean of 10-s counts", facts.dispersion_10s);
    fact("dispersion_60s", "variance/mean of 60-s counts", facts.dispersion_60s);
    fact("empty_seconds", "share of empty seconds", facts.empty_seconds);
    fact("autocorrelation_1", "autocorrelation of 1-s counts, lag 1", facts.autocorrelation_1);
    fact("autocorrelation_10", "autocorrelation of 1-s counts, lag 10", facts.autocorrelation_10);
  }
  fact("input_mean", "input tokens, mean", facts.input_mean);
  fact("input_p50", "input tokens, p50", facts.input_p50);
  fact("input_p90", "input tokens, p90", facts.input_p90);
  fact("input_p99", "input tokens, p99", facts.input_p99);
  fact("output_mean", "output tokens, mean", facts.output_mean);
  fact("output_p50", "output tokens, p50", facts.output_p50);
  fact("output_p90", "output tokens, p90", facts.output_p90);
  fact("output_p99", "output tokens, p99", facts.output_p99);
  return out;
}

bool is_number(std::string_view field) {
  double value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
  return error == std::errc() && end == field.data() + field.size();
}

Inspection of_csv(const std::string& path) {
  CsvReader rows(InputStream::open(path));
  struct Column {
    bool numbers = true;
    std::uint64_t empty = 0;
  };
  std::vector<Column> columns(rows.columns().size());
  std::uint64_t count = 0;
  while (rows.next()) {
    ++count;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto field = rows.text(i);
      if (field.empty())
        ++columns[i].empty;
      else if (columns[i].numbers && !is_number(field))
        columns[i].numbers = false;
    }
  }
  Inspection out{"csv", Table(fmt::format("{}: {} rows", path, count), {"column", "holds", "empty"}), {}};
  out.json["rows"] = count;
  out.json["columns"] = Json::array();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string holds = columns[i].empty == count ? "nothing" : columns[i].numbers ? "numbers" : "text";
    out.table.row({rows.columns()[i], holds, std::to_string(columns[i].empty)});
    out.json["columns"].push_back(
        {{"name", rows.columns()[i]}, {"holds", holds}, {"empty", columns[i].empty}});
  }
  return out;
}

}  // namespace

std::string format_of(const std::string& path, std::string_view first_bytes) {
  std::string name = path;
  for (const char* suffix : {".gz", ".zst"})
    if (name.ends_with(suffix)) name.resize(name.size() - std::string_view(suffix).size());
  if (first_bytes.starts_with("\x93NUMPY")) return "npy";
  if (first_bytes.starts_with("PK\x03\x04") || first_bytes.starts_with("PK\x05\x06")) return "npz";
  if (name.ends_with(".safetensors") ||
      (first_bytes.size() > 8 && first_bytes[8] == '{' && first_bytes[7] == '\0'))
    return "safetensors";
  if (first_bytes.size() >= 4 && first_bytes[0] == '\0' && first_bytes[1] == '\0') return "idx";
  const std::string_view line = first_bytes.substr(0, first_bytes.find('\n'));
  if (line.starts_with("TIMESTAMP,ContextTokens") || line.starts_with("num_prefill_tokens") ||
      line.starts_with("arrival_s,"))
    return "trace";
  if (name.ends_with(".csv") ||
      (line.size() < first_bytes.size() && line.find(',') != std::string_view::npos))
    return "csv";
  return {};
}

Inspection inspect(const std::string& path) {
  std::array<char, 256> first{};
  const std::size_t got = InputStream::open(path).read(first.data(), first.size());
  const std::string format = format_of(path, {first.data(), got});
  Inspection out;
  if (format.empty()) {
    throw InvalidInput(
        path +
        " is of no format that is read here; accepted: npy, npz, safetensors, IDX, CSV, request traces");
  } else if (format == "trace") {
    out = of_trace(path);
  } else if (format == "csv") {
    out = of_csv(path);
  } else {
    out = of_arrays(path, format);
  }
  out.json["format"] = format;
  out.json["file"] = path;
  return out;
}

}  // namespace ballast::data
