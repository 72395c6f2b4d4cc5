#include "ballast/data/csv.h"

#include <gtest/gtest.h>

#include "ballast/base/random.h"
#include "ballast/data/test_files.h"

namespace ballast::data {
namespace {

using Rows = std::vector<std::vector<std::string>>;

Rows all(std::string_view text, CsvOptions options = {}) {
  CsvReader reader(InputStream::over("t.csv", text), options);
  Rows rows{reader.columns()};
  while (reader.next()) {
    rows.emplace_back();
    for (std::size_t i = 0; i < reader.columns().size(); ++i) rows.back().emplace_back(reader.text(i));
  }
  return rows;
}

TEST(Csv, ReadsQuotesLineEndsAndTheByteOrderMark) {
  EXPECT_EQ(all("\xef\xbb\xbf"
                "a,b\r\n1,\"x, y\"\r\n\r\n,\"q\"\"q\"\r\n\"two\nlines\",last"),
            (Rows{{"a", "b"}, {"1", "x, y"}, {"", "q\"q"}, {"two\nlines", "last"}}));
  EXPECT_EQ(all("1\t2\n3\t\n", {.delimiter = '\t', .header = false}),
            (Rows{{"1", "2"}, {"1", "2"}, {"3", ""}}));
}

TEST(Csv, TypesAreWholeFields) {
  CsvReader rows(InputStream::over("t.csv", "i,x,b\n-12,2.5e3,true\n7x,inf,yes\n"));
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(rows.integer(0), -12);
  EXPECT_EQ(rows.number(1), 2500);
  EXPECT_TRUE(rows.boolean(2));
  EXPECT_EQ(refusal([&] { rows.integer(0, 0, 9); }),
            "t.csv:2: column 'i' is '-12'; accepted: an integer from 0 to 9");
  ASSERT_TRUE(rows.next());
  EXPECT_EQ(refusal([&] { rows.integer(0, 0, 9); }),
            "t.csv:3: column 'i' is '7x'; accepted: an integer from 0 to 9");
  EXPECT_EQ(refusal([&] { rows.number(1); }), "t.csv:3: column 'x' is 'inf'; accepted: a finite number");
  EXPECT_EQ(refusal([&] { rows.boolean(2); }), "t.csv:3: column 'b' is 'yes'; accepted: true, false, 1 or 0");
}

TEST(Csv, RefusesWhatIsNoTable) {
  const auto refused = [](std::string_view text) { return refusal([&] { all(text); }); };
  EXPECT_EQ(refused(""), "t.csv:1: the file is empty; accepted: a header row that names the columns");
  EXPECT_EQ(refused("a,a\n"), "t.csv:1: column 'a' is named twice");
  EXPECT_EQ(refused("a,b\n1,2\n\n3\n"), "t.csv:4: the row has 1 field; accepted: 2 as in the first row");
  EXPECT_EQ(refused("a,b\n1,2,\n"), "t.csv:2: the row has 3 fields; accepted: 2 as in the first row");
  EXPECT_EQ(refused("a\n1\n\"x\ny\n"), "t.csv:3: a quoted field of the row that begins here never ends");
  EXPECT_EQ(refused("a\n\"x\"y\n"),
            "t.csv:2: text behind the closing quote of a field; accepted: ',' or the end of the line");
  EXPECT_EQ(refusal([] {
              CsvReader rows(InputStream::over("t.csv", "a,b\n"));
              rows.column("c");
            }),
            "t.csv:1: there is no column 'c'; accepted: a header with it (this one has a, b)");
  EXPECT_EQ(refused("a\n" + std::string(17 << 20, 'x')), "t.csv:2: the line is longer than 16 MiB");
}

class CsvFile : public FolderTest {};

// What the writer writes, the reader reads: random fields of the characters that matter.
TEST_F(CsvFile, RoundTrip) {
  constexpr std::uint64_t kSeed = 11;
  Random random(kSeed);
  const std::string alphabet = "a,\"\n ;x";
  for (int round = 0; round < 200; ++round) {
    const std::size_t width = 1 + random.below(4);
    Rows rows;
    std::vector<std::string> names;
    for (std::size_t i = 0; i < width; ++i) names.push_back("c" + std::to_string(i));
    CsvWriter writer(path("x.csv"), names);
    rows.push_back(names);
    for (std::uint64_t r = random.below(5); r > 0; --r) {
      std::vector<std::string> fields(width);
      for (auto& field : fields)
        for (std::uint64_t n = random.below(6); n > 0; --n) field += alphabet[random.below(alphabet.size())];
      writer.row(fields);
      rows.push_back(fields);
    }
    writer.commit();
    ASSERT_EQ(all(read_file(path("x.csv"))), rows) << "seed " << kSeed << " round " << round;
  }
}

}  // namespace
}  // namespace ballast::data
