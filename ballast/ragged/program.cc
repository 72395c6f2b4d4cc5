#include "ballast/ragged/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "ballast/base/errors.h"

namespace ballast::ragged {

using namespace loop;

namespace {

/// The prelude kernel of one prefix table: running sums in 64 bits over nested loops. Frame: {out int64
/// [count + 1]}.
Function prefix_kernel(const Tables& tables, const TableSpec& spec) {
  Function f;
  f.signature = {
      "prelude_" + spec.name, {{"out", DType::i64, Access::Dense, true, -1}}, tables.scalars(), {}, 0};
  for (const TableSpec& t : tables.specs()) f.signature.aux.push_back(t.name);
  const Buffer out = operand_buffer("out", DType::i64, 0, spec.count + Expr(1)),
               sum = local_buffer("sum", DType::i64, 1), at = local_buffer("at", DType::i64, 1);
  f.task = loop::variable("task");
  f.num_tasks = Expr(1);
  Stmt step = block({store(out, load(at, 0), load(sum, 0)), store(sum, 0, load(sum, 0) + spec.element),
                     store(at, 0, load(at, 0) + Expr(1))});
  for (std::size_t i = spec.variables.size(); i-- > 0;)
    step = loop::loop(spec.variables[i], 0, spec.extents[i], step);
  f.body = allocate(sum, allocate(at, block({store(sum, 0, Expr(0)), store(at, 0, Expr(0)), step,
                                             store(out, load(at, 0), load(sum, 0))})));
  return f;
}

}  // namespace

void Program::fill_order(const LoweredKernel& kernel, const KernelFrame& frame,
                         std::vector<std::int32_t>& order) {
  std::vector<bool> taken(order.size(), false);
  for (std::size_t t = 0; t < order.size(); ++t) {
    const std::int64_t at = evaluate(kernel.remap, frame, kernel.remap_task, static_cast<std::int64_t>(t));
    if (at < 0 || at >= static_cast<std::int64_t>(order.size()) || taken[static_cast<std::size_t>(at)])
      throw InvalidInput(fmt::format("remap of {}, task {}", kernel.function.signature.name, t),
                         std::to_string(at), fmt::format("every number from 0 to {} once", order.size() - 1));
    taken[static_cast<std::size_t>(at)] = true;
    order[t] = static_cast<std::int32_t>(at);
  }
}

std::int64_t Prepared::volume(const std::string& tensor) const {
  const auto found = volumes_.find(tensor);
  if (found == volumes_.end()) throw InvalidInput("tensor", tensor, "a tensor of the program");
  return found->second;
}

std::int64_t Prepared::table_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& t : tables_) bytes += static_cast<std::int64_t>(t.size()) * 4;
  for (const auto& t : wide_tables_) bytes += static_cast<std::int64_t>(t.size()) * 8;
  return bytes;
}

Program::Program(KernelRegistry& registry, const std::vector<Schedule>& schedules, std::vector<int> groups,
                 ProgramOptions options)
    : Program(registry, schedules, std::move(groups), options, false) {}

Program::Program(KernelRegistry& registry, const std::vector<Schedule>& schedules, std::vector<int> groups,
                 ProgramOptions options, bool wide)
    : registry_(registry),
      schedules_(schedules),
      options_(options),
      tables_({.wide = wide, .closed_offsets = options.closed_offsets}),
      groups_(std::move(groups)) {
  if (groups_.empty()) {
    groups_.resize(schedules.size());
    std::iota(groups_.begin(), groups_.end(), 0);
  }
  if (groups_.size() != schedules.size() || !std::is_sorted(groups_.begin(), groups_.end()))
    throw InvalidInput("groups of a program: one rising number a stage");
  for (const Schedule& s : schedules) lowered_.push_back(lower(tables_, s));
  std::map<std::string, std::int64_t> slack;
  for (const LoweredKernel& k : lowered_)
    for (std::size_t i = 0; i < k.operands.size(); ++i)
      slack[k.operands[i]->name] = std::max(slack[k.operands[i]->name], k.slack[i]);
  for (const LoweredKernel& k : lowered_)
    for (const Tensor& t : k.operands) volumes_.emplace(t->name, volume(tables_, *t) + Expr(slack[t->name]));
  for (LoweredKernel& k : lowered_) {
    k.function.signature.scalars = tables_.scalars();
    for (const TableSpec& t : tables_.specs()) k.function.signature.aux.push_back(t.name);
    if (options.compile) compiled_.push_back(registry.get(k.function));
  }
  for (std::size_t i = 0; i < tables_.specs().size(); ++i) {
    if (tables_.specs()[i].kind != TableSpec::Kind::prefix) continue;
    preludes_[static_cast<int>(i)] = prefix_kernel(tables_, tables_.specs()[i]);
    if (options.compile && options.compile_prelude)
      compiled_preludes_[static_cast<int>(i)] = registry.get(preludes_[static_cast<int>(i)]);
  }
  structure_ = fmt::format("{}offsets up to {}\n", dump(), options_.narrow_limit);
}

bool Program::fill(const TableSpec& spec, Prepared& p, const Pattern& pattern) const {
  std::vector<std::int32_t>& table = p.tables_[static_cast<std::size_t>(spec.buffer->slot)];
  const KernelFrame frame{nullptr, p.scalars_.data(), p.aux_.data(), nullptr};
  switch (spec.kind) {
    case TableSpec::Kind::length: {
      const auto given = pattern.lengths.find(spec.name);
      if (given == pattern.lengths.end())
        throw InvalidInput("lengths of the pattern: '" + spec.name + "' is missing");
      const std::int64_t count = evaluate(spec.count, frame);
      if (static_cast<std::int64_t>(given->second.size()) != count)
        throw InvalidInput("number of lengths of " + spec.name, std::to_string(given->second.size()),
                           std::to_string(count));
      for (std::size_t i = 0; i < given->second.size(); ++i)
        if (given->second[i] < spec.low || given->second[i] > spec.high)
          throw InvalidInput(fmt::format("{}[{}]", spec.name, i), std::to_string(given->second[i]),
                             fmt::format("{} to {}", spec.low, spec.high));
      table = given->second;
      break;
    }
    case TableSpec::Kind::prefix: {
      std::vector<std::int64_t> wide(static_cast<std::size_t>(evaluate(spec.count, frame)) + 1);
      void* buffers[] = {wide.data()};
      const KernelFrame prelude{buffers, p.scalars_.data(), p.aux_.data(), nullptr};
      if (const auto compiled = compiled_preludes_.find(spec.buffer->slot);
          compiled != compiled_preludes_.end()) {
        compiled->second->run(&prelude, 0, 1);
      } else {
        loop::interpret(preludes_.at(spec.buffer->slot), prelude);
      }
      if (tables_.options().wide) {
        p.wide_tables_[static_cast<std::size_t>(spec.buffer->slot)] = std::move(wide);
        p.aux_[static_cast<std::size_t>(spec.buffer->slot)] = reinterpret_cast<const std::int32_t*>(
            p.wide_tables_[static_cast<std::size_t>(spec.buffer->slot)].data());
        return true;
      }
      if (wide.back() > options_.narrow_limit) return false;
      table.assign(wide.begin(), wide.end());
      break;
    }
    case TableSpec::Kind::map: {
      const auto slices = slices_of(p, spec.prefix);
      table.clear();
      for (std::size_t o = 0; o + 1 < slices.size(); ++o)
        table.resize(static_cast<std::size_t>(slices[o + 1]), static_cast<std::int32_t>(o));
      std::size_t whole = table.size();
      for (const std::int64_t m : spec.bulk) {
        const auto multiple = static_cast<std::size_t>(m);
        whole = std::max(whole, (table.size() + multiple - 1) / multiple * multiple);
      }
      table.resize(whole, static_cast<std::int32_t>(slices.size()) - 1);
      break;
    }
    case TableSpec::Kind::next: {
      const auto slices = slices_of(p, spec.prefix);
      table.assign(slices.size() - 1, 0);
      auto after = static_cast<std::int32_t>(table.size());
      for (std::size_t o = table.size(); o-- > 0;) {
        table[o] = after;
        if (slices[o + 1] > slices[o]) after = static_cast<std::int32_t>(o);
      }
      break;
    }
    case TableSpec::Kind::order: {
      table.resize(static_cast<std::size_t>(evaluate(spec.count, frame)));
      std::iota(table.begin(), table.end(), 0);
      break;
    }
  }
  // The cost model may look at entry 0 of an empty table.
  static constexpr std::int32_t kNothing[1] = {0};
  p.aux_[static_cast<std::size_t>(spec.buffer->slot)] = table.empty() ? kNothing : table.data();
  return true;
}

std::vector<std::int64_t> Program::slices_of(const Prepared& p, int prefix) const {
  const auto slot = static_cast<std::size_t>(prefix);
  if (tables_.options().wide) return p.wide_tables_[slot];
  return {p.tables_[slot].begin(), p.tables_[slot].end()};
}

const Program& Program::of(const Prepared& p) const {
  return p.wide_ && !tables_.options().wide ? wide() : *this;
}

const Program& Program::wide() const {
  std::call_once(wide_->once, [this] {
    wide_->program.reset(new Program(registry_, schedules_, groups_, options_, true));
  });
  return *wide_->program;
}

std::vector<float> Program::allocate(const Prepared& p, const std::string& tensor) const {
  const std::int64_t elements = p.volume(tensor);
  try {
    return std::vector<float>(static_cast<std::size_t>(elements), 0.0f);
  } catch (const std::exception&) {
    throw Unavailable(fmt::format("no memory for tensor {}: {} bytes asked", tensor, elements * 4));
  }
}

Prepared Program::prepare(const Pattern& pattern) const {
  Prepared p;
  for (const ScalarDesc& s : tables_.scalars()) {
    const auto given = pattern.scalars.find(s.name);
    if (given == pattern.scalars.end())
      throw InvalidInput("scalars of the pattern: '" + s.name + "' is missing");
    if (given->second < s.low || given->second > s.high)
      throw InvalidInput("scalar " + s.name, std::to_string(given->second),
                         fmt::format("{} to {}", s.low, s.high));
    p.scalars_.push_back(given->second);
  }
  p.tables_.resize(tables_.specs().size());
  p.aux_.resize(tables_.specs().size(), nullptr);
  // Tables were declared before those that read them.
  p.wide_ = tables_.options().wide;
  p.wide_tables_.resize(tables_.specs().size());
  for (const TableSpec& spec : tables_.specs()) {
    if (fill(spec, p, pattern)) continue;
    return wide().prepare(pattern);
  }
  const KernelFrame frame{nullptr, p.scalars_.data(), p.aux_.data(), nullptr};
  for (std::size_t k = 0; k < lowered_.size(); ++k) {
    if (lowered_[k].order_table < 0) continue;
    std::vector<std::int32_t>& order = p.tables_[static_cast<std::size_t>(lowered_[k].order_table)];
    if (lowered_[k].remap) {
      fill_order(lowered_[k], frame, order);
      continue;
    }
    std::vector<std::int64_t> cost(order.size());
    for (std::size_t t = 0; t < cost.size(); ++t)
      cost[t] = options_.compile ? compiled_[k]->task_cost(&frame, static_cast<std::int64_t>(t))
                                 : evaluate(lowered_[k].function.task_cost, frame, lowered_[k].function.task,
                                            static_cast<std::int64_t>(t));
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return cost[static_cast<std::size_t>(a)] > cost[static_cast<std::size_t>(b)];
    });
  }
  for (const auto& [name, e] : volumes_) p.volumes_[name] = evaluate(e, frame);
  return p;
}

std::vector<void*> Program::bind(const LoweredKernel& kernel,
                                 const std::map<std::string, float*>& tensors) const {
  std::vector<void*> buffers;
  for (const Tensor& t : kernel.operands) {
    const auto found = tensors.find(t->name);
    if (found == tensors.end() || found->second == nullptr)
      throw InvalidInput("tensor " + t->name + " of stage " + kernel.function.signature.name + " is missing");
    buffers.push_back(found->second);
  }
  for (std::size_t i = 0; i + 1 < buffers.size(); ++i)
    if (buffers[i] == buffers.back())
      throw InvalidInput(fmt::format("stage {}: {} and {} are the same memory, and {} is written",
                                     kernel.function.signature.name, kernel.operands[i]->name,
                                     kernel.operands.back()->name, kernel.operands.back()->name));
  return buffers;
}

void Program::run(Launcher& launcher, const Prepared& p, const std::map<std::string, float*>& tensors) const {
  if (&of(p) != this) return of(p).run(launcher, p, tensors);
  BALLAST_CHECK(options_.compile, "run of a program that is only interpreted");
  std::vector<std::vector<void*>> buffers;
  for (const LoweredKernel& k : lowered_) buffers.push_back(bind(k, tensors));
  for (std::size_t first = 0; first < lowered_.size();) {
    std::vector<Launcher::Job> jobs;
    std::size_t k = first;
    for (; k < lowered_.size() && groups_[k] == groups_[first]; ++k)
      jobs.push_back({compiled_[k].get(), {buffers[k].data(), p.scalars_.data(), p.aux_.data(), nullptr}});
    launcher.run(jobs, schedules_[first].balance());
    first = k;
  }
}

void Program::run_stages(Launcher& launcher, const Prepared& p, const std::map<std::string, float*>& tensors,
                         const std::vector<std::string>& stages) const {
  if (&of(p) != this) return of(p).run_stages(launcher, p, tensors, stages);
  for (const std::string& name : stages) {
    std::size_t k = 0;
    while (k < lowered_.size() && lowered_[k].function.signature.name != name) ++k;
    if (k == lowered_.size()) throw InvalidInput("stage", name, "a stage of the program");
    std::vector<void*> buffers = bind(lowered_[k], tensors);
    launcher.run(*compiled_[k], {buffers.data(), p.scalars_.data(), p.aux_.data(), nullptr},
                 schedules_[k].balance());
  }
}

Counters Program::interpret(const Prepared& p, const std::map<std::string, float*>& tensors) const {
  if (&of(p) != this) return of(p).interpret(p, tensors);
  Counters total;
  for (const LoweredKernel& k : lowered_) {
    const std::vector<void*> buffers = bind(k, tensors);
    const Counters c =
        loop::interpret(k.function, {buffers.data(), p.scalars_.data(), p.aux_.data(), nullptr});
    total.multiply_adds += c.multiply_adds;
    total.loads += c.loads;
    total.stores += c.stores;
    total.aux_loads += c.aux_loads;
    total.intrinsics += c.intrinsics;
  }
  return total;
}

std::string Program::dump() const {
  std::string text;
  for (const TableSpec& t : tables_.specs()) {
    text += fmt::format("table {}: ", t.name);
    if (t.kind == TableSpec::Kind::length) text += fmt::format("given, {} to {}\n", t.low, t.high);
    if (t.kind == TableSpec::Kind::prefix)
      text += fmt::format("{} sums of {}\n", to_text(t.count), to_text(t.element));
    if (t.kind == TableSpec::Kind::map) text += "outer index of each fused iteration\n";
    if (t.kind == TableSpec::Kind::next) text += "the next slice that is not empty\n";
    if (t.kind == TableSpec::Kind::order) text += "a permutation of tasks\n";
  }
  for (const LoweredKernel& k : lowered_) {
    text += to_text(k.function);
    if (k.remap) text += "task t runs " + to_text(k.remap) + "\n";
    for (const std::string& g : k.guards) text += "guard kept: " + g + "\n";
  }
  return text;
}

}  // namespace ballast::ragged
