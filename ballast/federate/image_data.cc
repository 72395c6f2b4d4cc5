#include "ballast/federate/image_data.h"

#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/data/datasets.h"
#include "ballast/data/idx.h"

namespace ballast::federate {
namespace {

constexpr int kConcepts = 4;

std::int32_t label_under(int concept_id, std::uint8_t label) {
  if (concept_id == 0) return label;
  const int low = 2 * concept_id - 1, high = 2 * concept_id;
  return label == low ? high : label == high ? low : label;
}

}  // namespace

Federation image_federation(const DataSpec& spec, ConceptPattern pattern) {
  if (pattern.concepts() > kConcepts) {
    throw InvalidInput(fmt::format("the pattern names concept {}, but {} has the concepts 0 to {}",
                                   pattern.concepts() - 1, spec.name, kConcepts - 1));
  }
  const std::string folder = data::find_dataset("fashion-mnist");
  const data::Array images = data::read_idx(data::InputStream::open(folder + "/train-images-idx3-ubyte.gz"));
  const data::Array labels = data::read_idx(data::InputStream::open(folder + "/train-labels-idx1-ubyte.gz"));
  if (images.shape.size() != 3 || labels.shape.size() != 1 || images.shape[0] != labels.shape[0]) {
    throw InvalidInput(fmt::format("{}: images and labels do not belong together", folder));
  }
  const std::size_t pixels = images.shape[1] * images.shape[2];
  const auto image_bytes = images.as<std::uint8_t>();
  const auto label_bytes = labels.as<std::uint8_t>();

  std::vector<std::uint32_t> order(images.shape[0]);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  Random(spec.seed, 0x73687566u).shuffle(order);

  Federation federation(spec.name, std::move(pattern), static_cast<int>(pixels), 10);
  std::size_t next = 0;
  for (int step = 0; step <= federation.steps(); ++step) {
    for (int client = 0; client < federation.clients(); ++client) {
      Samples& batch = federation.batch(client, step);
      batch.x.reserve(static_cast<std::size_t>(spec.samples) * pixels);
      for (int i = 0; i < spec.samples; ++i) {
        const std::size_t index = order[next++ % order.size()];
        for (std::size_t p = 0; p < pixels; ++p)
          batch.x.push_back(static_cast<float>(image_bytes[index * pixels + p]) / 255.0f);
        batch.y.push_back(label_under(federation.pattern().at(step, client), label_bytes[index]));
      }
    }
  }
  return federation;
}

}  // namespace ballast::federate
