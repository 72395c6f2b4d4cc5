#include "ballast/federate/user_data.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/data/csv.h"
#include "ballast/data/npy.h"
#include "ballast/federate/picture.h"

namespace ballast::federate {
namespace {

namespace fs = std::filesystem;

std::optional<double> number(std::string_view cell) {
  double value = 0;
  const auto [rest, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
  if (error != std::errc{} || rest != cell.data() + cell.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

void check_label(const std::string& file, std::uint64_t line, double label, int classes) {
  if (label != std::floor(label) || label < 0 || label >= classes)
    throw InvalidInput::at(file, line, fmt::format("label {}", label),
                           fmt::format("integers 0 to {}", classes - 1));
}

struct Columns {
  std::size_t label;
  std::optional<std::size_t> time;
  std::vector<std::size_t> features;
};

Columns columns_of(const data::CsvReader& rows, const UserDataOptions& options) {
  Columns columns{.label = rows.columns().size() - 1, .time = {}, .features = {}};
  if (!options.label.empty()) columns.label = rows.column(options.label);
  if (!options.time_column.empty()) columns.time = rows.column(options.time_column);
  for (std::size_t k = 0; k < rows.columns().size(); ++k) {
    if (k != columns.label && k != columns.time) columns.features.push_back(k);
  }
  if (columns.features.empty())
    throw InvalidInput::at(rows.name(), 1, "no feature columns", "a label and at least one feature");
  return columns;
}

void add_row(const data::CsvReader& rows, const Columns& columns, int classes, Samples& samples) {
  for (std::size_t k : columns.features) {
    const auto value = number(rows.text(k));
    if (!value) {
      throw InvalidInput::at(rows.name(), rows.line(),
                             fmt::format("column '{}' holds '{}'", rows.columns()[k], rows.text(k)),
                             "finite numbers");
    }
    samples.x.push_back(static_cast<float>(*value));
  }
  const auto label = number(rows.text(columns.label));
  check_label(rows.name(), rows.line(), label.value_or(-1), classes);
  samples.y.push_back(static_cast<std::int32_t>(*label));
}

Samples read_npy_pair(const std::string& x_path, const std::string& y_path, int classes) {
  const data::Array x = data::read_npy(data::InputStream::open(x_path)),
                    y = data::read_npy(data::InputStream::open(y_path));
  if (x.shape.size() != 2 || y.shape.size() != 1 || x.shape[0] != y.shape[0] || x.fortran_order)
    throw InvalidInput(fmt::format("{}: shape {}, labels {}; accepted: [n, features] in row order and [n]",
                                   x_path, data::to_string(x.shape), data::to_string(y.shape)));
  Samples samples;
  samples.features = static_cast<int>(x.shape[1]);
  const auto cast = [](const data::Array& array, auto& out) {
    using T = typename std::decay_t<decltype(out)>::value_type;
    if (array.dtype == data::DType::f32) {
      for (float v : array.as<float>()) out.push_back(static_cast<T>(v));
    } else if (array.dtype == data::DType::f64) {
      for (double v : array.as<double>()) out.push_back(static_cast<T>(v));
    } else if (array.dtype == data::DType::u8) {
      for (std::uint8_t v : array.as<std::uint8_t>()) out.push_back(static_cast<T>(v));
    } else if (array.dtype == data::DType::i32) {
      for (std::int32_t v : array.as<std::int32_t>()) out.push_back(static_cast<T>(v));
    } else {
      for (std::int64_t v : array.as<std::int64_t>()) out.push_back(static_cast<T>(v));
    }
  };
  cast(x, samples.x);
  cast(y, samples.y);
  for (std::size_t i = 0; i < samples.x.size(); ++i) {
    if (!std::isfinite(samples.x[i]))
      throw InvalidInput(fmt::format("{}: row {} holds no finite number", x_path,
                                     i / static_cast<std::size_t>(samples.features)));
  }
  for (std::size_t i = 0; i < samples.y.size(); ++i) check_label(y_path, i + 1, samples.y[i], classes);
  return samples;
}

// The pictures of one step: STEP/LABEL/name.png. In the order of labels and names.
Samples read_pictures(const std::string& folder, int classes, bool colour) {
  Samples samples;
  Picture first;
  std::map<std::pair<int, std::string>, std::string> files;
  for (const auto& label : fs::directory_iterator(folder)) {
    if (!label.is_directory()) continue;
    const std::string name = label.path().filename().string();
    const auto value = number(name);
    if (!value || *value != std::floor(*value) || *value < 0 || *value >= classes)
      throw InvalidInput(fmt::format("{}: folder '{}'; accepted: one folder a label, named 0 to {}", folder,
                                     name, classes - 1));
    for (const auto& file : fs::directory_iterator(label.path())) {
      if (is_picture(file.path().string()))
        files[{static_cast<int>(*value), file.path().filename().string()}] = file.path().string();
    }
  }
  for (const auto& [key, path] : files) {
    const Picture picture = read_picture(path, colour);
    if (first.planes.empty()) first = picture;
    if (picture.width != first.width || picture.height != first.height)
      throw InvalidInput(
          fmt::format("{}: {} x {} pixels, those before {} x {}; accepted: pictures of one size", path,
                      picture.width, picture.height, first.width, first.height));
    samples.features = static_cast<int>(picture.planes.size());
    samples.x.insert(samples.x.end(), picture.planes.begin(), picture.planes.end());
    samples.y.push_back(key.first);
  }
  return samples;
}

}  // namespace

Samples read_csv_samples(const std::string& path, const std::string& label, int classes, bool labelled) {
  data::CsvReader rows(data::InputStream::open(path));
  if (labelled) {
    return read_step_rows(rows, {.path = path, .label = label, .time_column = {}, .classes = classes});
  }
  Samples samples{.features = static_cast<int>(rows.columns().size()), .x = {}, .y = {}};
  while (rows.next()) {
    for (std::size_t k = 0; k < rows.columns().size(); ++k) {
      const auto value = number(rows.text(k));
      if (!value)
        throw InvalidInput::at(rows.name(), rows.line(),
                               fmt::format("column '{}' holds '{}'", rows.columns()[k], rows.text(k)),
                               "finite numbers");
      samples.x.push_back(static_cast<float>(*value));
    }
    samples.y.push_back(0);
  }
  return samples;
}

double seconds_of(const std::string& word) {
  static const std::map<char, double> kUnits = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  const bool unit = !word.empty() && kUnits.count(word.back()) > 0;
  const auto value =
      number(unit ? std::string_view(word).substr(0, word.size() - 1) : std::string_view(word));
  if (!value || *value <= 0)
    throw InvalidInput("--step", word, "a length of time such as 90s, 15m, 6h or 1d");
  return *value * (unit ? kUnits.at(word.back()) : 1);
}

std::optional<double> time_of_cell(std::string_view cell) {
  if (const auto plain = number(cell)) return plain;
  const std::string text(cell);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%n", &year, &month, &day, &used) != 3) return std::nullopt;
  if (static_cast<std::size_t>(used) < text.size()) {
    int more = 0;
    const char* rest = text.c_str() + used;
    if (*rest != ' ' && *rest != 'T') return std::nullopt;
    if (std::sscanf(rest + 1, "%2d:%2d%n:%2d%n", &hour, &minute, &more, &second, &more) < 2)
      return std::nullopt;
    if (rest[1 + more] != '\0') return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return static_cast<double>(days) * 86400 + hour * 3600 + minute * 60 + second;
}

UserStore::UserStore(UserDataOptions options) : options_(std::move(options)) {
  std::error_code error;
  folder_ = fs::is_directory(options_.path, error);
  if (!folder_ && !fs::exists(options_.path, error))
    throw Unavailable(fmt::format("{}: no such file or folder", options_.path));
  if (!folder_ && options_.time_column.empty())
    throw InvalidInput(fmt::format("{}: a single CSV needs --time-column; for one file a step give a folder",
                                   options_.path));
  if (!folder_) read_timed();
}

std::map<int, Samples> read_timed_rows(data::CsvReader& rows, const UserDataOptions& options) {
  const Columns columns = columns_of(rows, options);
  std::map<int, Samples> batches;
  std::optional<double> origin = options.origin;
  while (rows.next()) {
    const auto time = time_of_cell(rows.text(*columns.time));
    if (!time) {
      throw InvalidInput::at(rows.name(), rows.line(), fmt::format("time '{}'", rows.text(*columns.time)),
                             "seconds since 1970 or a date such as 2026-11-24 15:30:10");
    }
    if (!origin) origin = std::floor(*time / options.step_seconds) * options.step_seconds;
    const double step = std::floor((*time - *origin) / options.step_seconds);
    if (!(step >= 0 && step <= 1e6))
      throw InvalidInput::at(rows.name(), rows.line(), fmt::format("time '{}'", rows.text(*columns.time)),
                             "times from the origin on, within a million steps");
    Samples& samples = batches[static_cast<int>(step)];
    samples.features = static_cast<int>(columns.features.size());
    add_row(rows, columns, options.classes, samples);
  }
  return batches;
}

Samples read_step_rows(data::CsvReader& rows, const UserDataOptions& options) {
  const Columns columns = columns_of(rows, options);
  Samples samples{.features = static_cast<int>(columns.features.size()), .x = {}, .y = {}};
  while (rows.next()) add_row(rows, columns, options.classes, samples);
  return samples;
}

void UserStore::read_timed() {
  data::CsvReader rows(data::InputStream::open(options_.path));
  std::map<int, Samples> batches = read_timed_rows(rows, options_);
  if (batches.empty()) throw InvalidInput(fmt::format("{}: no rows", options_.path));
  const int features = batches.begin()->second.features;
  for (int step = 0; step < batches.rbegin()->first; ++step)
    batches[step].features = features;  // an empty step is allowed
  batches_ = std::move(batches);
}

std::optional<Samples> UserStore::read_step(int step) {
  for (const char* form : {"iter_", "step_"}) {
    const std::string path = fmt::format("{}/{}{}{}.csv", options_.path, options_.prefix, form, step);
    if (!fs::exists(path)) continue;
    data::CsvReader rows(data::InputStream::open(path));
    return read_step_rows(rows, options_);
  }
  const std::string stem = fmt::format("{}/{}step_{}", options_.path, options_.prefix, step);
  if (fs::is_directory(stem)) {
    Samples samples = read_pictures(stem, options_.classes, options_.colour);
    if (samples.size() == 0) samples.features = features_;  // an empty step is allowed
    return samples;
  }
  if (fs::exists(stem + "_x.npy") && fs::exists(stem + "_y.npy"))
    return read_npy_pair(stem + "_x.npy", stem + "_y.npy", options_.classes);
  return std::nullopt;
}

const Samples* UserStore::batch(int step) {
  if (const auto found = batches_.find(step); found != batches_.end()) return &found->second;
  if (!folder_) return nullptr;
  auto samples = read_step(step);
  if (!samples) return nullptr;
  if (features_ == 0) features_ = samples->features;
  if (samples->features != features_)
    throw InvalidInput(fmt::format("{}: step {} has {} features, those before {}", options_.path, step,
                                   samples->features, features_));
  return &(batches_[step] = std::move(*samples));
}

int UserStore::features() {
  for (int step = 0; step < 1000; ++step) {
    if (const Samples* samples = batch(step)) return samples->features;
  }
  throw InvalidInput(fmt::format("{}: no data of any step (files such as step_0.csv)", options_.path));
}

int UserStore::steps() {
  int step = 0;
  while (batch(step) != nullptr) ++step;
  return step;
}

Federation folder_federation(const std::string& folder, const std::string& label, int classes) {
  std::vector<UserStore> stores;
  while (fs::exists(fmt::format("{}/client_{}_iter_0.csv", folder, stores.size()))) {
    stores.emplace_back(UserDataOptions{.path = folder,
                                        .prefix = fmt::format("client_{}_", stores.size()),
                                        .label = label,
                                        .time_column = {},
                                        .origin = {},
                                        .classes = classes});
  }
  if (stores.empty()) throw Unavailable(fmt::format("{}: no client_0_iter_0.csv", folder));
  int steps = stores[0].steps();
  for (auto& store : stores) steps = std::max(steps, store.steps());
  if (steps < 2) throw InvalidInput(fmt::format("{}: one step only; a second is needed to test on", folder));
  Federation federation(folder, ConceptPattern::stationary(static_cast<int>(stores.size()), steps - 1),
                        stores[0].features(), classes);
  for (int step = 0; step < steps; ++step) {
    for (int c = 0; c < federation.clients(); ++c) {
      const Samples* samples = stores[static_cast<std::size_t>(c)].batch(step);
      if (samples == nullptr) continue;
      if (samples->features != federation.features())
        throw InvalidInput(fmt::format("{}: client {} has {} features, client 0 has {}", folder, c,
                                       samples->features, federation.features()));
      federation.batch(c, step) = *samples;
    }
  }
  return federation;
}

}  // namespace ballast::federate
