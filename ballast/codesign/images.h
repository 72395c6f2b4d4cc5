// Images with labels for training and evaluation: Fashion-MNIST as the distribution packages it, the
// odd-one-out task made from it, or CIFAR's binary files.
//
// Splits are fixed: `train` (less `held`), `held` (the last twelfth of the training images: the search's
// accuracy is read there) and `test` (touched once, by the final score).
#pragma once

#include <torch/torch.h>

#include <string>

namespace ballast::codesign {

struct ImageSet {
  at::Tensor pixels;  ///< u8 [count, channels, side, side]
  at::Tensor labels;  ///< i64 [count]

  std::int64_t size() const { return pixels.size(0); }
  /// Normalised f32 of images `first` to `first + count`.
  at::Tensor floats(std::int64_t first, std::int64_t count) const;
  at::Tensor floats() const { return floats(0, size()); }
  ImageSet part(std::int64_t first, std::int64_t count) const;
};

struct ImageData {
  std::string name;
  ImageSet train, held, test;
  int side = 0, channels = 1, classes = 10;
};

/// fashion-mnist, fashion-oddout, made-up (synthetic bars, for tests) or cifar:FOLDER. `limit`: at
/// most this many training images, 0: all. Throws Unavailable naming the package or file that is missing.
ImageData load_images(const std::string& word, std::int64_t limit = 0, std::uint64_t seed = 1);

/// One batch of training images, normalised, each shifted by up to 2 pixels and (`flip`) mirrored at random.
/// A pure function of (seed, step), so a resumed run sees the same batches.
struct Batch {
  at::Tensor images, labels;
};
Batch training_batch(const ImageSet& set, std::uint64_t seed, std::int64_t step, std::int64_t size,
                     bool augment);

}  // namespace ballast::codesign
