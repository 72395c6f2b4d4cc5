#include "ballast/loop/kernel.h"

#include <fmt/format.h>

#include <future>
#include <mutex>
#include <set>
#include <unordered_map>

#include "ballast/base/errors.h"
#include "ballast/loop/codegen.h"
#include "ballast/loop/gemm.h"
#include "ballast/loop/jit.h"

namespace ballast::loop {
namespace {

void describe(const Buffer& b, std::set<std::string>& out) {
  if (b)
    out.insert(fmt::format("{} {}.{} {} {}", b->name, static_cast<int>(b->space), b->slot, to_string(b->type),
                           to_string(b->access)));
}

void describe(const Expr& e, std::set<std::string>& out) {
  if (!e) return;
  if (e->op == Op::load) describe(e->buffer, out);
  if (e->op == Op::scalar) out.insert(fmt::format("${} {}", e->name, e->integer));
  for (const Expr& a : e->args) describe(a, out);
}

void describe(const Stmt& s, std::set<std::string>& out) {
  describe(s->buffer, out);
  for (const Expr* e : {&s->first, &s->extent, &s->index, &s->value}) describe(*e, out);
  for (const Stmt& part : s->body) describe(part, out);
  if (s->gemm_call) {
    const GemmCall& g = *s->gemm_call;
    for (const Buffer* b : {&g.a, &g.a_rows, &g.b, &g.c, &g.bias}) describe(*b, out);
    for (const Expr* e : {&g.m, &g.n, &g.k, &g.a_offset, &g.a_stride, &g.a_lane, &g.b_offset, &g.b_stride,
                          &g.c_offset, &g.c_stride, &g.bias_offset})
      describe(*e, out);
  }
}

/// Gives every bound variable a name of its own, so that text identifies a function.
Stmt unique_names(const Stmt& s, std::unordered_map<std::string, int>& used) {
  auto copy = std::make_shared<StmtNode>(*s);
  if (s->kind == StmtNode::Kind::loop || s->kind == StmtNode::Kind::let) {
    const int count = used[s->var->name]++;
    if (count > 0) {
      Var fresh = variable(fmt::format("{}.{}", s->var->name, count));
      copy->var = fresh;
      const Substitution rename{{{s->var.get(), fresh}}};
      for (Stmt& part : copy->body) part = rename(part);
    }
  }
  for (Stmt& part : copy->body) part = unique_names(part, used);
  return copy;
}

Function with_unique_names(const Function& function) {
  Function copy = function;
  std::unordered_map<std::string, int> used{{function.task->name, 1}};
  copy.body = unique_names(function.body, used);
  return copy;
}

}  // namespace

std::string to_text(const Function& f) {
  std::string text = "kernel " + f.signature.name + "(";
  for (const OperandDesc& o : f.signature.operands)
    text += fmt::format("{}{}: {} {}, ", o.written ? "out " : "", o.name, to_string(o.access),
                        to_string(o.dtype));
  for (const ScalarDesc& s : f.signature.scalars) text += "$" + s.name + ", ";
  for (const std::string& a : f.signature.aux) text += "table " + a + ", ";
  text += fmt::format("scratch {})\ntasks {}, cost {}\n", f.signature.scratch_bytes, to_text(f.num_tasks),
                      to_text(f.task_cost));
  return text + "task " + f.task->name + ":\n" + to_text(f.body, 1);
}

struct KernelRegistry::State {
  State(const std::string& cache_directory, GemmFn product) : jit(cache_directory), tiles(jit) {
    jit.define("ballast_gemm", reinterpret_cast<void*>(product ? product : static_cast<GemmFn>(&gemm)));
    jit.define("ballast_gemm_tiles", &tiles);
  }
  using Future = std::shared_future<std::shared_ptr<const CompiledKernel>>;
  Jit jit;
  GemmTiles tiles;
  mutable std::mutex mutex;
  std::unordered_map<std::string, Future> kernels;
  std::int64_t requests = 0, kernels_compiled = 0;

  Future find_or_start(const Function& given, std::launch policy,
                       const std::function<std::shared_ptr<const CompiledKernel>(const Function&)>& compile) {
    Function function = with_unique_names(given);
    std::set<std::string> parts;
    describe(function.body, parts);
    describe(function.num_tasks, parts);
    describe(function.task_cost, parts);
    std::string key = to_text(function);
    for (const std::string& part : parts) key += part + "\n";
    const std::lock_guard lock(mutex);
    ++requests;
    const auto found = kernels.find(key);
    if (found != kernels.end()) return found->second;
    Future future = std::async(policy, [compile, function] { return compile(function); }).share();
    kernels.emplace(std::move(key), future);
    return future;
  }
};

KernelRegistry::KernelRegistry(const std::string& cache_directory, GemmFn product)
    : state_(std::make_unique<State>(cache_directory, product)) {}
KernelRegistry::~KernelRegistry() = default;

std::shared_ptr<const CompiledKernel> KernelRegistry::get(const Function& function) {
  return state_
      ->find_or_start(function, std::launch::deferred, [this](const Function& f) { return compile(f); })
      .get();
}

void KernelRegistry::prefetch(const Function& function) {
  state_->find_or_start(function, std::launch::async, [this](const Function& f) { return compile(f); });
}

std::shared_ptr<const CompiledKernel> KernelRegistry::compile(const Function& f) {
  const std::vector<void*> addresses = state_->jit.add(emit_kernel(f, state_->jit.host().vector_bytes));
  auto kernel = std::make_shared<CompiledKernel>();
  kernel->signature_ = f.signature;
  kernel->run_ = reinterpret_cast<RunFn>(addresses[0]);
  kernel->num_tasks_ = reinterpret_cast<std::int64_t (*)(const KernelFrame*)>(addresses[1]);
  kernel->task_cost_ = reinterpret_cast<std::int64_t (*)(const KernelFrame*, std::int64_t)>(addresses[2]);
  return kernel;
}

GemmTiles& KernelRegistry::tiles() {
  return state_->tiles;
}

RegistryStats KernelRegistry::stats() const {
  const JitCounters c = state_->jit.counters();
  const std::lock_guard lock(state_->mutex);
  return {state_->requests, static_cast<std::int64_t>(state_->kernels.size()),
          c.compiled,       c.from_disk,
          c.damaged,        c.emit_seconds + c.compile_seconds};
}

std::string KernelRegistry::emit(const Function& function, const std::string& form) const {
  return state_->jit.emit(emit_kernel(function, state_->jit.host().vector_bytes), form);
}

std::string KernelRegistry::host() const {
  return state_->jit.host().cpu;
}

}  // namespace ballast::loop
