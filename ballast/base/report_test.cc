#include "ballast/base/report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/markup.h"
#include "ballast/base/temporary_folder.h"

namespace ballast {
namespace {

const std::string kHostile = "<script>alert('x')</script> & \"quoted\" </script>";

// Every kind of block, with text that would break out of a page that does not escape it.
Report report_with_everything() {
  const double none = std::nan("");
  Report report("All of it: " + kHostile);
  for (const char* name : {"first", "second"}) {
    Section& s = report.section(std::string(name) + kHostile);
    s.uneven = s.today = s.ballast = kHostile;
    s.text("Text with `code <b>` in it.\n\n" + kHostile);
    Table table("Bytes", {"who" + kHostile, "bytes"});
    s.table(table.row({kHostile, "12"}).basis(Basis::counted));
    s.chart({.kind = Chart::Kind::line,
             .title = "line " + kHostile,
             .x_label = "skew",
             .y_label = "bytes",
             .y_log = true,
             .series = {{kHostile, {0, 1, 2}, {1, 10, 0}}, {"gap", {0, 1, 2}, {5, none, 7}}},
             .basis = Basis::counted});
    s.chart({.kind = Chart::Kind::bar,
             .title = "bar",
             .labels = {"a", kHostile},
             .series = {{"s", {}, {1, none}}},
             .basis = Basis::measured});
    s.chart({.kind = Chart::Kind::scatter,
             .title = "scatter",
             .x_log = true,
             .y_log = true,
             .series = {{"s", {1, 1e6}, {1e-9, 1}}},
             .basis = Basis::modelled});
    s.chart({.kind = Chart::Kind::radar,
             .title = "radar",
             .y_log = true,
             .labels = {"a", "b", "c"},
             .series = {{"s", {}, {1, 100, none}}}});
    s.chart({.kind = Chart::Kind::line, .title = "without data"});
    s.figure({"figure", "<svg viewBox=\"0 0 9 9\"><rect width=\"9\" height=\"9\"/></svg>", Basis::modelled});
    s.command("ballast " + kHostile);
    s.log(kHostile + "\n\x1b[31mred\x1b[0m");
  }
  return report;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

TEST(Markup, NamesWhatMarkupWouldRead) {
  EXPECT_EQ(markup_text("a<b>&\"c\"'\x01\n"), "a&lt;b&gt;&amp;&quot;c&quot;&#39; \n");
}

TEST(Report, EscapesEverythingAndAsksForNothingOutside) {
  const std::string html = report_with_everything().to_html();
  EXPECT_EQ(html.find("<script>alert"), std::string::npos);
  // The scripts of the page itself, and one of data a chart: nothing that was given closes or opens one.
  EXPECT_EQ(count(html, "</script>"), 2u + 10u);
  EXPECT_EQ(count(html, "<script type=\"application/json\">"), 10u);
  for (const char* outside : {"src=\"http", "href=\"http", "@import", "src=\"//"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(html.find("<code>code &lt;b&gt;</code>"), std::string::npos);
  EXPECT_NE(html.find("1 zero or negative value is left out"), std::string::npos);
  for (const char* badge : {"badge measured", "badge modelled", "badge counted"})
    EXPECT_NE(html.find(badge), std::string::npos) << badge;
}

TEST(Report, SectionSurvivesItsJson) {
  const Report report = report_with_everything();
  Report back(report.title());
  for (const auto& section : report.sections())
    back.add(Section::from_json(Json::parse(section.to_json().dump())));
  const auto body = [](const std::string& html) {  // without the foot, which holds the time
    return html.substr(0, html.find("<footer>"));
  };
  EXPECT_EQ(body(back.to_html()), body(report.to_html()));
}

TEST(Report, TableSaysItsBasisOnceEverywhere) {
  EXPECT_EQ(Table("Bytes (counted)", {"a"}).basis(), Basis::counted);
  EXPECT_EQ(Table("Bytes", {"a"}).basis(), std::nullopt);
  EXPECT_EQ(Table("Bytes", {"a"}).basis(Basis::modelled).to_text().substr(0, 17), "Bytes (modelled)\n");
  EXPECT_EQ(Table("Bytes (counted)", {"a"}).basis(Basis::counted).to_text().substr(0, 16),
            "Bytes (counted)\n");
}

TEST(Report, RefusesChartsThatDoNotFitAndPicturesThatAreMore) {
  Section section("s");
  EXPECT_THROW(section.chart({.title = "t", .series = {{"s", {1, 2}, {1}}}}), InvalidInput);
  EXPECT_THROW(section.chart({.kind = Chart::Kind::bar, .labels = {"a"}, .series = {{"s", {}, {1, 2}}}}),
               InvalidInput);
  for (const char* svg : {"<p>no</p>",
                          "<svg><script>x</script></svg>",
                          "<svg onload=\"x\"></svg>",
                          "<svg/onload=x></svg>",
                          "<svg><rect OnClick = 'x'/></svg>",
                          "<svg><a href=\"#x\"/></svg>",
                          "<svg><svg:script/></svg>",
                          "<svg><image xlink:href='file:///etc/passwd'/></svg>",
                          "<svg><rect fill=\"url(http://x)\"/></svg>",
                          "<svg><style>@import 'x'</style></svg>",
                          "<svg><style>* {fill: url(//x)}</style></svg>",
                          "<svg><foreignObject/></svg>",
                          "<svg><animate attributeName='href' to='x'/></svg>",
                          "<svg></svg><p>",
                          "<svg></svg><svg></svg>",
                          "<svg><g></svg>",
                          "<svg><g title='></svg>",
                          "<svg><!-- </svg>",
                          "<svg><!--><b/>--></svg>",
                          "<svg><!DOCTYPE x></svg>"}) {
    EXPECT_THROW(section.figure({"f", svg, Basis::measured}), InvalidInput) << svg;
  }
  section.figure({"f",
                  "<svg viewBox='0 0 1 1'><!-- a > b --><defs><linearGradient id=\"g\"/></defs>"
                  "<rect fill=\"url(#g)\"/><use href=\"#g\"/><text>phase on = 1; href = x</text>"
                  "<title>onload=\"x\"</title><image href=\"data:image/png;base64,AAAA\"/></svg>\n",
                  Basis::measured});
  EXPECT_EQ(section.blocks().size(), 1u);
}

TEST(Report, MissingDirectoryIsUnavailable) {
  EXPECT_THROW(Report("r").write_html("/no/such/directory/page.html"), Unavailable);
}

// The page in a real browser: every chart is painted, and the console stays silent.
TEST(Report, DrawsEveryChartInABrowser) {
  if (std::system("command -v chromium >/dev/null 2>&1") != 0) GTEST_SKIP() << "needs the package chromium";
  const TemporaryFolder temporary;
  const std::string folder = temporary.path(), page = folder + "/page.html";
  report_with_everything().write_html(page);
  const std::string command =
      "HOME=" + folder +
      " timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage " +
      "--enable-logging=stderr --user-data-dir=" + folder +
      "/profile --virtual-time-budget=5000 --dump-dom file://" + page + " >" + folder + "/dom 2>" + folder +
      "/log";
  const int status = std::system(command.c_str());
  const std::string dom = read_file(folder + "/dom"), log = read_file(folder + "/log");
  ASSERT_EQ(status, 0) << log;
  EXPECT_NE(dom.find("data-charts=\"10/10\""), std::string::npos) << dom.substr(0, 300);
  EXPECT_EQ(log.find("CONSOLE"), std::string::npos) << log;
}

}  // namespace
}  // namespace ballast
