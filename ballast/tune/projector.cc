#include "ballast/tune/projector.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/tune/kernels.h"

namespace ballast::tune {
namespace {

const std::uint16_t* words16(const at::Tensor& tensor) {
  return reinterpret_cast<const std::uint16_t*>(tensor.data_ptr<std::int16_t>());
}
const std::uint32_t* words32(const at::Tensor& tensor) {
  return reinterpret_cast<const std::uint32_t*>(tensor.data_ptr<std::int32_t>());
}

// The kernels want rows that are contiguous within themselves; the stride between rows is free.
at::Tensor with_rows(const at::Tensor& x) {
  return x.dim() == 2 && x.stride(1) == 1 && x.scalar_type() == torch::kFloat32
             ? x
             : x.to(torch::kFloat32).contiguous();
}

}  // namespace

SparseProjector SparseProjector::random(std::int64_t rows, std::int64_t d, int r, ProjectorInit init,
                                        Random& random) {
  if (d < 1 || d > 65535) throw InvalidInput("projector size d", std::to_string(d), "1 to 65535");
  if (r < 1 || r > d) {
    throw InvalidInput("projector nonzeros r", std::to_string(r), fmt::format("1 to d = {}", d));
  }
  const auto count = static_cast<std::size_t>(rows * r);
  std::vector<std::uint16_t> index(count);
  at::Tensor value = torch::empty({rows, r}, torch::kFloat32);
  float* values = value.data_ptr<float>();
  const auto magnitude = static_cast<float>(1.0 / std::sqrt(static_cast<double>(r)));
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto first = index.begin() + i * r;
    for (int k = 0; k < r; ++k) {
      std::uint16_t place;
      do {
        place = static_cast<std::uint16_t>(random.below(static_cast<std::uint64_t>(d)));
      } while (std::find(first, first + k, place) != first + k);
      first[k] = place;
    }
    std::sort(first, first + r);
    for (int k = 0; k < r; ++k) {
      values[i * r + k] = init == ProjectorInit::gauss ? magnitude * static_cast<float>(random.normal())
                                                       : (random.below(2) == 0 ? magnitude : -magnitude);
    }
  }
  return from_entries(rows, d, r, std::move(index), value);
}

SparseProjector SparseProjector::from_entries(std::int64_t rows, std::int64_t d, int r,
                                              std::vector<std::uint16_t> index, at::Tensor value) {
  BALLAST_CHECK(static_cast<std::int64_t>(index.size()) == rows * r && value.numel() == rows * r);
  if (std::any_of(index.begin(), index.end(), [&](std::uint16_t place) { return place >= d; })) {
    throw InvalidInput("projector positions", "one at or beyond d", fmt::format("positions below {}", d));
  }
  SparseProjector projector;
  projector.rows_ = rows;
  projector.d_ = d;
  projector.r_ = r;
  projector.index_ = torch::empty({rows, r}, torch::kInt16);
  std::copy(index.begin(), index.end(),
            reinterpret_cast<std::uint16_t*>(projector.index_.data_ptr<std::int16_t>()));
  projector.value_ = value.to(torch::kFloat32).contiguous();
  projector.sort_columns();
  return projector;
}

void SparseProjector::sort_columns() {
  column_start_ = torch::zeros({d_ + 1}, torch::kInt32);
  column_entry_ = torch::empty({rows_ * r_}, torch::kInt32);
  auto* start = column_start_.data_ptr<std::int32_t>();
  auto* entry = column_entry_.data_ptr<std::int32_t>();
  const std::uint16_t* index = words16(index_);
  for (std::int64_t e = 0; e < rows_ * r_; ++e) ++start[index[e] + 1];
  for (std::int64_t j = 0; j < d_; ++j) start[j + 1] += start[j];
  std::vector<std::int32_t> next(start, start + d_);
  for (std::int64_t e = 0; e < rows_ * r_; ++e) entry[next[index[e]]++] = static_cast<std::int32_t>(e);
}

std::vector<std::uint16_t> SparseProjector::indices() const {
  return {words16(index_), words16(index_) + index_.numel()};
}

void SparseProjector::indices_changed() {
  const auto list = indices();
  if (std::any_of(list.begin(), list.end(), [&](std::uint16_t place) { return place >= d_; })) {
    throw InvalidInput("projector positions", "one at or beyond d", fmt::format("positions below {}", d_));
  }
  sort_columns();
}

SparseProjector SparseProjector::clone() const {
  SparseProjector copy = *this;
  copy.value_ = value_.clone();
  return copy;
}

std::int64_t SparseProjector::device_bytes() const {
  return static_cast<std::int64_t>(index_.nbytes() + value_.nbytes() + column_start_.nbytes() +
                                   column_entry_.nbytes());
}

at::Tensor SparseProjector::gather(const at::Tensor& given) const {
  const at::Tensor x = with_rows(given);
  BALLAST_CHECK(x.size(0) == rows_, "gather: rows of another projector");
  at::Tensor out = torch::empty({d_, x.size(1)}, torch::kFloat32);
  kernels::gather_columns(words32(column_start_), words32(column_entry_), value_.data_ptr<float>(), d_, r_,
                          x.data_ptr<float>(), x.stride(0), out.data_ptr<float>(), out.stride(0), x.size(1));
  return out;
}

at::Tensor SparseProjector::scatter(const at::Tensor& given) const {
  const at::Tensor s = with_rows(given);
  BALLAST_CHECK(s.size(0) == d_, "scatter: a subspace of another size");
  at::Tensor out = torch::empty({rows_, s.size(1)}, torch::kFloat32);
  kernels::scatter_rows(words16(index_), value_.data_ptr<float>(), rows_, r_, s.data_ptr<float>(),
                        s.stride(0), out.data_ptr<float>(), out.stride(0), s.size(1));
  return out;
}

void SparseProjector::apply(const at::Tensor& given, at::Tensor& w, double keep, double step) const {
  const at::Tensor t = with_rows(given);
  BALLAST_CHECK(t.size(0) == d_ && w.size(0) == rows_ && w.size(1) == t.size(1) && w.stride(1) == 1);
  kernels::apply_rows(words16(index_), value_.data_ptr<float>(), rows_, r_, t.data_ptr<float>(), t.stride(0),
                      w.data_ptr<float>(), w.stride(0), w.size(1), static_cast<float>(keep),
                      static_cast<float>(step));
}

void SparseProjector::add_sampled(const at::Tensor& given_a, const at::Tensor& given_b, double scale,
                                  at::Tensor& out) const {
  const at::Tensor a = with_rows(given_a), b = with_rows(given_b);
  BALLAST_CHECK(a.size(0) == rows_ && b.size(0) == d_ && a.size(1) == b.size(1) && out.is_contiguous());
  kernels::sampled_products(words16(index_), rows_, r_, a.data_ptr<float>(), a.stride(0), b.data_ptr<float>(),
                            b.stride(0), a.size(1), static_cast<float>(scale), out.data_ptr<float>());
}

at::Tensor SparseProjector::gram(const SparseProjector& other) const {
  BALLAST_CHECK(other.rows_ == rows_);
  at::Tensor out = torch::zeros({d_, other.d_}, torch::kFloat32);
  float* sum = out.data_ptr<float>();
  const std::uint16_t *mine = words16(index_), *theirs = words16(other.index_);
  const float *a = value_.data_ptr<float>(), *b = other.value_.data_ptr<float>();
  for (std::int64_t i = 0; i < rows_; ++i) {
    for (int k = 0; k < r_; ++k) {
      float* row = sum + mine[i * r_ + k] * other.d_;
      for (int l = 0; l < other.r_; ++l) row[theirs[i * other.r_ + l]] += a[i * r_ + k] * b[i * other.r_ + l];
    }
  }
  return out;
}

at::Tensor SparseProjector::materialize() const {
  at::Tensor dense = torch::zeros({rows_, d_}, torch::kFloat32);
  const at::Tensor places = torch::empty({rows_, r_}, torch::kInt64);
  std::copy(words16(index_), words16(index_) + index_.numel(), places.data_ptr<std::int64_t>());
  return dense.scatter_(1, places, value_);
}

ProjectorPair ProjectorPair::random(std::int64_t m, std::int64_t n, const ProjectorSpec& spec,
                                    Random& random) {
  if (spec.d > std::min(m, n)) {
    throw InvalidInput("projector size d", std::to_string(spec.d),
                       fmt::format("at most {} for a {}x{} matrix", std::min(m, n), m, n));
  }
  ProjectorPair pair{SparseProjector::random(m, spec.d, spec.r, spec.init, random),
                     SparseProjector::random(n, spec.d, spec.r, spec.init, random)};
  if (spec.init == ProjectorInit::scaled) {
    const auto size = static_cast<double>(spec.d);
    const double c = 1.0 / ((1.0 + static_cast<double>(m) / size) * (1.0 + static_cast<double>(n) / size));
    pair.p.values().mul_(std::pow(c, 0.25));
    pair.q.values().mul_(std::pow(c, 0.25));
  }
  return pair;
}

ProjectorPair ProjectorPair::dense(const at::Tensor& left, const at::Tensor& right) {
  const auto make = [](const at::Tensor& values) {
    const std::int64_t rows = values.size(0), d = values.size(1);
    std::vector<std::uint16_t> index;
    index.reserve(static_cast<std::size_t>(rows * d));
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < d; ++column) index.push_back(static_cast<std::uint16_t>(column));
    return SparseProjector::from_entries(rows, d, static_cast<int>(d), std::move(index), values.contiguous());
  };
  return {make(left), make(right)};
}

at::Tensor ProjectorPair::compress(const at::Tensor& g) const {
  return q.gather(p.gather(g).t()).t().contiguous();
}

at::Tensor ProjectorPair::expand(const at::Tensor& s) const {
  return p.scatter(q.scatter(s.t()).t());
}

void ProjectorPair::decompress(const at::Tensor& delta, at::Tensor& w, const ApplyOptions& options) const {
  const at::Tensor wide = q.scatter(delta.t()).t().contiguous();  // ΔQᵀ, [d, n]
  p.apply(wide, w, 1.0 - options.rate * options.decay, options.rate);
}

double relative_bias(const ProjectorPair& pair, const at::Tensor& g) {
  const double norm = g.norm().item<double>();
  if (norm == 0) return 0;
  return (pair.expand(pair.compress(g)) - g).norm().item<double>() / norm;
}

double expected_initial_bias_squared(std::int64_t m, std::int64_t n, std::int64_t d) {
  const auto size = static_cast<double>(d);
  return (1.0 + static_cast<double>(m - 1) / size) * (1.0 + static_cast<double>(n - 1) / size) - 1.0;
}

}  // namespace ballast::tune
