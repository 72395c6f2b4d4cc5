#include "ballast/codesign/images.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/idx.h"

namespace ballast::codesign {
namespace {

ImageSet read_fashion(const std::string& folder, const std::string& part) {
  const data::Array images =
      data::read_idx(data::InputStream::open(folder + "/" + part + "-images-idx3-ubyte.gz"));
  const data::Array labels =
      data::read_idx(data::InputStream::open(folder + "/" + part + "-labels-idx1-ubyte.gz"));
  if (images.shape.size() != 3 || labels.shape.size() != 1 || images.shape[0] != labels.shape[0])
    throw InvalidInput(fmt::format("{}: images and labels of {} do not belong together", folder, part));
  ImageSet set;
  set.pixels =
      at::empty({static_cast<std::int64_t>(images.shape[0]), 1, static_cast<std::int64_t>(images.shape[1]),
                 static_cast<std::int64_t>(images.shape[2])},
                at::kByte);
  const auto bytes = images.as<std::uint8_t>();
  std::copy(bytes.begin(), bytes.end(), set.pixels.data_ptr<std::uint8_t>());
  set.labels = at::empty({static_cast<std::int64_t>(labels.shape[0])}, at::kLong);
  const auto words = labels.as<std::uint8_t>();
  std::copy(words.begin(), words.end(), set.labels.data_ptr<std::int64_t>());
  return set;
}

// A grid of 2x2 images, three of one category and one of another; the label is the odd one's category. No
// single panel tells the answer: a network has to compare them.
ImageSet odd_one_out(const ImageSet& source, std::int64_t count, std::uint64_t seed) {
  constexpr std::int64_t kPanel = 24;
  const at::Tensor small = at::upsample_bilinear2d(source.pixels.to(at::kFloat), {kPanel, kPanel}, false)
                               .round()
                               .clamp(0, 255)
                               .to(at::kByte);
  std::vector<std::vector<std::int64_t>> by_label(10);
  const auto* labels = source.labels.data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < source.size(); ++i) by_label[static_cast<std::size_t>(labels[i])].push_back(i);
  ImageSet set;
  set.pixels = at::empty({count, 1, 2 * kPanel, 2 * kPanel}, at::kByte);
  set.labels = at::empty({count}, at::kLong);
  Random random(seed, 0x6f6464u);
  const auto* from = small.data_ptr<std::uint8_t>();
  auto* to = set.pixels.data_ptr<std::uint8_t>();
  for (std::int64_t n = 0; n < count; ++n) {
    const auto odd = random.below(10), rest = (odd + 1 + random.below(9)) % 10, place = random.below(4);
    set.labels.data_ptr<std::int64_t>()[n] = static_cast<std::int64_t>(odd);
    for (std::uint64_t panel = 0; panel < 4; ++panel) {
      const auto& pool = by_label[panel == place ? odd : rest];
      const std::uint8_t* image = from + pool[random.below(pool.size())] * kPanel * kPanel;
      std::uint8_t* corner = to + n * 4 * kPanel * kPanel +
                             static_cast<std::int64_t>(panel / 2) * kPanel * 2 * kPanel +
                             static_cast<std::int64_t>(panel % 2) * kPanel;
      for (std::int64_t y = 0; y < kPanel; ++y)
        std::copy_n(image + y * kPanel, kPanel, corner + y * 2 * kPanel);
    }
  }
  return set;
}

// Bright bars on noise, ten classes by direction and thickness: learnable in a few steps, for tests.
ImageSet made_up(std::int64_t count, std::uint64_t seed) {
  constexpr std::int64_t kSide = 28;
  ImageSet set;
  set.pixels = at::empty({count, 1, kSide, kSide}, at::kByte);
  set.labels = at::empty({count}, at::kLong);
  Random random(seed, 0x62617273u);
  auto* to = set.pixels.data_ptr<std::uint8_t>();
  for (std::int64_t n = 0; n < count; ++n) {
    const auto label = static_cast<std::int64_t>(random.below(10));
    set.labels.data_ptr<std::int64_t>()[n] = label;
    const bool vertical = label % 2 == 0;
    const std::int64_t thick = 1 + label / 2 * 2,
                       at =
                           static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(kSide - thick)));
    for (std::int64_t y = 0; y < kSide; ++y) {
      for (std::int64_t x = 0; x < kSide; ++x) {
        const std::int64_t across = vertical ? x : y;
        to[(n * kSide + y) * kSide + x] =
            static_cast<std::uint8_t>(random.below(100) + (across >= at && across < at + thick ? 150 : 0));
      }
    }
  }
  return set;
}

// CIFAR's binary form: one label byte (the last of `label_bytes`) and 3072 bytes of pixels, planes R, G, B.
ImageSet read_cifar(const std::vector<std::string>& files, int label_bytes) {
  std::string bytes;
  const std::size_t record = static_cast<std::size_t>(label_bytes) + 3072;
  for (const auto& file : files) {
    const std::string part = read_file(file);
    if (part.empty() || part.size() % record != 0)
      throw InvalidInput::at_byte(file, part.size() / record * record, "the last record is cut short",
                                  fmt::format("records of {} bytes", record));
    bytes += part;
  }
  const auto count = static_cast<std::int64_t>(bytes.size() / record);
  ImageSet set;
  set.pixels = at::empty({count, 3, 32, 32}, at::kByte);
  set.labels = at::empty({count}, at::kLong);
  for (std::int64_t n = 0; n < count; ++n) {
    const char* at = bytes.data() + static_cast<std::size_t>(n) * record;
    set.labels.data_ptr<std::int64_t>()[n] = static_cast<unsigned char>(at[label_bytes - 1]);
    std::copy_n(at + label_bytes, 3072,
                reinterpret_cast<char*>(set.pixels.data_ptr<std::uint8_t>()) + n * 3072);
  }
  return set;
}

ImageData load_cifar(const std::string& folder) {
  const bool hundred = std::filesystem::exists(folder + "/train.bin");
  std::vector<std::string> train, test;
  if (hundred) {
    train = {folder + "/train.bin"};
    test = {folder + "/test.bin"};
  } else {
    for (int i = 1; i <= 5; ++i) train.push_back(fmt::format("{}/data_batch_{}.bin", folder, i));
    test = {folder + "/test_batch.bin"};
  }
  ImageData data{.name = hundred ? "cifar-100" : "cifar-10",
                 .train = read_cifar(train, hundred ? 2 : 1),
                 .held = {},
                 .test = read_cifar(test, hundred ? 2 : 1),
                 .side = 32,
                 .channels = 3,
                 .classes = hundred ? 100 : 10};
  return data;
}

}  // namespace

at::Tensor ImageSet::floats(std::int64_t first, std::int64_t count) const {
  // Around zero with a spread near one, for photographs and for Fashion-MNIST alike.
  at::Tensor x = (pixels.narrow(0, first, count).to(at::kFloat) - 90.0) / 90.0;
  return x.contiguous(at::MemoryFormat::ChannelsLast);
}

ImageSet ImageSet::part(std::int64_t first, std::int64_t count) const {
  return {pixels.narrow(0, first, count), labels.narrow(0, first, count)};
}

ImageData load_images(const std::string& word, std::int64_t limit, std::uint64_t seed) {
  ImageData data{.name = word, .train = {}, .held = {}, .test = {}};
  if (word == "fashion-mnist" || word == "fashion-oddout") {
    const std::string folder = data::find_dataset("fashion-mnist");
    const ImageSet train = read_fashion(folder, "train"), test = read_fashion(folder, "t10k");
    data.train = word == "fashion-mnist" ? train : odd_one_out(train, 50000, 1);
    data.test = word == "fashion-mnist" ? test : odd_one_out(test, 10000, 2);
  } else if (word == "made-up") {
    data.train = made_up(2400, seed);
    data.test = made_up(500, seed + 1000);
  } else if (word.starts_with("cifar:")) {
    data = load_cifar(word.substr(6));
  } else {
    cli::require_one_of("--data", word, {"fashion-mnist", "fashion-oddout", "made-up", "cifar:FOLDER"});
    throw InvalidInput("--data", word, "a folder behind cifar:");
  }
  data.side = static_cast<int>(data.train.pixels.size(2));
  const std::int64_t held = data.train.size() / 12, left = data.train.size() - held;
  data.held = data.train.part(left, held);
  data.train = data.train.part(0, limit > 0 ? std::min(limit, left) : left);
  return data;
}

Batch training_batch(const ImageSet& set, std::uint64_t seed, std::int64_t step, std::int64_t size,
                     bool augment) {
  // A shuffled pass over the set is a permutation by sorting keyed draws: no state to store.
  const std::int64_t count = set.size(), per_epoch = std::max<std::int64_t>(1, count / size);
  const std::int64_t epoch = step / per_epoch, at = step % per_epoch * size;
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) order[static_cast<std::size_t>(i)] = i;
  Random shuffle(seed, 0x65706f63u + static_cast<std::uint64_t>(epoch));
  shuffle.shuffle(order);
  const std::int64_t channels = set.pixels.size(1), side = set.pixels.size(2), take = std::min(size, count);
  at::Tensor pixels = at::zeros({take, channels, side, side}, at::kByte);
  at::Tensor labels = at::empty({take}, at::kLong);
  const auto* from = set.pixels.data_ptr<std::uint8_t>();
  auto* to = pixels.data_ptr<std::uint8_t>();
  Random random(seed, 0x61756721u + static_cast<std::uint64_t>(step));
  for (std::int64_t n = 0; n < take; ++n) {
    const std::int64_t image = order[static_cast<std::size_t>(at + n)];
    labels.data_ptr<std::int64_t>()[n] = set.labels.data_ptr<std::int64_t>()[image];
    const auto dy = augment ? static_cast<std::int64_t>(random.below(5)) - 2 : 0;
    const auto dx = augment ? static_cast<std::int64_t>(random.below(5)) - 2 : 0;
    const bool mirror = augment && random.below(2) == 0;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t y = std::max<std::int64_t>(0, -dy); y < std::min(side, side - dy); ++y) {
        const std::uint8_t* row = from + ((image * channels + c) * side + y + dy) * side;
        std::uint8_t* out = to + ((n * channels + c) * side + y) * side;
        for (std::int64_t x = std::max<std::int64_t>(0, -dx); x < std::min(side, side - dx); ++x)
          out[x] = row[mirror ? side - 1 - (x + dx) : x + dx];
      }
    }
  }
  return {ImageSet{pixels, labels}.floats(), labels};
}

}  // namespace ballast::codesign
