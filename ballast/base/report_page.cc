// Report::to_html: a section becomes <section class="stop">, each block one element of it. What a chart shows
// is written beside its canvas twice, as JSON for page/page.js and as a table of its numbers for people.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <iterator>

#include "ballast/base/bench.h"
#include "ballast/base/embedded.h"
#include "ballast/base/markup.h"
#include "ballast/base/report.h"

namespace ballast {
namespace {

constexpr std::size_t kMostNumbers = 400;  // rows of the table of numbers below a chart

// JSON inside <script>: no '<' may stand in it, or a string could end the element.
std::string escape_json(const Json& json) {
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  for (const char c : text) out += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return out;
}

// Text with `code`: an odd number of backticks leaves the last one as it is.
std::string inline_text(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto open = text.find('`');
    const auto close = open == text.npos ? text.npos : text.find('`', open + 1);
    if (close == text.npos) return out + markup_text(text);
    out += markup_text(text.substr(0, open)) + "<code>" +
           markup_text(text.substr(open + 1, close - open - 1)) + "</code>";
    text.remove_prefix(close + 1);
  }
  return out;
}

std::string paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto end = std::min(text.find("\n\n"), text.size());
    if (end > 0) out += fmt::format("<p>{}</p>\n", inline_text(text.substr(0, end)));
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return out;
}

std::string badge(std::optional<Basis> basis) {
  return basis ? fmt::format("<span class=\"badge {0}\">{0}</span>", to_string(*basis)) : "";
}

// A title that ends in "(counted)" says in words what the badge shows.
std::string caption(std::string_view title, std::optional<Basis> basis) {
  if (basis) {
    const std::string words = fmt::format(" ({})", to_string(*basis));
    if (title.ends_with(words)) title.remove_suffix(words.size());
  }
  if (title.empty() && !basis) return "";
  return fmt::format("<figcaption><span>{}</span>{}</figcaption>\n", inline_text(title), badge(basis));
}

// A number with at most one more word, its unit; a sentence may begin with a digit too.
bool numeric_cell(const std::string& cell) {
  if (cell == "inf" || cell == "nan") return true;
  const std::size_t first = cell[0] == '-' || cell[0] == '+' ? 1 : 0;
  return first < cell.size() && std::isdigit(static_cast<unsigned char>(cell[first])) != 0 &&
         std::count(cell.begin(), cell.end(), ' ') <= 1;
}

// A column of numbers is set to the right; empty cells and dashes do not count.
std::vector<bool> numeric_columns(const Table& table) {
  std::vector<bool> numeric(table.columns().size(), false);
  for (std::size_t c = 0; c < numeric.size(); ++c) {
    for (const auto& row : table.rows()) {
      const std::string& cell = row[c];
      if (cell.empty() || cell == "-") continue;
      numeric[c] = numeric_cell(cell);
      if (!numeric[c]) break;
    }
  }
  return numeric;
}

std::string cell_html(const std::string& column, const std::string& cell) {
  if (column == "basis" && (cell == "measured" || cell == "modelled" || cell == "counted"))
    return badge(basis_from_string(cell));
  if (column == "met" && cell == "yes") return "<span class=\"yes\">yes</span>";
  if (column == "met" && cell == "MISSED") return "<span class=\"missed\">missed</span>";
  return inline_text(cell);
}

std::string table_body(const Table& table) {
  const auto numeric = numeric_columns(table);
  const auto kind = [&](std::size_t c) { return numeric[c] ? " class=\"n\"" : ""; };
  constexpr std::size_t kLong = 28;  // letters: such a cell wants room for a line of a few words
  std::string html = "<div class=\"scroll\"><table><thead><tr>";
  for (std::size_t c = 0; c < numeric.size(); ++c)
    html += fmt::format("<th scope=\"col\"{}>{}</th>", kind(c), inline_text(table.columns()[c]));
  html += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows()) {
    html += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c)
      html += fmt::format("<td{}>{}</td>", row[c].size() > kLong && !numeric[c] ? " class=\"long\"" : kind(c),
                          cell_html(table.columns()[c], row[c]));
    html += "</tr>\n";
  }
  return html + "</tbody></table></div>\n";
}

std::string number(double value) {
  return std::isfinite(value) ? fmt::format("{:.6g}", value) : "-";
}

// The chart's numbers as a table: one column a series where all share their places, else one row a point.
Table numbers_of(const Chart& chart) {
  const bool places =
      chart.kind == Chart::Kind::bar || chart.kind == Chart::Kind::radar ||
      std::all_of(chart.series.begin(), chart.series.end(), [](const Series& s) { return s.xs.empty(); });
  const bool shared = places || std::all_of(chart.series.begin(), chart.series.end(),
                                            [&](const Series& s) { return s.xs == chart.series.front().xs; });
  const std::string x_name = chart.x_label.empty() ? (places ? "" : "x") : chart.x_label;
  const std::string y_name = chart.y_label.empty() ? "y" : chart.y_label;
  std::size_t points = 0;
  for (const auto& s : chart.series) points = shared ? std::max(points, s.ys.size()) : points + s.ys.size();
  if (!shared) {
    Table table("", {"series", x_name, y_name});
    for (const auto& s : chart.series) {
      for (std::size_t i = 0; i < s.ys.size() && table.rows().size() < kMostNumbers; ++i)
        table.row({s.name, s.xs.empty() ? fmt::format("{}", i + 1) : number(s.xs[i]), number(s.ys[i])});
    }
    return table;
  }
  std::vector<std::string> columns{x_name};
  for (const auto& s : chart.series) columns.push_back(s.name.empty() ? y_name : s.name);
  Table table("", columns);
  for (std::size_t i = 0; i < std::min(points, kMostNumbers); ++i) {
    std::string place = i < chart.labels.size() ? chart.labels[i] : fmt::format("{}", i + 1);
    if (!places) place = number(chart.series.front().xs[i]);
    std::vector<std::string> row{place};
    for (const auto& s : chart.series) row.push_back(i < s.ys.size() ? number(s.ys[i]) : "-");
    table.row(std::move(row));
  }
  return table;
}

// Values that a logarithmic axis cannot show are left out of the picture, and the page says how many.
std::size_t off_the_axis(const Chart& chart) {
  std::size_t count = 0;
  for (const auto& s : chart.series) {
    for (std::size_t i = 0; i < s.ys.size(); ++i) {
      const bool y_off = chart.y_log && std::isfinite(s.ys[i]) && s.ys[i] <= 0;
      const bool x_off = chart.x_log && !s.xs.empty() && std::isfinite(s.xs[i]) && s.xs[i] <= 0;
      count += y_off || x_off;
    }
  }
  return count;
}

std::string chart_html(const Chart& chart, const std::string& id) {
  std::string html = "<figure>" + caption(chart.title, chart.basis);
  html += fmt::format(
      "<div class=\"canvas {}\" id=\"{}\"><canvas role=\"img\" aria-label=\"{}\"></canvas>"
      "<script type=\"application/json\">{}</script></div>\n",
      chart.kind == Chart::Kind::radar ? "radar" : "", id, markup_text(chart.title),
      escape_json(chart.to_json()));
  if (const std::size_t off = off_the_axis(chart)) {
    html +=
        fmt::format("<p class=\"aside\">{} zero or negative value{} left out: the axis is logarithmic.</p>\n",
                    off, off == 1 ? " is" : "s are");
  }
  const Table numbers = numbers_of(chart);
  html += "<details><summary>The numbers</summary>" + table_body(numbers);
  if (numbers.rows().size() >= kMostNumbers)
    html += fmt::format("<p class=\"aside\">The first {} points.</p>", kMostNumbers);
  return html + "</details></figure>\n";
}

struct BlockHtml {
  const std::string& section_id;
  std::size_t charts = 0;

  std::string operator()(const Section::Paragraph& block) { return paragraphs(block.text); }
  std::string operator()(const Table& block) {
    return "<figure>" + caption(block.title(), block.basis()) + table_body(block) + "</figure>\n";
  }
  std::string operator()(const Chart& block) {
    return chart_html(block, fmt::format("{}-chart-{}", section_id, ++charts));
  }
  std::string operator()(const Figure& block) {
    return "<figure>" + caption(block.title, block.basis) + "<div class=\"wide\">" + block.svg +
           "</div></figure>\n";
  }
  std::string operator()(const Section::Command& block) {
    return fmt::format(
        "<div class=\"command\"><pre><code>{}</code></pre><button type=\"button\" "
        "hidden>Copy</button></div>\n",
        markup_text(block.line));
  }
  std::string operator()(const Section::Log& block) {
    return fmt::format("<pre class=\"log\">{}</pre>\n", markup_text(block.text));
  }
};

std::string story_html(const Section& section) {
  std::string boxes;
  const auto box = [&](const char* kind, const char* heading, const std::string& text) {
    if (!text.empty())
      boxes +=
          fmt::format("<div class=\"{}\"><h3>{}</h3><p>{}</p></div>\n", kind, heading, inline_text(text));
  };
  box("uneven", "The uneven work", section.uneven);
  box("today", "Today", section.today);
  box("ballast", "Ballast", section.ballast);
  return boxes.empty() ? "" : "<div class=\"story\">\n" + boxes + "</div>\n";
}

std::string section_html(const Section& section, const std::string& id) {
  std::string html =
      fmt::format("<section class=\"stop\" id=\"{}\">\n<h2>{}</h2>\n", id, inline_text(section.title));
  html += story_html(section);
  BlockHtml block_html{id};
  for (const auto& block : section.blocks()) html += std::visit(block_html, block);
  return html + "</section>\n";
}

// A level: two arms at one height.
constexpr const char* kMark =
    R"(<svg viewBox="0 0 32 32" aria-hidden="true" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"><path d="M16 5v22M9 27h14M4 10h24M4 10l-2.5 8h7L6 10M26 10l-2.5 8h7L28 10"/></svg>)";

std::string footer_html() {
  const Json machine = machine_facts();
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return fmt::format(
      "<footer>Made by Ballast {} on {} ({} hardware threads; {}), <time datetime=\"{}\">{}</time>. "
      "<b>Measured</b>: a clock or meter read it here. <b>Modelled</b>: computed by a model of a machine. "
      "<b>Counted</b>: an exact counter. Charts by Chart.js (MIT licence).</footer>\n",
      BALLAST_VERSION, markup_text(machine["cpu"].get<std::string>()), machine["cores"].get<int>(),
      markup_text(machine["isa"].get<std::string>()), stamp, stamp);
}

}  // namespace

std::string Report::to_html() const {
  std::string body, contents;
  std::size_t number = 0;
  for (const auto& section : sections_) {
    const std::string id = fmt::format("s{}", ++number);
    contents += fmt::format("<li><a href=\"#{}\">{}</a></li>\n", id, markup_text(section.title));
    body += section_html(section, id);
  }
  const bool with_contents = sections_.size() > 1;
  std::string html = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src "
      "'unsafe-inline'; "
      "style-src 'unsafe-inline'; img-src data:\">\n<title>{}</title>\n",
      markup_text(title_));
  html.append("<style>\n").append(embedded::page_css()).append("</style>\n");
  html.append("<script>").append(embedded::chart_js()).append("</script>\n");
  html.append("<script>\n").append(embedded::page_js()).append("</script>\n</head>\n<body>\n");
  html += fmt::format(
      "<header class=\"top\">{}<h1>{}</h1><button type=\"button\" id=\"theme\" hidden></button></header>\n",
      kMark, markup_text(title_));
  html += fmt::format("<div class=\"page{}\">\n", with_contents ? " with-contents" : "");
  if (with_contents)
    html += "<nav class=\"contents\" aria-label=\"Contents\"><h2>Contents</h2><ol>\n" + contents +
            "</ol></nav>\n";
  html += "<main>\n" + body + footer_html() + "</main>\n</div>\n</body>\n</html>\n";
  return html;
}

}  // namespace ballast
