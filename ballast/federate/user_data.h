// Users' own data as batches of a step.
//
//   a folder    files `[PREFIX]iter_T.csv` or `step_T.csv` (a header row; one label column, all others
//   numbers),
//               or pairs `step_T_x.npy` [n, features] and `step_T_y.npy` [n]; T = 0, 1, ... A file may appear
//               while a federation runs: it is looked for whenever its step opens
//   pictures    a folder `step_T` of PNG or JPEG files of one size, in one folder a label:
//   step_0/2/scan17.png a CSV file  with a time column: a row belongs to step floor((time - origin) / step)
//
// Labels are integers 0..classes-1. A cell that is no finite number, a label out of range or a column that is
// missing is refused with file and line. A file without rows is an empty step.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ballast/federate/client_runtime.h"

namespace ballast::data {
class CsvReader;
}

namespace ballast::federate {

struct UserDataOptions {
  std::string path;         ///< folder or CSV file
  std::string prefix = {};  ///< of the folder's files: "client_3_", say
  std::string label = {};   ///< column; empty: the last
  std::string time_column;  ///< CSV file only
  double step_seconds = 86400;
  std::optional<double> origin = {};  ///< time at which step 0 begins; none: the first row's step
  int classes = 2;
  bool colour = false;  ///< pictures: three planes in place of grey
};

/// "90s", "15m", "6h", "1d", or a plain number of seconds. Throws InvalidInput.
double seconds_of(const std::string& word);
/// Seconds since 1970: a plain number, or "2026-11-24", "2026-11-24 15:30[:10]", with a space or a T.
std::optional<double> time_of_cell(std::string_view cell);

class UserStore : public ClientStore {
 public:
  /// Reads what is there. Throws Unavailable for a path that is missing, InvalidInput for what is wrong in
  /// it.
  explicit UserStore(UserDataOptions options);
  const Samples* batch(int step) override;
  /// Of the first batch that has rows; throws InvalidInput when there is none.
  int features();
  /// Steps that are there now (the highest and one).
  int steps();

 private:
  std::optional<Samples> read_step(int step);
  void read_timed();
  UserDataOptions options_;
  bool folder_ = false;
  std::map<int, Samples> batches_;
  int features_ = 0;
};

/// The rows of a CSV file as one batch, or as batches by their time. Columns are the options'.
Samples read_step_rows(data::CsvReader& rows, const UserDataOptions& options);
std::map<int, Samples> read_timed_rows(data::CsvReader& rows, const UserDataOptions& options);
/// All rows of one CSV file. Not `labelled`: every column is a feature, labels are 0.
Samples read_csv_samples(const std::string& path, const std::string& label, int classes, bool labelled);

/// A federation from a folder with `client_C_iter_T.csv` for all clients C and steps T (as FedDrift's
/// reference code writes them). No true concepts are known: its pattern is stationary.
Federation folder_federation(const std::string& folder, const std::string& label, int classes);

}  // namespace ballast::federate
