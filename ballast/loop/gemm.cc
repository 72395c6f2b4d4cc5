#include "ballast/loop/gemm.h"

#include <algorithm>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/loop/gemm_tile.h"
#include "ballast/loop/jit.h"

namespace ballast::loop {
namespace {

// A k longer than this is cut, so that a panel (64 columns) stays in the second-level cache.
constexpr std::int64_t kBlockK = 512;

std::size_t index_of(const GemmTiles::Shape& s) {
  const std::size_t flags = (s.masked ? 1u : 0u) | (s.pointers ? 2u : 0u) | (s.prior ? 4u : 0u) |
                            (s.bias ? 8u : 0u) | (s.scale ? 16u : 0u);
  return (static_cast<std::size_t>(s.rows) * 5 + static_cast<std::size_t>(s.vectors)) * 32 + flags;
}

/// Packing space of this thread; grows to the largest need and stays.
float* panel_buffer(std::int64_t elements) {
  struct Free {
    void operator()(float* p) const { std::free(p); }
  };
  thread_local std::unique_ptr<float, Free> buffer;
  thread_local std::int64_t size = 0;
  if (size < elements) {
    size = (elements + 4095) / 4096 * 4096;
    buffer.reset(static_cast<float*>(std::aligned_alloc(64, static_cast<std::size_t>(size) * sizeof(float))));
    BALLAST_CHECK(buffer != nullptr, "no memory for a packed panel");
  }
  return buffer.get();
}

/// One panel: columns [0, n) of B (n <= 64) against all rows.
struct PanelJob {
  const GemmArgs& g;
  std::int64_t column, n, k_first, k;
  const float* b;
  std::int64_t b_stride;
  bool first, last;
};

void run_panel(GemmTiles& tiles, const PanelJob& job) {
  const GemmArgs& g = job.g;
  const int lanes = tiles.lanes();
  const bool gathered = g.a_rows != nullptr || g.a_pointers != nullptr;
  for (std::int64_t j = 0; j < job.n;) {
    const std::int64_t left = job.n - j;
    const std::int64_t widest = std::int64_t{tiles.max_vectors()} * lanes;
    const std::int64_t width = std::min(left, widest);
    const int vectors = static_cast<int>((width + lanes - 1) / lanes);
    const std::int64_t last_lanes = width - std::int64_t{vectors - 1} * lanes;
    const std::int64_t pieces = (g.m + tiles.max_rows(vectors) - 1) / tiles.max_rows(vectors);
    GemmTiles::Shape shape{.vectors = vectors,
                           .masked = last_lanes != lanes,
                           .pointers = gathered,
                           .prior = g.accumulate != 0 || !job.first,
                           .bias = job.last && g.bias != nullptr,
                           .scale = job.last && g.scale != 1.0};
    for (std::int64_t piece = 0, i = 0; piece < pieces; ++piece) {
      const std::int64_t rows =
          (g.m - i + pieces - piece - 1) / (pieces - piece);  // even pieces: no thin tail
      shape.rows = static_cast<int>(rows);
      const TileFn tile = tiles.tile(shape);
      float* c = g.c + i * g.c_stride + job.column + j;
      const float* bias = g.bias ? g.bias + job.column + j : nullptr;
      if (gathered) {
        const float* pointers[kTileRows];
        for (std::int64_t r = 0; r < rows; ++r) {
          pointers[r] =
              job.k_first + (g.a_pointers ? static_cast<const float*>(g.a_pointers[i + r]) + g.a_stride
                                          : g.a + std::int64_t{g.a_rows[i + r]} * g.a_stride);
        }
        tile(pointers, 0, job.b + j, job.b_stride, c, g.c_stride, job.k, last_lanes, bias,
             static_cast<float>(g.scale));
      } else {
        tile(g.a + i * g.a_stride + job.k_first, g.a_stride, job.b + j, job.b_stride, c, g.c_stride, job.k,
             last_lanes, bias, static_cast<float>(g.scale));
      }
      i += rows;
    }
    j += width;
  }
}

void copy_panel(const float* b, std::int64_t stride, std::int64_t k, std::int64_t n, float* panel) {
  const std::size_t bytes = static_cast<std::size_t>(n) * sizeof(float);
  for (std::int64_t x = 0; x < k; ++x) std::memcpy(panel + x * kPanel, b + x * stride, bytes);
}

}  // namespace

GemmTiles::GemmTiles(Jit& jit) : jit_(jit), lanes_(jit.host().vector_bytes / 4), tiles_(kShapes) {
  // Accumulators, one row of B and a broadcast fit the registers: 6x64, 8x48, 12x32, 14x16 floats with 32
  // registers of 16.
  const bool many = jit.host().registers >= 32;
  max_vectors_ = many ? 4 : 2;
  max_rows_ = many ? std::array<int, 5>{0, 14, 12, 8, 6} : std::array<int, 5>{0, 8, 6, 0, 0};
}

TileFn GemmTiles::tile(const Shape& shape) {
  std::atomic<TileFn>& slot = tiles_[index_of(shape)];
  TileFn fn = slot.load(std::memory_order_acquire);
  if (fn == nullptr) [[unlikely]] {
    const std::lock_guard lock(mutex_);
    fn = slot.load(std::memory_order_acquire);
    if (fn == nullptr) {
      fn = reinterpret_cast<TileFn>(jit_.add(tile_emitter(shape, lanes_))[0]);
      slot.store(fn, std::memory_order_release);
    }
  }
  return fn;
}

TransposeFn GemmTiles::transpose() {
  TransposeFn fn = transpose_.load(std::memory_order_acquire);
  if (fn == nullptr) [[unlikely]] {
    const std::lock_guard lock(mutex_);
    fn = transpose_.load(std::memory_order_acquire);
    if (fn == nullptr) {
      fn = reinterpret_cast<TransposeFn>(jit_.add(transpose_emitter(lanes_))[0]);
      transpose_.store(fn, std::memory_order_release);
    }
  }
  return fn;
}

void gemm(GemmTiles& tiles, const GemmArgs& g) {
  if (g.m <= 0 || g.n <= 0) return;
  BALLAST_CHECK(!(g.accumulate && g.scale != 1.0), "a scaled product cannot be added to its target");
  if (g.k <= 0) {
    for (std::int64_t i = 0; i < g.m; ++i) {
      for (std::int64_t j = 0; j < g.n; ++j) {
        float& c = g.c[i * g.c_stride + j];
        c = (g.accumulate ? c : 0.0f) + (g.bias ? g.bias[j] : 0.0f);
      }
    }
    return;
  }
  for (std::int64_t column = 0; column < g.n; column += kPanel) {
    const std::int64_t n = std::min(kPanel, g.n - column);
    for (std::int64_t x = 0; x < g.k; x += kBlockK) {
      // A last piece that would be thinner than half a block is joined to the one before it.
      std::int64_t k = std::min(kBlockK, g.k - x);
      if (g.k - x - k < kBlockK / 2) k = g.k - x;
      PanelJob job{g, column, n, x, k, nullptr, kPanel, x == 0, x + k == g.k};
      if (g.b_packed) {
        job.b = g.b + column * g.b_stride + x * kPanel;
      } else if (g.b_transposed) {
        float* panel = panel_buffer(k * kPanel);
        tiles.transpose()(g.b + column * g.b_stride + x, g.b_stride, panel, n, k);
        job.b = panel;
      } else if (g.m <= 8 * kTileRows || g.b_stride <= kPanel) {
        job.b = g.b + x * g.b_stride + column;
        job.b_stride = g.b_stride;
      } else {
        float* panel = panel_buffer(k * kPanel);
        copy_panel(g.b + x * g.b_stride + column, g.b_stride, k, n, panel);
        job.b = panel;
      }
      run_panel(tiles, job);
      x += k - kBlockK;
    }
  }
}

void pack_panels(const float* b, std::int64_t stride, bool transposed, std::int64_t k, std::int64_t n,
                 float* packed) {
  for (std::int64_t column = 0; column < n; column += kPanel) {
    float* panel = packed + column * k;
    for (std::int64_t x = 0; x < k; ++x) {
      for (std::int64_t j = 0; j < kPanel; ++j) {
        const std::int64_t at = column + j;
        panel[x * kPanel + j] = at >= n ? 0.0f : transposed ? b[at * stride + x] : b[x * stride + at];
      }
    }
  }
}

}  // namespace ballast::loop
