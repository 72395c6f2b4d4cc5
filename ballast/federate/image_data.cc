#include "ballast/federate/image_data.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/idx.h"
#include "ballast/data/stream.h"
#include "ballast/federate/picture.h"

namespace ballast::federate {
namespace {

constexpr int kConcepts = 4;

/// All samples of a real data set, under its true labels.
struct Pool {
  int features = 0, classes = 0;
  std::vector<float> x;
  std::vector<std::int32_t> y;
};

// Concept k > 0 exchanges the labels 2k - 1 and 2k.
std::int32_t label_under(int concept_id, std::int32_t label) {
  if (concept_id == 0) return label;
  const int low = 2 * concept_id - 1, high = 2 * concept_id;
  return label == low ? high : label == high ? low : label;
}

// Images and labels as MNIST and its relatives ship them, pixels scaled to [0, 1].
Pool read_images(const std::string& folder) {
  const std::string images_path = folder + "/train-images-idx3-ubyte",
                    labels_path = folder + "/train-labels-idx1-ubyte";
  const auto open = [](const std::string& path) {
    try {
      return data::InputStream::open(path + ".gz");
    } catch (const Unavailable&) {
      return data::InputStream::open(path);
    }
  };
  const data::Array images = data::read_idx(open(images_path)), labels = data::read_idx(open(labels_path));
  if (images.shape.size() != 3 || labels.shape.size() != 1 || images.shape[0] != labels.shape[0]) {
    throw InvalidInput(fmt::format("{}: images and labels do not belong together", folder));
  }
  Pool pool{.features = static_cast<int>(images.shape[1] * images.shape[2]), .classes = 10, .x = {}, .y = {}};
  pool.x.reserve(images.elements());
  for (std::uint8_t pixel : images.as<std::uint8_t>()) pool.x.push_back(static_cast<float>(pixel) / 255.0f);
  for (std::uint8_t label : labels.as<std::uint8_t>()) {
    if (label > 9) throw InvalidInput(fmt::format("{}: label {}; accepted: 0 to 9", folder, label));
    pool.y.push_back(label);
  }
  return pool;
}

// Letter recognition (Frey and Slate 1991): 20 000 lines `LETTER,16 numbers`; features standardised.
Pool read_letters(const std::string& path) {
  Pool pool{.features = 16, .classes = 26, .x = {}, .y = {}};
  data::LineReader lines(data::InputStream::open(path));
  for (std::string_view line; lines.next(line);) {
    if (line.empty()) continue;
    if (line[0] < 'A' || line[0] > 'Z')
      throw InvalidInput::at(path, lines.line_number(), "no letter", "A to Z");
    pool.y.push_back(line[0] - 'A');
    const char *at = line.data() + 1, *end = line.data() + line.size();
    for (int f = 0; f < pool.features; ++f) {
      int value = 0;
      const auto [rest, error] = std::from_chars(at + 1, end, value);
      if (at >= end || *at != ',' || error != std::errc{})
        throw InvalidInput::at(path, lines.line_number(), "too few numbers", "a letter and 16 numbers");
      pool.x.push_back(static_cast<float>(value));
      at = rest;
    }
  }
  const auto n = static_cast<double>(pool.y.size());
  for (std::size_t f = 0; f < 16; ++f) {
    double sum = 0, squares = 0;
    for (std::size_t i = f; i < pool.x.size(); i += 16) {
      sum += pool.x[i];
      squares += static_cast<double>(pool.x[i]) * pool.x[i];
    }
    const double mean = sum / n, deviation = std::sqrt(squares / n - mean * mean);
    for (std::size_t i = f; i < pool.x.size(); i += 16)
      pool.x[i] = static_cast<float>((pool.x[i] - mean) / deviation);
  }
  return pool;
}

// OpenCV's sample of MNIST: 5 000 digits of 20 x 20 pixels in 50 rows of 100, five rows a digit.
Pool read_digit_sheet(const std::string& path) {
  constexpr std::size_t kSide = 20, kRows = 50, kColumns = 100;
  const Picture sheet = read_picture(path, false);
  if (sheet.width != kSide * kColumns || sheet.height != kSide * kRows)
    throw InvalidInput(fmt::format("{}: {} x {} pixels; accepted: {} x {}", path, sheet.width, sheet.height,
                                   kSide * kColumns, kSide * kRows));
  Pool pool{.features = kSide * kSide, .classes = 10, .x = {}, .y = {}};
  for (std::size_t row = 0; row < kRows; ++row) {
    for (std::size_t column = 0; column < kColumns; ++column) {
      for (std::size_t y = 0; y < kSide; ++y) {
        const float* line = sheet.planes.data() + ((row * kSide + y) * kColumns + column) * kSide;
        pool.x.insert(pool.x.end(), line, line + kSide);
      }
      pool.y.push_back(static_cast<std::int32_t>(row / 5));
    }
  }
  return pool;
}

}  // namespace

Federation image_federation(const DataSpec& spec, ConceptPattern pattern) {
  if (pattern.concepts() > kConcepts) {
    throw InvalidInput(fmt::format("the pattern names concept {}, but {} has the concepts 0 to {}",
                                   pattern.concepts() - 1, spec.name, kConcepts - 1));
  }
  Pool pool;
  if (spec.name == "letter") {
    pool = read_letters(data::find_dataset("opencv-samples") + "/letter-recognition.data");
  } else if (spec.name == "mnist") {
    if (spec.folder.empty())
      throw InvalidInput(
          "--data mnist needs --folder, where train-images-idx3-ubyte[.gz] and its labels lie");
    pool = read_images(spec.folder);
  } else if (spec.name == "digits") {
    pool = read_digit_sheet(data::find_dataset("opencv-samples") + "/digits.png");
  } else {
    pool = read_images(data::find_dataset("fashion-mnist"));
  }
  std::vector<std::uint32_t> order(pool.y.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  Random(spec.seed, 0x73687566u).shuffle(order);

  Federation federation(spec.name, std::move(pattern), pool.features, pool.classes);
  const auto width = static_cast<std::size_t>(pool.features);
  std::size_t next = 0;
  for (int step = 0; step <= federation.steps(); ++step) {
    for (int client = 0; client < federation.clients(); ++client) {
      Samples& batch = federation.batch(client, step);
      batch.x.reserve(static_cast<std::size_t>(spec.samples) * width);
      for (int i = 0; i < spec.samples; ++i) {
        const std::size_t index = order[next++ % order.size()];
        const float* first = pool.x.data() + index * width;
        batch.x.insert(batch.x.end(), first, first + width);
        batch.y.push_back(label_under(federation.pattern().at(step, client), pool.y[index]));
      }
    }
  }
  return federation;
}

}  // namespace ballast::federate
