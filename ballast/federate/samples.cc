#include "ballast/federate/samples.h"

#include <fmt/format.h>

#include <cmath>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/federate/image_data.h"

namespace ballast::federate {
namespace {

// Fills one sample's features and returns its label.
using Rule = std::function<std::int32_t(Random&, int concept_id, float* x)>;

struct Synthetic {
  int features, classes, concepts;
  Rule rule;
};

std::int32_t sine(Random& random, int concept_id, float* x) {
  x[0] = static_cast<float>(random.uniform());
  x[1] = static_cast<float>(random.uniform());
  const bool below = x[1] <= std::sin(x[0]);
  return (below != (concept_id == 1)) ? 1 : 0;
}

std::int32_t circle(Random& random, int concept_id, float* x) {
  static constexpr float kCircles[2][3] = {{0.2f, 0.5f, 0.15f}, {0.6f, 0.5f, 0.25f}};
  x[0] = static_cast<float>(random.uniform());
  x[1] = static_cast<float>(random.uniform());
  const auto& [cx, cy, radius] = kCircles[concept_id];
  return std::hypot(x[0] - cx, x[1] - cy) > radius ? 1 : 0;
}

std::int32_t sea(Random& random, int concept_id, float* x) {
  static constexpr float kThresholds[4] = {9, 8, 7, 9.5f};
  for (int f = 0; f < 3; ++f) x[f] = static_cast<float>(random.uniform(0, 10));
  const bool low = x[0] + x[1] <= kThresholds[concept_id];
  const bool flipped = random.uniform() < 0.1;
  return low != flipped ? 1 : 0;
}

Synthetic synthetic(const std::string& name) {
  if (name == "sine") return {2, 2, 2, sine};
  if (name == "circle") return {2, 2, 2, circle};
  return {3, 2, 4, sea};
}

}  // namespace

Federation::Federation(std::string name, ConceptPattern pattern, int features, int classes)
    : name_(std::move(name)),
      pattern_(std::move(pattern)),
      features_(features),
      classes_(classes),
      batches_(static_cast<std::size_t>(pattern_.clients()) *
               (static_cast<std::size_t>(pattern_.steps()) + 1)) {
  for (auto& batch : batches_) batch.features = features;
}

std::vector<std::string> data_names() {
  return {"sine", "circle", "sea", "fmnist", "letter", "digits", "mnist"};
}

Federation make_federation(const DataSpec& spec, ConceptPattern pattern) {
  cli::require_one_of("--data", spec.name, data_names());
  if (spec.samples < 1) throw InvalidInput("--samples", std::to_string(spec.samples), "at least 1");
  if (spec.name == "fmnist" || spec.name == "letter" || spec.name == "digits" || spec.name == "mnist")
    return image_federation(spec, std::move(pattern));
  const Synthetic source = synthetic(spec.name);
  if (pattern.concepts() > source.concepts) {
    throw InvalidInput(fmt::format("the pattern names concept {}, but {} has the concepts 0 to {}",
                                   pattern.concepts() - 1, spec.name, source.concepts - 1));
  }
  Federation federation(spec.name, std::move(pattern), source.features, source.classes);
  for (int step = 0; step <= federation.steps(); ++step) {
    for (int client = 0; client < federation.clients(); ++client) {
      Random random(spec.seed,
                    mix64(static_cast<std::uint64_t>(step) << 32 | static_cast<std::uint64_t>(client)));
      Samples& batch = federation.batch(client, step);
      batch.x.resize(static_cast<std::size_t>(spec.samples) * static_cast<std::size_t>(source.features));
      for (int i = 0; i < spec.samples; ++i) {
        batch.y.push_back(source.rule(random, federation.pattern().at(step, client),
                                      batch.x.data() + static_cast<std::ptrdiff_t>(i) * source.features));
      }
    }
  }
  return federation;
}

}  // namespace ballast::federate
