#include <cmath>
#include <complex>
#include <mutex>

// GraphBLAS 7.4 declares its functions without C linkage where the compiler is C++.
extern "C" {
#include <GraphBLAS.h>
}

#include "ballast/base/errors.h"
#include "ballast/graph/peers/library_peer.h"

namespace ballast::graph {
namespace {

void must(GrB_Info info) {
  if (info != GrB_SUCCESS && info != GrB_NO_VALUE)
    throw Unavailable("GraphBLAS failed with code " + std::to_string(info));
}

class Vector {
 public:
  Vector(GrB_Type type, GrB_Index n) { must(GrB_Vector_new(&values, type, n)); }
  ~Vector() { GrB_Vector_free(&values); }
  Vector(const Vector&) = delete;
  Vector& operator=(const Vector&) = delete;
  GrB_Vector values = nullptr;
};

class Graphblas : public LibraryPeer {
 public:
  explicit Graphblas(const EdgeList& list) : n_(list.vertices) {
    static std::once_flag started;
    std::call_once(started, [] { must(GrB_init(GrB_NONBLOCKING)); });
    must(GxB_Global_Option_set(GxB_GLOBAL_NTHREADS, 1));
    std::vector<GrB_Index> from, to;
    const auto add = [&](VertexId u, VertexId v) {
      from.push_back(u);
      to.push_back(v);
    };
    for (const Edge& e : list.edges) {
      add(e.source, e.target);
      if (!list.directed && e.source != e.target) add(e.target, e.source);
    }
    must(GrB_Matrix_new(&out_, GrB_BOOL, n_, n_));
    must(GrB_Matrix_new(&in_, GrB_BOOL, n_, n_));
    const auto ones = std::make_unique<bool[]>(from.size() + 1);
    std::fill_n(ones.get(), from.size(), true);
    must(GrB_Matrix_build_BOOL(out_, from.data(), to.data(), ones.get(), from.size(), GrB_LOR));
    must(GrB_Matrix_build_BOOL(in_, to.data(), from.data(), ones.get(), from.size(), GrB_LOR));
    std::vector<double> degree(n_, 0);
    for (GrB_Index u : from) ++degree[u];
    must(GrB_Vector_new(&scale_, GrB_FP64, n_));
    for (GrB_Index v = 0; v < n_; ++v) {
      if (degree[v] > 0) must(GrB_Vector_setElement_FP64(scale_, 1 / degree[v], v));
    }
    must(GrB_Matrix_wait(out_, GrB_MATERIALIZE));
    must(GrB_Matrix_wait(in_, GrB_MATERIALIZE));
    must(GrB_Vector_wait(scale_, GrB_MATERIALIZE));
  }
  ~Graphblas() override {
    GrB_Matrix_free(&out_);
    GrB_Matrix_free(&in_);
    GrB_Vector_free(&scale_);
  }

  std::string version() const override {
    return std::to_string(GxB_IMPLEMENTATION_MAJOR) + "." + std::to_string(GxB_IMPLEMENTATION_MINOR);
  }

  std::optional<double> reached_by_bfs(VertexId source) override {
    Vector frontier(GrB_BOOL, n_), level(GrB_INT32, n_);
    must(GrB_Vector_setElement_BOOL(frontier.values, true, source));
    for (std::int32_t depth = 0;; ++depth) {
      must(GrB_Vector_assign_INT32(level.values, frontier.values, nullptr, depth, GrB_ALL, n_, GrB_DESC_S));
      must(GrB_vxm(frontier.values, level.values, nullptr, GxB_ANY_PAIR_BOOL, frontier.values, out_,
                   GrB_DESC_RSC));
      GrB_Index found = 0;
      must(GrB_Vector_nvals(&found, frontier.values));
      if (found == 0) break;
    }
    GrB_Index reached = 0;
    must(GrB_Vector_nvals(&reached, level.values));
    return static_cast<double>(reached);
  }

  std::optional<double> components() override { return std::nullopt; }

  std::optional<std::vector<double>> pagerank(double damping) override {
    const auto n = static_cast<double>(n_);
    Vector rank(GrB_FP64, n_), next(GrB_FP64, n_), share(GrB_FP64, n_), difference(GrB_FP64, n_);
    must(GrB_Vector_assign_FP64(rank.values, nullptr, nullptr, 1 / n, GrB_ALL, n_, nullptr));
    for (int iteration = 0; iteration < 100; ++iteration) {
      // What vertices with out-edges give; the rest of all rank (which is 1) lies with sinks.
      must(GrB_Vector_eWiseMult_BinaryOp(share.values, nullptr, nullptr, GrB_FIRST_FP64, rank.values, scale_,
                                         nullptr));
      double given = 0;
      must(GrB_Vector_reduce_FP64(&given, nullptr, GrB_PLUS_MONOID_FP64, share.values, nullptr));
      must(GrB_Vector_eWiseMult_BinaryOp(share.values, nullptr, nullptr, GrB_TIMES_FP64, share.values, scale_,
                                         nullptr));
      must(GrB_Vector_apply_BinaryOp2nd_FP64(share.values, nullptr, nullptr, GrB_TIMES_FP64, share.values,
                                             damping, nullptr));
      const double base = (1 - damping) / n + damping * (1 - given) / n;
      must(GrB_Vector_assign_FP64(next.values, nullptr, nullptr, base, GrB_ALL, n_, nullptr));
      must(GrB_mxv(next.values, nullptr, GrB_PLUS_FP64, GxB_PLUS_SECOND_FP64, in_, share.values, nullptr));
      must(GrB_Vector_eWiseAdd_BinaryOp(difference.values, nullptr, nullptr, GrB_MINUS_FP64, next.values,
                                        rank.values, nullptr));
      must(GrB_Vector_apply(difference.values, nullptr, nullptr, GrB_ABS_FP64, difference.values, nullptr));
      double change = 0;
      must(GrB_Vector_reduce_FP64(&change, nullptr, GrB_PLUS_MONOID_FP64, difference.values, nullptr));
      std::swap(rank.values, next.values);
      if (change < 1e-10) break;
    }
    std::vector<double> ranks(n_);
    for (GrB_Index v = 0; v < n_; ++v) must(GrB_Vector_extractElement_FP64(&ranks[v], rank.values, v));
    return ranks;
  }

 private:
  GrB_Index n_;
  GrB_Matrix out_ = nullptr, in_ = nullptr;
  GrB_Vector scale_ = nullptr;
};

}  // namespace

std::unique_ptr<LibraryPeer> make_graphblas(const EdgeList& list) {
  return std::make_unique<Graphblas>(list);
}

}  // namespace ballast::graph
