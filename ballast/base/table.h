// A table for people, which is also the rows of a report page or of a JSON document.
//
//   Table table("Bytes of the busiest machine", {"skew", "push", "td-orch"});
//   table.basis(Basis::counted);
//   table.row({"0.99", "4.0 MiB", "1.1 MiB"});
//   table.print(stdout);
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "ballast/base/basis.h"
#include "ballast/base/json.h"

namespace ballast {

class Table {
 public:
  Table() = default;
  Table(std::string title, std::vector<std::string> columns);

  /// One cell a column; throws InvalidInput when the count differs.
  Table& row(std::vector<std::string> cells);

  /// Numbers are aligned right, text left; the title stands above.
  void print(std::FILE* out) const;
  std::string to_text() const;
  Json to_json() const;
  static Table from_json(const Json& json);

  /// How its figures came about: measured, modelled or counted. Where it is not said, a title that holds one
  /// of the three words says it.
  Table& basis(Basis basis);
  std::optional<Basis> basis() const;

  const std::string& title() const { return title_; }
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::vector<std::string>>& rows() const { return rows_; }

 private:
  std::string title_;
  std::optional<Basis> basis_;
  std::vector<std::string> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace ballast
