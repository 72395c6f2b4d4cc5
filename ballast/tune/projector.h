// (d, r)-sparse projectors (LSP-Offload, section 3): P ∈ R^{rows×d} with exactly r nonzeros in each row.
//
// A gradient G ∈ R^{m×n} crosses the link as S = PᵀGQ ∈ R^{d×d}; what comes back, Δ ∈ R^{d×d}, changes the
// weight by −η·PΔQᵀ. A pair costs (m+n)·r values whatever d is, so the subspace may be large.
//
//   Random random(seed);
//   ProjectorPair pair = ProjectorPair::random(1536, 576, {.d = 288, .r = 8}, random);
//   at::Tensor s = pair.compress(g);              // [288, 288]
//   pair.decompress(delta, w, {.rate = 1e-4});    // w −= 1e-4 · P Δ Qᵀ, in place
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "ballast/base/random.h"

namespace ballast::tune {

/// Values of a fresh projector. `sign`: ±1/√r, for which E[PPᵀ] = I and diag(PPᵀ) = 1. `gauss`: normal with
/// variance 1/r. `scaled`: sign times c^{1/4}, c = 1/((1+m/d)(1+n/d)), which starts at a relative bias of
/// √(1−c) < 1.
enum class ProjectorInit { sign, gauss, scaled };

struct ProjectorSpec {
  std::int64_t d = 0;  ///< size of the subspace; at most 65535 and at most min(m, n)
  int r = 8;           ///< nonzeros in each row; at most d
  ProjectorInit init = ProjectorInit::sign;
};

class SparseProjector {
 public:
  SparseProjector() = default;
  /// r distinct positions a row. Throws InvalidInput for d > 65535, r > d, r < 1.
  static SparseProjector random(std::int64_t rows, std::int64_t d, int r, ProjectorInit init, Random& random);
  /// From stored positions and values, both [rows, r].
  static SparseProjector from_entries(std::int64_t rows, std::int64_t d, int r,
                                      std::vector<std::uint16_t> index, at::Tensor value);

  /// Pᵀ·x: [rows, k] to [d, k].
  at::Tensor gather(const at::Tensor& x) const;
  /// P·s: [d, k] to [rows, k].
  at::Tensor scatter(const at::Tensor& s) const;
  /// thisᵀ·other: [d, other.d].
  at::Tensor gram(const SparseProjector& other) const;
  /// w[i][:] = keep·w[i][:] − step·(P·t)[i][:], in place.
  void apply(const at::Tensor& t, at::Tensor& w, double keep, double step) const;
  /// (a·bᵀ) at the stored positions, times scale, added to `out` [rows, r]; a is [rows, k], b is [d, k].
  void add_sampled(const at::Tensor& a, const at::Tensor& b, double scale, at::Tensor& out) const;
  /// The dense matrix [rows, d]: the slow twin, for tests.
  at::Tensor materialize() const;

  std::int64_t rows() const { return rows_; }
  std::int64_t d() const { return d_; }
  int r() const { return r_; }
  at::Tensor& values() { return value_; }  ///< [rows, r] f32; may be changed in place
  const at::Tensor& values() const { return value_; }
  std::vector<std::uint16_t> indices() const;
  /// The positions' storage [rows, r], uint16 in int16, for checkpoints; after
  /// filling it, call indices_changed().
  at::Tensor stored_indices() const { return index_; }
  /// Throws InvalidInput when a position lies at or beyond d.
  void indices_changed();
  /// A copy with its own values and the same positions.
  SparseProjector clone() const;
  /// Bytes that it occupies on the device: positions, values, and the column-sorted copy of the positions.
  std::int64_t device_bytes() const;

 private:
  void sort_columns();
  std::int64_t rows_ = 0, d_ = 0;
  int r_ = 0;
  at::Tensor index_;         // [rows, r] int16, read as uint16
  at::Tensor value_;         // [rows, r] f32
  at::Tensor column_start_;  // [d+1] int32, read as uint32
  at::Tensor column_entry_;  // [rows·r] int32, read as uint32
};

struct ApplyOptions {
  double rate = 1e-4;  ///< η
  double decay = 0;    ///< λ: the weight is first multiplied by 1 − η·λ
};

struct ProjectorPair {
  SparseProjector p;  ///< of the rows (outputs)
  SparseProjector q;  ///< of the columns (inputs)

  static ProjectorPair random(std::int64_t m, std::int64_t n, const ProjectorSpec& spec, Random& random);
  /// From dense matrices [m, d] and [n, d]: every position is stored.
  static ProjectorPair dense(const at::Tensor& left, const at::Tensor& right);
  std::int64_t d() const { return p.d(); }

  /// PᵀGQ for a dense G [m, n].
  at::Tensor compress(const at::Tensor& g) const;
  /// PSQᵀ, dense [m, n].
  at::Tensor expand(const at::Tensor& s) const;
  /// w −= rate · PΔQᵀ with decay, in place.
  void decompress(const at::Tensor& delta, at::Tensor& w, const ApplyOptions& options) const;
  std::int64_t device_bytes() const { return p.device_bytes() + q.device_bytes(); }
  ProjectorPair clone() const { return {p.clone(), q.clone()}; }
};

/// ‖PPᵀGQQᵀ − G‖_F / ‖G‖_F. 1 for a zero projector, 0 for a perfect one; 0 when G is zero.
double relative_bias(const ProjectorPair& pair, const at::Tensor& g);

/// What a `sign` pair's squared relative bias is on average before any fitting: (1+(m−1)/d)(1+(n−1)/d) − 1.
double expected_initial_bias_squared(std::int64_t m, std::int64_t n, std::int64_t d);

}  // namespace ballast::tune
