// Measured or published costs of operators, as rows that override the formulas: the exact operator first,
// else an interpolation inside the range that its class covers, else the formula.
//
//   device,op,in_shape,weight_shape,stride,groups,precision,latency_us,latency_std_us,energy_uj,count,source
//   npu,Conv,1x16x56x56,64x16x1x1,1,1,f32,41.2,0.8,,25,measured
//
// Shapes: NCHW and KCRS for convolutions, tokens x channels and K x C for linear layers, all elements for the
// rest.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ballast/codesign/ir.h"

namespace ballast::codesign {

struct TableEntry {
  double latency_us = 0, std_us = 0;
  std::optional<double> energy_uj;
  std::string source;
  bool exact = true;
};

/// Operators that are alike enough to share factors: "Conv_k1_s1", "DwConv_k3_s2", "Linear", "Add", ...
std::string class_of(const Node& node);
/// The columns device to precision of a node's row, and the key under which it is found.
std::string table_key(const Node& node, const std::string& device);
std::string table_row_head(const Node& node, const std::string& device, const std::string& precision);

class CostTable {
 public:
  /// Throws InvalidInput with file and line for a malformed, doubled or senseless row (latency not above 0, a
  /// deviation above the mean); with `lenient` such rows are left out and counted.
  static CostTable read(const std::string& path, bool lenient = false);
  static CostTable parse(const std::string& text, const std::string& where, bool lenient = false);

  std::optional<TableEntry> find(const Node& node, const std::string& device) const;

  struct Row {
    std::string device;
    Node node;  ///< with the extents of the operator
    TableEntry entry;
  };
  const std::vector<Row>& rows() const { return rows_; }
  int skipped() const { return skipped_; }

 private:
  std::vector<Row> rows_;
  std::map<std::string, std::size_t> by_key_;
  std::map<std::string, std::vector<std::size_t>> by_class_;
  int skipped_ = 0;
};

}  // namespace ballast::codesign
