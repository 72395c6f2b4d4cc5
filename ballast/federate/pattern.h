// Which concept every client's data follows at every time step: the ground truth of a simulation.
//
//   auto pattern = ConceptPattern::named("A");       // the patterns of the FedDrift paper: A..F, W..Z
//   pattern.at(step, client)                         // 0, 1, ...
//
// A pattern has `steps() + 1` rows: the last one is the test of the last step and is never trained on.
// Files (`.cp`): one row a line, whitespace-separated integers, one a client; `#` starts a comment.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ballast::federate {

class ConceptPattern {
 public:
  /// Rows of equal length with entries of at least 0; at least two rows. Throws InvalidInput otherwise.
  explicit ConceptPattern(std::vector<std::vector<int>> rows);

  /// A..F, W..Z of the paper (10 clients, 10 steps), or R(seed): every second step each client draws one of 4
  /// concepts.
  static ConceptPattern named(const std::string& name);
  /// Reads a `.cp` file; throws InvalidInput with file and line.
  static ConceptPattern read(const std::string& path);
  /// The same from a file's text; `path` is for messages.
  static ConceptPattern parse(const std::string& text, const std::string& path);
  /// A file if the word ends in `.cp`, else a name.
  static ConceptPattern from(const std::string& word);
  /// No drift at all.
  static ConceptPattern stationary(int clients, int steps);
  static ConceptPattern random(int clients, int steps, int concepts, std::uint64_t seed);

  int clients() const { return static_cast<int>(rows_[0].size()); }
  int steps() const { return static_cast<int>(rows_.size()) - 1; }
  int concepts() const;
  int at(int step, int client) const {
    return rows_[static_cast<std::size_t>(step)][static_cast<std::size_t>(client)];
  }
  /// Whether the client's concept at `step` differs from that of the step before.
  bool drifts(int step, int client) const { return step > 0 && at(step, client) != at(step - 1, client); }

  /// Each row repeated `times` times.
  ConceptPattern stretched(int times) const;
  /// The pattern of `clients` clients: this one's columns, repeated in turn.
  ConceptPattern tiled(int clients) const;
  /// The first `steps` steps and the row behind them.
  ConceptPattern first_steps(int steps) const;
  std::string to_text() const;

 private:
  std::vector<std::vector<int>> rows_;
};

}  // namespace ballast::federate
