// What a program has to show: sections of text, tables and charts, which become a self-contained HTML page
// (`--report FILE.html`), JSON, or text on a terminal. The tour joins the sections of all components to one
// page.
//
//   Report report("Bytes of the busiest machine");
//   Section& s = report.section("orch");
//   s.uneven = "One key gets a third of all requests.";
//   s.today = "Push every task to the owner of its data: the owner of the hot key drowns.";
//   s.ballast = "Decide per item, up a tree of machines, whether tasks or data move.";
//   s.table(table);
//   s.chart({.kind = Chart::Kind::line, .title = "...", .x_label = "exponent", .y_label = "MB",
//            .series = {{"push", xs, ys}, {"td-orch", xs, zs}}, .basis = Basis::counted});
//   s.command("ballast orch bench --quick");
//   report.write_html("page.html");
#pragma once

#include <cstdio>
#include <deque>
#include <string>
#include <variant>
#include <vector>

#include "ballast/base/basis.h"
#include "ballast/base/json.h"
#include "ballast/base/table.h"

namespace ballast {

/// One line, bar group or point set of a chart. Bars and radar use `ys` only, against the chart's `labels`.
struct Series {
  std::string name;
  std::vector<double> xs;
  std::vector<double> ys;  ///< NaN: no value there
};

struct Chart {
  enum class Kind { line, bar, scatter, radar };
  Kind kind = Kind::line;
  std::string title = {};
  std::string x_label = {};
  std::string y_label = {};
  bool x_log = false;
  bool y_log = false;
  std::vector<std::string> labels = {};  ///< categories of a bar or radar chart
  std::vector<Series> series = {};
  Basis basis = Basis::measured;

  Json to_json() const;
  static Chart from_json(const Json& json);
};

/// A picture drawn by the component itself: the text of one <svg> element.
struct Figure {
  std::string title;
  std::string svg;
  Basis basis = Basis::measured;
};

class Section {
 public:
  explicit Section(std::string section_title) : title(std::move(section_title)) {}

  std::string title;
  std::string uneven;   ///< the uneven work, one or two sentences; may be empty
  std::string today;    ///< what people do today
  std::string ballast;  ///< what Ballast does

  /// Plain text; `code` between backticks, paragraphs parted by an empty line.
  Section& text(std::string paragraph);
  /// The page's badge comes from table.basis(), or from the word measured, modelled or counted in its title.
  Section& table(Table table);
  /// Throws InvalidInput where a series has not as many x as y values, or bars not as many as labels.
  Section& chart(Chart chart);
  /// Throws InvalidInput unless it is one <svg> element without scripts, styles from outside or links.
  Section& figure(Figure figure);
  /// The command that repeats what was shown.
  Section& command(std::string line);
  /// Text as a program wrote it, in a fixed-width face.
  Section& log(std::string output);

  struct Paragraph {
    std::string text;
  };
  struct Command {
    std::string line;
  };
  struct Log {
    std::string text;
  };
  using Block = std::variant<Paragraph, Table, Chart, Figure, Command, Log>;
  const std::vector<Block>& blocks() const { return blocks_; }

  void print(std::FILE* out) const;
  Json to_json() const;
  /// Throws InvalidInput for a document that to_json() did not write.
  static Section from_json(const Json& json);

 private:
  std::vector<Block> blocks_;
};

class Report {
 public:
  explicit Report(std::string title) : title_(std::move(title)) {}

  /// The section stays where it is while others are added.
  Section& section(const std::string& title) { return sections_.emplace_back(title); }
  Section& add(Section section) { return sections_.emplace_back(std::move(section)); }
  const std::deque<Section>& sections() const { return sections_; }
  const std::string& title() const { return title_; }

  /// One self-contained page: light and dark, readable on a phone, printable, no network access. Everything
  /// that is given is escaped. The foot names this machine, the version and the time.
  std::string to_html() const;
  /// Throws Unavailable when it cannot be written; leaves nothing half-written.
  void write_html(const std::string& path) const;

 private:
  std::string title_;
  std::deque<Section> sections_;
};

}  // namespace ballast
