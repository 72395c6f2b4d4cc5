// CSV, streamed: RFC 4180 with quotes, embedded line ends, "\n" or "\r\n", a UTF-8 byte order mark, gz and
// zstd. Line ends within quotes become "\n". A row that is wrong is refused with file, line and column;
// nothing is guessed.
//
//   CsvReader rows(InputStream::open("trace.csv"));
//   const std::size_t time = rows.column("TIMESTAMP"), tokens = rows.column("ContextTokens");
//   while (rows.next()) use(rows.text(time), rows.integer(tokens, 0, 1'000'000));
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "ballast/base/file.h"
#include "ballast/data/stream.h"

namespace ballast::data {

struct CsvOptions {
  char delimiter = ',';
  bool header = true;  ///< the first row names the columns; otherwise they are named "1", "2", ...
};

class CsvReader {
 public:
  /// Reads the header. Throws InvalidInput when there is none, or when it names a column twice.
  explicit CsvReader(InputStream in, CsvOptions options = {});

  const std::vector<std::string>& columns() const { return columns_; }
  bool has_column(std::string_view name) const;
  /// Its position. Throws InvalidInput naming the columns that there are.
  std::size_t column(std::string_view name) const;

  /// Goes to the next row; false at the end. Empty lines are skipped. Throws InvalidInput for a row with
  /// another number of fields, a quote that never ends, text behind a closing quote.
  bool next();
  /// The line on which the present row began.
  std::uint64_t line() const { return row_line_; }
  const std::string& name() const { return lines_.name(); }

  /// Fields of the present row; `text` holds until the next call of next().
  std::string_view text(std::size_t column) const;
  /// The whole field must be such a number: no blanks, no trailing text.
  std::int64_t integer(std::size_t column, std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                       std::int64_t most = std::numeric_limits<std::int64_t>::max()) const;
  double number(std::size_t column) const;  ///< finite
  bool boolean(std::size_t column) const;   ///< true, false, 1, 0

  /// InvalidInput "FILE:LINE: column 'NAME' is 'FIELD'; accepted: ACCEPTED" for the present row.
  [[noreturn]] void refuse(std::size_t column, std::string_view accepted) const;

 private:
  bool read_row();
  LineReader lines_;
  CsvOptions options_;
  std::vector<std::string> columns_;
  std::string row_;                // all fields of the row, one behind the other
  std::vector<std::size_t> ends_;  // where each ends in row_
  std::uint64_t row_line_ = 0;
  bool first_row_waits_ = false;  // without a header the first row is data, and was read already
};

/// Writes rows with quotes where they are needed; the file appears complete or not at all.
class CsvWriter {
 public:
  CsvWriter(const std::string& path, const std::vector<std::string>& columns, char delimiter = ',');
  /// Throws InvalidInput when the number of fields is not that of the columns.
  void row(const std::vector<std::string>& fields);
  void commit() { file_.commit(); }

 private:
  void write(const std::vector<std::string>& fields);
  AtomicFile file_;
  std::size_t width_;
  char delimiter_;
};

}  // namespace ballast::data
