#include "ballast/ragged/schedule.h"

#include <fmt/format.h>

#include <algorithm>

namespace ballast::ragged {

Schedule::Schedule(Tensor stage) : stage_(std::move(stage)) {
  if (stage_->is_input) throw CompileError(stage_->name + " is an input: there is nothing to schedule");
  const auto add = [&](const std::vector<Axis>& axes, bool reduction) {
    for (std::size_t i = 0; i < axes.size(); ++i) {
      Info info;
      info.name = axes[i].dim->name;
      info.axis = static_cast<int>(i);
      info.reduction = reduction;
      leaves_.push_back(static_cast<int>(loops_.size()));
      loops_.push_back(info);
    }
  };
  add(stage_->axes, false);
  add(stage_->definition.reduce, true);
}

void Schedule::refuse(const char* primitive, Loop loop, const std::string& why) const {
  const std::string name = loop.id >= 0 && loop.id < static_cast<int>(loops_.size())
                               ? loops_[static_cast<std::size_t>(loop.id)].name
                               : "?";
  throw CompileError(fmt::format("stage {}, loop {}, {}: {}", stage_->name, name, primitive, why));
}

Loop Schedule::operator[](const Dim& d) const {
  for (std::size_t i = 0; i < loops_.size(); ++i) {
    const Info& info = loops_[i];
    if (info.kind != Kind::root) continue;
    if ((info.reduction ? stage_->definition.reduce : stage_->axes)[static_cast<std::size_t>(info.axis)]
            .dim == d)
      return {static_cast<int>(i)};
  }
  throw CompileError(fmt::format("stage {} has no dimension {}", stage_->name, d->name));
}

std::size_t Schedule::position(Loop loop, const char* primitive) const {
  const auto found = std::find(leaves_.begin(), leaves_.end(), loop.id);
  if (found == leaves_.end()) refuse(primitive, loop, "the loop is gone: it was split or fused before");
  return static_cast<std::size_t>(found - leaves_.begin());
}

std::pair<Loop, Loop> Schedule::split(Loop loop, std::int64_t factor) {
  const std::size_t at = position(loop, "split");
  if (factor <= 0) refuse("split", loop, fmt::format("factor {} is not positive", factor));
  const Info parent = loops_[static_cast<std::size_t>(loop.id)];
  const int outer = static_cast<int>(loops_.size()), inner = outer + 1;
  for (int part = 0; part < 2; ++part) {
    Info info;
    info.name = parent.name + (part == 0 ? "o" : "i");
    info.kind = part == 0 ? Kind::outer : Kind::inner;
    info.reduction = parent.reduction;
    info.parent = loop.id;
    info.sibling = part == 0 ? inner : outer;
    info.factor = factor;
    loops_.push_back(info);
  }
  leaves_[at] = outer;
  leaves_.insert(leaves_.begin() + static_cast<std::ptrdiff_t>(at) + 1, inner);
  return {{outer}, {inner}};
}

std::pair<Loop, Loop> Schedule::split_parts(Loop loop, std::int64_t parts) {
  const Info& info = loops_[static_cast<std::size_t>(loop.id)];
  const LengthFn* extent = nullptr;
  if (info.kind == Kind::root)
    extent = &(info.reduction ? stage_->definition.reduce : stage_->axes)[static_cast<std::size_t>(info.axis)]
                  .extent;
  if (parts <= 0 || extent == nullptr || !extent->is_constant())
    refuse("split_parts", loop,
           "it takes a positive number of parts and a loop of constant extent; split by a factor");
  return split(loop, std::max<std::int64_t>(1, (extent->constant() + parts - 1) / parts));
}

std::vector<Loop> Schedule::tile(Loop a, Loop b, std::int64_t factor_a, std::int64_t factor_b) {
  if (position(b, "tile") != position(a, "tile") + 1)
    refuse("tile", a, fmt::format("{} is not the loop directly inside it; reorder them first", name(b)));
  const auto [ao, ai] = split(a, factor_a);
  const auto [bo, bi] = split(b, factor_b);
  reorder({ao, bo, ai, bi});
  return {ao, bo, ai, bi};
}

Loop Schedule::fuse(Loop outer, Loop inner, std::int64_t bulk) {
  if (bulk <= 0) refuse("fuse", outer, fmt::format("bulk multiple {} is not positive", bulk));
  const std::size_t at = position(outer, "fuse"), next = position(inner, "fuse");
  if (next != at + 1)
    refuse("fuse", outer,
           fmt::format("{} is not the loop directly inside it; reorder them first", name(inner)));
  const Info &a = loops_[static_cast<std::size_t>(outer.id)], &b = loops_[static_cast<std::size_t>(inner.id)];
  if (a.reduction != b.reduction)
    refuse("fuse", outer, fmt::format("one of it and {} is a reduction, the other is not", name(inner)));
  Info info;
  info.name = a.name + "_" + b.name;
  info.kind = Kind::fused;
  info.reduction = a.reduction;
  info.first = outer.id;
  info.second = inner.id;
  info.bulk = bulk;
  loops_.push_back(info);
  leaves_[at] = static_cast<int>(loops_.size()) - 1;
  leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(next));
  return {leaves_[at]};
}

Schedule& Schedule::reorder(const std::vector<Loop>& order) {
  std::vector<std::size_t> places;
  for (const Loop l : order) places.push_back(position(l, "reorder"));
  std::sort(places.begin(), places.end());
  if (std::adjacent_find(places.begin(), places.end()) != places.end())
    refuse("reorder", order.front(), "a loop is named twice");
  for (std::size_t i = 0; i < order.size(); ++i) leaves_[places[i]] = order[i].id;
  return *this;
}

Schedule& Schedule::pad_loop(const Dim& d, std::int64_t m) {
  const Loop loop = (*this)[d];
  if (m <= 0) refuse("pad_loop", loop, fmt::format("multiple {} is not positive", m));
  loops_[static_cast<std::size_t>(loop.id)].padding = m;
  return *this;
}

Schedule& Schedule::vectorize(Loop loop) {
  position(loop, "vectorize");
  loops_[static_cast<std::size_t>(loop.id)].annotation = loop::LoopKind::vector;
  return *this;
}

Schedule& Schedule::unroll(Loop loop) {
  position(loop, "unroll");
  loops_[static_cast<std::size_t>(loop.id)].annotation = loop::LoopKind::unrolled;
  return *this;
}

Schedule& Schedule::peel(Loop outer) {
  position(outer, "peel");
  Info& info = loops_[static_cast<std::size_t>(outer.id)];
  if (info.kind != Kind::outer) refuse("peel", outer, "it is not the outer loop of a split");
  if (info.annotation != loop::LoopKind::serial)
    refuse("peel", outer, "a loop with lanes or an unrolled one is not peeled");
  info.peeled = true;
  return *this;
}

Schedule& Schedule::parallel(Loop loop) {
  position(loop, "parallel");
  if (loops_[static_cast<std::size_t>(loop.id)].reduction)
    refuse("parallel", loop, "tasks of a reduction would add to one element at once");
  parallel_ = loop.id;
  return *this;
}

Schedule& Schedule::microkernel(Loop rows, Loop columns, Loop reduction) {
  micro_[0] = rows.id;
  micro_[1] = columns.id;
  micro_[2] = reduction.id;
  return *this;
}

Schedule& Schedule::remap_by_cost() {
  remap_order_ = nullptr;
  remap_ = true;
  return *this;
}
Schedule& Schedule::remap(Remap order) {
  remap_order_ = std::move(order);
  remap_ = true;
  return *this;
}
Schedule& Schedule::balance(loop::Balance policy) {
  balance_ = policy;
  return *this;
}
Schedule& Schedule::cache_read(const Tensor& tensor, Loop at) {
  caches_.push_back({tensor, at.id, false});
  return *this;
}
Schedule& Schedule::compute_at(const Tensor& producer, Loop at) {
  if (producer->is_input || producer->target)
    refuse("compute_at", at, producer->name + " is no whole computed stage; cache_read copies an input");
  caches_.push_back({producer, at.id, true});
  return *this;
}
Schedule& Schedule::cache_write() {
  cache_write_ = true;
  return *this;
}
Schedule& Schedule::fuse_maps(FuseMaps maps) {
  maps_ = maps;
  return *this;
}
Schedule& Schedule::hoist_loads(bool on) {
  hoist_ = on;
  return *this;
}
Schedule& Schedule::elide_guards() {
  elide_ = true;
  return *this;
}

std::vector<Loop> Schedule::leaves() const {
  std::vector<Loop> out;
  for (const int id : leaves_) out.push_back({id});
  return out;
}

}  // namespace ballast::ragged
