// Matrix products of any size from register-blocked tiles that LLVM compiles for this host, each when first
// needed.
//
//   GemmTiles tiles(jit);
//   GemmArgs args{...};   gemm(tiles, args);
//
// C[i,j] = scale * (prior C +) sum_k A[i,k] * B[k,j] + bias[j]. Every element has one accumulator and adds
// its products in the order of k with fused multiply-add, whatever the size of the product around it: a row's
// result is the same bits in any batch.
//
// A packed operand (a weight) lies in panels of 64 columns, [panel][k][64], the last filled with zeros.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace ballast::loop {

class Jit;

constexpr std::int64_t kPanel = 64;
constexpr std::int64_t kTileRows = 14;

/// What compiled kernels pass; all fields are 8 bytes.
struct GemmArgs {
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;              ///< rows at a + i * a_stride
  const std::int32_t* a_rows = nullptr;  ///< if set: row i is a + a_rows[i] * a_stride
  void* const* a_pointers = nullptr;  ///< if set: row i is (float*)a_pointers[i] + a_stride (an offset then)
  std::int64_t a_stride = 0;
  const float* b = nullptr;
  std::int64_t b_stride = 0;  ///< packed: rows of a panel (the whole operand's k)
  float* c = nullptr;
  std::int64_t c_stride = 0;
  const float* bias = nullptr;
  double scale = 1;
  std::int64_t b_transposed = 0, b_packed = 0, accumulate = 0;
};

/// One tile: rows x (vectors of host lanes), over all of k.
using TileFn = void (*)(const void* a, std::int64_t a_stride, const float* b, std::int64_t b_stride, float* c,
                        std::int64_t c_stride, std::int64_t k, std::int64_t last_lanes, const float* bias,
                        float scale);
/// Panel[x * 64 + j] = source[j * stride + x] for j < columns (zero beyond, up to a multiple of the lanes), x
/// < k.
using TransposeFn = void (*)(const float* source, std::int64_t stride, float* panel, std::int64_t columns,
                             std::int64_t k);

class GemmTiles {
 public:
  explicit GemmTiles(Jit& jit);

  int lanes() const { return lanes_; }
  int max_vectors() const { return max_vectors_; }
  int max_rows(int vectors) const { return max_rows_[static_cast<std::size_t>(vectors)]; }

  struct Shape {
    int rows = 1, vectors = 1;
    bool masked = false;    ///< the last vector has fewer than `lanes` columns
    bool pointers = false;  ///< a is an array of row pointers
    bool prior = false, bias = false, scale = false;
  };
  TileFn tile(const Shape& shape);
  TransposeFn transpose();

 private:
  Jit& jit_;
  int lanes_, max_vectors_;
  std::array<int, 5> max_rows_{};
  std::mutex mutex_;
  static constexpr std::size_t kShapes = (kTileRows + 1) * 5 * 32;
  std::vector<std::atomic<TileFn>> tiles_;
  std::atomic<TransposeFn> transpose_{nullptr};
};

void gemm(GemmTiles& tiles, const GemmArgs& args);
/// What compiled kernels call for a product: `gemm`, or an adapter to a library (`--inner`).
using GemmFn = void (*)(GemmTiles& tiles, const GemmArgs& args);

/// Elements of a packed operand.
inline std::int64_t packed_size(std::int64_t k, std::int64_t n) {
  return (n + kPanel - 1) / kPanel * kPanel * k;
}
/// Packs B[k,j] = b[k * stride + j], or transposed b[j * stride + k].
void pack_panels(const float* b, std::int64_t stride, bool transposed, std::int64_t k, std::int64_t n,
                 float* packed);

}  // namespace ballast::loop
