#include "ballast/ragged/peers/library_products.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "ballast/base/errors.h"

#ifdef BALLAST_HAVE_OPENBLAS
#include <cblas.h>
#endif
#ifdef BALLAST_HAVE_DNNL
#include <dnnl.h>
#endif

namespace ballast::ragged {
namespace {

/// The bias goes into C first: the library adds its product to it.
[[maybe_unused]] bool start_with_bias(const loop::GemmArgs& g) {
  BALLAST_CHECK(g.a_rows == nullptr && g.a_pointers == nullptr && !g.b_packed,
                "a library product of gathered or packed operands");
  if (g.bias == nullptr) return g.accumulate != 0;
  for (std::int64_t i = 0; i < g.m; ++i) {
    float* c = g.c + i * g.c_stride;
    if (g.accumulate) {
      for (std::int64_t j = 0; j < g.n; ++j) c[j] += g.bias[j];
    } else {
      std::memcpy(c, g.bias, static_cast<std::size_t>(g.n) * sizeof(float));
    }
  }
  return true;
}

#ifdef BALLAST_HAVE_OPENBLAS
void openblas_product(loop::GemmTiles&, const loop::GemmArgs& g) {
  const float beta = start_with_bias(g) ? 1.0f : 0.0f;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, g.b_transposed ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(g.m), static_cast<blasint>(g.n), static_cast<blasint>(g.k),
              static_cast<float>(g.scale), g.a, static_cast<blasint>(g.a_stride), g.b,
              static_cast<blasint>(g.b_stride), beta, g.c, static_cast<blasint>(g.c_stride));
}
#endif

#ifdef BALLAST_HAVE_DNNL
void onednn_product(loop::GemmTiles&, const loop::GemmArgs& g) {
  const float beta = start_with_bias(g) ? 1.0f : 0.0f;
  dnnl_sgemm('N', g.b_transposed ? 'T' : 'N', g.m, g.n, g.k, static_cast<float>(g.scale), g.a, g.a_stride,
             g.b, g.b_stride, beta, g.c, g.c_stride);
}
#endif

}  // namespace

void set_library_threads([[maybe_unused]] int threads) {
#ifdef BALLAST_HAVE_OPENBLAS
  openblas_set_num_threads(threads);
#endif
#ifdef BALLAST_HAVE_DNNL
  // oneDNN's threads are those of the OpenMP run-time that it brings along.
  if (void* set = ::dlsym(RTLD_DEFAULT, "omp_set_num_threads")) reinterpret_cast<void (*)(int)>(set)(threads);
#endif
}

loop::GemmFn library_product([[maybe_unused]] const std::string& name, int threads) {
  set_library_threads(threads);
#ifdef BALLAST_HAVE_OPENBLAS
  if (name == "openblas") return &openblas_product;
#endif
#ifdef BALLAST_HAVE_DNNL
  if (name == "onednn") return &onednn_product;
#endif
  return nullptr;
}

bool library_trmm_available() {
#ifdef BALLAST_HAVE_OPENBLAS
  return true;
#else
  return false;
#endif
}

void library_trmm([[maybe_unused]] std::int64_t n, [[maybe_unused]] const float* l,
                  [[maybe_unused]] float* b) {
#ifdef BALLAST_HAVE_OPENBLAS
  const auto size = static_cast<blasint>(n);
  cblas_strmm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, size, size, 1.0f, l, size, b,
              size);
#endif
}

std::string library_settings(const std::string& name) {
#ifdef BALLAST_HAVE_OPENBLAS
  if (name == "openblas" || name == "strmm")
    return std::string(openblas_get_config()) + ", core " + openblas_get_corename();
#endif
#ifdef BALLAST_HAVE_DNNL
  if (name == "onednn") {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch) + "";
  }
#endif
  return "";
}

#ifdef BALLAST_HAVE_OPENBLAS
namespace {

/// GFLOP/s over a few sizes, geometric mean, of the core type that this process runs.
double product_speed() {
  openblas_set_num_threads(1);
  double logs = 0;
  int sizes = 0;
  for (const blasint n : {64, 256, 512}) {
    const auto size = static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
    std::vector<float> a(size, 0.5f), b(size, 0.25f), c(size);
    const int repeat = n == 64 ? 64 : 2;
    double best = 1e30;
    for (int round = 0; round < 6; ++round) {
      const auto start = std::chrono::steady_clock::now();
      for (int i = 0; i < repeat; ++i)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0f, a.data(), n, b.data(), n, 0.0f,
                    c.data(), n);
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    logs += std::log(2e-9 * n * n * n * repeat / best);
    ++sizes;
  }
  return std::exp(logs / sizes);
}

}  // namespace
#endif

void prefer_best_openblas_core([[maybe_unused]] char** argv) {
#if defined(BALLAST_HAVE_OPENBLAS) && defined(__x86_64__)
  if (std::getenv("BALLAST_OPENBLAS_PROBE") != nullptr) {
    std::printf("%.3f\n", product_speed());
    std::fflush(stdout);
    std::_Exit(0);
  }
  if (std::getenv("OPENBLAS_CORETYPE") != nullptr) return;
  std::vector<std::string> candidates{"Haswell", "Zen"};
  if (__builtin_cpu_supports("avx512f"))
    candidates.insert(candidates.end(), {"SkylakeX", "Cooperlake", "SapphireRapids"});
  if (!__builtin_cpu_supports("avx2")) return;
  std::string best;
  double speed = 0;
  for (const std::string& core : candidates) {
    const std::string command = "BALLAST_OPENBLAS_PROBE=1 OPENBLAS_CORETYPE=" + core + " /proc/" +
                                std::to_string(::getpid()) + "/exe 2>/dev/null";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    double figure = 0;
    if (pipe == nullptr) continue;
    if (std::fscanf(pipe, "%lf", &figure) == 1 && figure > speed) {
      speed = figure;
      best = core;
    }
    ::pclose(pipe);
  }
  if (best.empty()) return;
  ::setenv("OPENBLAS_CORETYPE", best.c_str(), 1);
  ::execv("/proc/self/exe", argv);  // on failure the present core stays
#endif
}

}  // namespace ballast::ragged
