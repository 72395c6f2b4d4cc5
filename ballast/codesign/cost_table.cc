#include "ballast/codesign/cost_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::codesign {
namespace {

constexpr const char* kHeader =
    "device,op,in_shape,weight_shape,stride,groups,precision,latency_us,latency_std_us,energy_uj,count,"
    "source";

std::vector<std::string> split(const std::string& text, char by) {
  std::vector<std::string> parts;
  for (std::size_t at = 0;;) {
    const std::size_t end = text.find(by, at);
    parts.push_back(text.substr(at, end - at));
    if (end == std::string::npos) return parts;
    at = end + 1;
  }
}

/// Throws a problem without a place, which the reader adds.
struct Problem {
  std::string text;
};

std::int64_t whole(const std::string& text, const char* what) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  if (text.empty() || *end != 0 || value < 1 || value > 1ll << 40)
    throw Problem{fmt::format("{} '{}' is no whole number above 0", what, text)};
  return value;
}

double real(const std::string& text, const char* what, bool positive) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != 0 || !std::isfinite(value) || value < 0 || (positive && value == 0))
    throw Problem{fmt::format("{} '{}' is no number {} 0", what, text, positive ? "above" : "of at least")};
  return value;
}

std::vector<std::int64_t> shape_of(const std::string& text, const char* what) {
  std::vector<std::int64_t> shape;
  for (const auto& part : split(text, 'x')) shape.push_back(whole(part, what));
  return shape;
}

Op op_of(const std::string& word) {
  for (int i = 0; i <= static_cast<int>(Op::other); ++i) {
    if (to_string(static_cast<Op>(i)) == word) return static_cast<Op>(i);
  }
  throw Problem{fmt::format("unknown operator '{}'", word)};
}

CostTable::Row read_row(const std::string& line) {
  const auto cells = split(line, ',');
  if (cells.size() != 12) throw Problem{fmt::format("{} cells instead of 12", cells.size())};
  CostTable::Row row;
  row.device = cells[0];
  if (row.device != "npu" && row.device != "cim")
    throw Problem{fmt::format("device '{}' is neither npu nor cim", row.device)};
  Node& node = row.node;
  // "Elementwise:Add" names the operation of the output stage.
  const auto colon = cells[1].find(':');
  node.op = op_of(cells[1].substr(0, colon));
  if (colon != std::string::npos) node.source_op = cells[1].substr(colon + 1);
  node.stride = whole(cells[4], "stride");
  node.groups = whole(cells[5], "groups");
  const auto in = shape_of(cells[2], "in_shape");
  if (node.op == Op::conv || node.op == Op::depthwise_conv || node.op == Op::group_conv) {
    const auto w = shape_of(cells[3], "weight_shape");
    if (in.size() != 4 || w.size() != 4)
      throw Problem{"a convolution needs in_shape NxCxHxW and weight_shape KxCxRxS"};
    node.batch = in[0];
    node.k = w[0];
    node.c = w[1];
    node.fy = w[2];
    node.fx = w[3];
    node.oy = (in[2] + node.stride - 1) / node.stride;
    node.ox = (in[3] + node.stride - 1) / node.stride;
    node.macs = node.batch * node.oy * node.ox * node.k * node.c * node.fy * node.fx;
    node.weight_bytes = node.k * node.c * node.fy * node.fx;
    node.in_bytes = in[0] * in[1] * in[2] * in[3];
    node.out_bytes = node.batch * node.oy * node.ox * node.k;
  } else if (node.op == Op::linear) {
    const auto w = shape_of(cells[3], "weight_shape");
    if (in.size() != 2 || w.size() != 2)
      throw Problem{"a linear layer needs in_shape TxC and weight_shape KxC"};
    node.ox = in[0];
    node.k = w[0];
    node.c = w[1];
    node.macs = node.ox * node.k * node.c;
    node.weight_bytes = node.k * node.c;
    node.in_bytes = node.ox * node.c;
    node.out_bytes = node.ox * node.k;
  } else {
    node.in_bytes = node.out_bytes = 1;
    for (std::int64_t extent : in) node.in_bytes *= extent;
    node.out_bytes = node.in_bytes;
  }
  row.entry.latency_us = real(cells[7], "latency_us", true);
  row.entry.std_us = cells[8].empty() ? 0 : real(cells[8], "latency_std_us", false);
  if (row.entry.std_us > row.entry.latency_us) throw Problem{"the deviation is larger than the mean"};
  if (!cells[9].empty()) row.entry.energy_uj = real(cells[9], "energy_uj", false);
  row.entry.source = cells[11].empty() ? "table" : cells[11];
  return row;
}

using Place = std::array<double, 2>;

Place place_of(const Node& node) {
  return {std::log(static_cast<double>(node.macs) + 1),
          std::log(static_cast<double>(node.in_bytes + node.out_bytes + node.weight_bytes) + 1)};
}

double cross(const Place& o, const Place& a, const Place& b) {
  return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0]);
}

// Whether p lies in the convex hull of the points (Andrew's chain), its border included.
bool inside_hull(std::vector<Place> points, const Place& p) {
  std::sort(points.begin(), points.end());
  points.erase(std::unique(points.begin(), points.end()), points.end());
  if (points.size() < 2) return false;
  std::vector<Place> hull;
  for (int pass = 0; pass < 2; ++pass) {
    const std::size_t start = hull.size();
    for (const auto& q : points) {
      while (hull.size() >= start + 2 && cross(hull[hull.size() - 2], hull.back(), q) <= 0) hull.pop_back();
      hull.push_back(q);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  constexpr double kTouch = 1e-9;
  for (std::size_t i = 0; i < hull.size(); ++i) {
    if (cross(hull[i], hull[(i + 1) % hull.size()], p) < -kTouch) return false;
  }
  const auto [low, high] = std::minmax_element(points.begin(), points.end());
  return p[0] >= (*low)[0] - kTouch && p[0] <= (*high)[0] + kTouch;
}

}  // namespace

std::string class_of(const Node& node) {
  if (node.op == Op::conv || node.op == Op::depthwise_conv || node.op == Op::group_conv)
    return fmt::format("{}_k{}_s{}", to_string(node.op), node.fy, node.stride);
  if (node.op == Op::elementwise && !node.source_op.empty()) return node.source_op;
  return to_string(node.op);
}

std::string table_key(const Node& node, const std::string& device) {
  if (node.macs == 0) return fmt::format("{} {} {}", device, class_of(node), node.in_bytes);
  return fmt::format("{} {} {} {} {} {} {} {} {}", device, class_of(node), node.batch, node.oy, node.ox,
                     node.k, node.c, node.fx, node.groups);
}

std::string table_row_head(const Node& node, const std::string& device, const std::string& precision) {
  const bool conv = node.op == Op::conv || node.op == Op::depthwise_conv || node.op == Op::group_conv;
  std::string in = std::to_string(node.in_bytes), weight;
  if (conv) {
    in = fmt::format("{}x{}x{}x{}", node.batch, node.c * node.groups, node.oy * node.stride,
                     node.ox * node.stride);
    weight = fmt::format("{}x{}x{}x{}", node.k, node.c, node.fy, node.fx);
  } else if (node.op == Op::linear) {
    in = fmt::format("{}x{}", node.ox, node.c);
    weight = fmt::format("{}x{}", node.k, node.c);
  }
  const std::string op =
      node.op == Op::elementwise ? to_string(node.op) + ":" + node.source_op : to_string(node.op);
  return fmt::format("{},{},{},{},{},{},{}", device, op, in, weight, node.stride, node.groups, precision);
}

CostTable CostTable::read(const std::string& path, bool lenient) {
  return parse(read_file(path, std::uint64_t{1} << 28), path, lenient);
}

CostTable CostTable::parse(const std::string& text, const std::string& where, bool lenient) {
  CostTable table;
  std::uint64_t line_number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line_number == 1) {
      if (line != kHeader) throw InvalidInput::at(where, 1, "not the header of a cost table", kHeader);
      continue;
    }
    if (line.empty() || line[0] == '#') continue;
    try {
      Row row = read_row(line);
      const std::string key = table_key(row.node, row.device);
      if (table.by_key_.count(key) > 0) throw Problem{"this operator stands in an earlier row"};
      table.by_key_[key] = table.rows_.size();
      table.by_class_[row.device + " " + class_of(row.node)].push_back(table.rows_.size());
      table.rows_.push_back(std::move(row));
    } catch (const Problem& problem) {
      if (!lenient) throw InvalidInput::at(where, line_number, problem.text);
      ++table.skipped_;
    }
  }
  return table;
}

std::optional<TableEntry> CostTable::find(const Node& node, const std::string& device) const {
  const auto exact = by_key_.find(table_key(node, device));
  if (exact != by_key_.end()) return rows_[exact->second].entry;
  const auto alike = by_class_.find(device + " " + class_of(node));
  if (alike == by_class_.end() || alike->second.size() < 3) return std::nullopt;
  const Place p = place_of(node);
  std::vector<Place> points;
  for (std::size_t r : alike->second) points.push_back(place_of(rows_[r].node));
  if (!inside_hull(points, p)) return std::nullopt;
  // Inverse distances in logarithms over the three nearest rows.
  std::vector<std::pair<double, std::size_t>> nearest;
  for (std::size_t i = 0; i < points.size(); ++i)
    nearest.emplace_back(std::hypot(points[i][0] - p[0], points[i][1] - p[1]), alike->second[i]);
  std::sort(nearest.begin(), nearest.end());
  nearest.resize(3);
  double weights = 0, sum = 0;
  for (const auto& [distance, r] : nearest) {
    const double w = 1 / (distance + 1e-6);
    weights += w;
    sum += w * std::log(rows_[r].entry.latency_us);
  }
  TableEntry entry = rows_[nearest[0].second].entry;
  entry.latency_us = std::exp(sum / weights);
  entry.std_us = 0;
  entry.energy_uj.reset();
  entry.exact = false;
  return entry;
}

}  // namespace ballast::codesign
