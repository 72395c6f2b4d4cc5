// The data of a federation: for every client and time step one batch of labelled samples.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ballast/federate/pattern.h"

namespace ballast::federate {

/// n samples of d features, row by row, with labels 0..classes-1.
struct Samples {
  int features = 0;
  std::vector<float> x;  ///< [n][features]
  std::vector<std::int32_t> y;

  std::size_t size() const { return y.size(); }
  const float* row(std::size_t i) const { return x.data() + i * static_cast<std::size_t>(features); }
};

/// All batches of a simulated federation: batch(c, step) for step 0..steps, the last one for testing only.
class Federation {
 public:
  Federation(std::string name, ConceptPattern pattern, int features, int classes);

  const std::string& name() const { return name_; }
  const ConceptPattern& pattern() const { return pattern_; }
  int clients() const { return pattern_.clients(); }
  int steps() const { return pattern_.steps(); }
  int features() const { return features_; }
  int classes() const { return classes_; }
  const Samples& batch(int client, int step) const { return batches_[index(client, step)]; }
  Samples& batch(int client, int step) { return batches_[index(client, step)]; }

 private:
  std::size_t index(int client, int step) const {
    return static_cast<std::size_t>(step) * static_cast<std::size_t>(clients()) +
           static_cast<std::size_t>(client);
  }
  std::string name_;
  ConceptPattern pattern_;
  int features_, classes_;
  std::vector<Samples> batches_;
};

/// What a simulated federation is made from.
struct DataSpec {
  std::string name = "sine";  ///< sine, circle, sea, fmnist, letter, digits, mnist
  int samples = 500;          ///< of each client and step
  std::uint64_t seed = 1;
  std::string folder = {};  ///< mnist: where its IDX files lie
};

std::vector<std::string> data_names();

/// Draws all batches. SINE and CIRCLE have two concepts, SEA and the real data sets four; a pattern that
/// names more is refused. Every sample is keyed by (seed, client, step), so more clients or steps leave the
/// others as they were. Throws Unavailable naming the package when the data set is not installed.
Federation make_federation(const DataSpec& spec, ConceptPattern pattern);

}  // namespace ballast::federate
