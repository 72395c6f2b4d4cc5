#include "ballast/dynamic/runtime/batches.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "ballast/base/errors.h"

namespace ballast::dynamic {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Below this much work (multiply-adds) a launch stays on one thread.
constexpr double kWorkForThreads = 2e6;

}  // namespace

void Arena::Free::operator()(std::byte* p) const {
  std::free(p);
}

void* Arena::bytes(std::size_t size) {
  size = (size + 63) / 64 * 64;
  while (block_ < chunks_.size() && used_ + size > chunks_[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == chunks_.size()) {
    const std::size_t wanted = std::max(size, std::size_t{4} << 20);
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, wanted));
    if (memory == nullptr) throw Unavailable(fmt::format("no memory for {} bytes of a mini-batch", wanted));
    chunks_.push_back({std::unique_ptr<std::byte, Free>(memory), wanted});
  }
  void* at = chunks_[block_].memory.get() + used_;
  used_ += size;
  return at;
}

struct BatchRunner::State {
  struct Variant {
    std::shared_ptr<const loop::CompiledKernel> kernel;
    std::vector<FrameEntry> frame;
  };
  struct Kernel {
    std::map<std::uint64_t, Variant> variants;
    std::vector<int> place;   ///< of each input: its run-time operand, or -1
    std::uint64_t lanes = 0;  ///< inputs that are tensors of the instance
    double work = 0;
  };

  State(const std::vector<OpType>& t, Globals& g, int threads)
      : types(t), globals(g), one(1), many(threads), kernels(t.size()) {
    for (std::size_t i = 0; i < t.size(); ++i) {
      int operand = 0;
      for (std::size_t k = 0; k < t[i].cell.inputs.size(); ++k) {
        const auto mode = t[i].cell.inputs[k].mode;
        kernels[i].place.push_back(mode == Cell::Input::Mode::shared ? -1 : operand++);
        if (mode == Cell::Input::Mode::lane && k < 64) kernels[i].lanes |= std::uint64_t{1} << k;
      }
      kernels[i].work = work_of(t[i].cell);
    }
  }

  Variant& variant(int type, std::uint64_t contiguous) {
    Kernel& k = kernels[static_cast<std::size_t>(type)];
    const auto found = k.variants.find(contiguous);
    if (found != k.variants.end()) return found->second;
    KernelPlan plan = plan_kernel(types[static_cast<std::size_t>(type)], contiguous);
    return k.variants[contiguous] = {registry.get(plan.function), std::move(plan.frame)};
  }

  const std::vector<OpType>& types;
  Globals& globals;
  loop::KernelRegistry registry;
  loop::Launcher one, many;
  std::vector<Kernel> kernels;
  std::vector<std::vector<void*>> pointers;
  std::vector<std::vector<std::int32_t>> numbers;
  std::vector<void*> buffers;
  std::vector<const std::int32_t*> tables;
};

BatchRunner::BatchRunner(const std::vector<OpType>& types, Globals& globals, int threads)
    : state_(std::make_unique<State>(types, globals, threads)) {}
BatchRunner::~BatchRunner() = default;

loop::KernelRegistry& BatchRunner::registry() {
  return state_->registry;
}

std::int64_t BatchRunner::result_bytes(int type) const {
  std::int64_t bytes = 0;
  const Cell& cell = state_->types[static_cast<std::size_t>(type)].cell;
  for (const int output : cell.outputs)
    bytes += volume(cell.nodes[static_cast<std::size_t>(output)].shape) * 4;
  return bytes;
}

void BatchRunner::run(int type, std::span<const std::uint32_t> nodes, const std::vector<PendingNode>& all,
                      const std::int64_t* pool, const SessionOptions& options, Arena& arena,
                      RunStats& stats) {
  State& s = *state_;
  const auto begin = Clock::now();
  const OpType& op = s.types[static_cast<std::size_t>(type)];
  State::Kernel& k = s.kernels[static_cast<std::size_t>(type)];
  const auto lanes = static_cast<std::int64_t>(nodes.size());
  const std::size_t inputs = op.cell.inputs.size();
  if (s.pointers.size() < inputs) s.pointers.resize(inputs);
  if (s.numbers.size() < inputs + 1) s.numbers.resize(inputs + 1);
  // A tensor of the whole run where a lane's is expected is passed as -1 - id.
  const auto data_of = [&](std::int64_t word) {
    float* data = word < 0 ? s.globals.plain(static_cast<GlobalId>(-1 - word))
                           : reinterpret_cast<const Slot*>(word)->data;
    BALLAST_CHECK(data != nullptr, "a node ran before its operand");
    return data;
  };
  std::uint64_t contiguous = 0;
  if (op.variadic) {
    auto& terms = s.pointers[0];
    auto& offsets = s.numbers[0];
    terms.clear();
    offsets.assign(1, 0);
    for (const std::uint32_t id : nodes) {
      const PendingNode& node = all[id];
      for (std::uint32_t i = 0; i < node.count; ++i) terms.push_back(data_of(pool[node.first + i]));
      offsets.push_back(static_cast<std::int32_t>(terms.size()));
    }
    stats.scattered += 1;
  } else {
    for (std::size_t i = 0; i < inputs; ++i) {
      const int place = k.place[i];
      if (place < 0) continue;
      if (op.cell.inputs[i].mode == Cell::Input::Mode::index) {
        auto& list = s.numbers[i];
        list.clear();
        for (const std::uint32_t id : nodes)
          list.push_back(static_cast<std::int32_t>(pool[all[id].first + static_cast<std::uint32_t>(place)]));
        continue;
      }
      auto& list = s.pointers[i];
      list.clear();
      const std::int64_t size = volume(op.cell.inputs[i].shape);
      bool beside = true;
      for (const std::uint32_t id : nodes) {
        float* data = data_of(pool[all[id].first + static_cast<std::uint32_t>(place)]);
        beside &= list.empty() || data == static_cast<float*>(list.back()) + size;
        list.push_back(data);
      }
      if (op.cell.inputs[i].mode != Cell::Input::Mode::lane || i >= 64) continue;
      stats.contiguous += beside ? 1 : 0;
      stats.scattered += beside ? 0 : 1;
      if (options.gather == Gather::copied && !beside) {
        auto* together = arena.take<float>(static_cast<std::size_t>(size * lanes));
        for (std::int64_t lane = 0; lane < lanes; ++lane)
          std::memcpy(together + lane * size, list[static_cast<std::size_t>(lane)],
                      static_cast<std::size_t>(size) * 4);
        list[0] = together;
        stats.gathered_bytes += size * lanes * 4;
        beside = true;
      }
      if (beside) contiguous |= std::uint64_t{1} << i;
    }
    // Two variants a kernel are compiled, not one a combination: all operands side by side, or none assumed
    // to be.
    if (options.gather == Gather::fused || contiguous != k.lanes) contiguous = 0;
  }
  State::Variant& v = s.variant(type, contiguous);
  s.buffers.clear();
  s.tables.clear();
  std::vector<float*> outputs;
  for (const FrameEntry& entry : v.frame) {
    const auto i = static_cast<std::size_t>(entry.index);
    switch (entry.kind) {
      case FrameEntry::Kind::lane:
        s.buffers.push_back((contiguous >> i & 1) != 0 ? s.pointers[i][0]
                                                       : static_cast<void*>(s.pointers[i].data()));
        break;
      case FrameEntry::Kind::shared:
        s.buffers.push_back(s.globals.plain(static_cast<GlobalId>(i)));
        break;
      case FrameEntry::Kind::packed:
        s.buffers.push_back(s.globals.packed(static_cast<GlobalId>(i)));
        break;
      case FrameEntry::Kind::rows:
        s.buffers.push_back(s.globals.plain(static_cast<GlobalId>(i)));
        s.tables.push_back(s.numbers[static_cast<std::size_t>(entry.other)].data());
        break;
      case FrameEntry::Kind::number:
        s.buffers.push_back(s.numbers[i].data());
        break;
      case FrameEntry::Kind::keyed:
        s.buffers.push_back(s.pointers[i][0]);
        break;
      case FrameEntry::Kind::output: {
        const Cell::Node& node = op.cell.nodes[static_cast<std::size_t>(op.cell.outputs[i])];
        const std::int64_t size = volume(node.shape);
        outputs.push_back(arena.take<float>(static_cast<std::size_t>(size * lanes)));
        s.buffers.push_back(outputs.back());
        for (std::int64_t lane = 0; lane < lanes; ++lane)
          all[nodes[static_cast<std::size_t>(lane)]].results[i].data = outputs.back() + lane * size;
        break;
      }
    }
  }
  if (op.variadic) s.tables.push_back(s.numbers[0].data());
  const loop::KernelFrame frame{.buffers = s.buffers.data(), .scalars = &lanes, .aux = s.tables.data()};
  const bool wide = s.many.threads() > 1 && k.work * static_cast<double>(lanes) > kWorkForThreads;
  const auto launch = Clock::now();
  stats.operand_seconds += std::chrono::duration<double>(launch - begin).count();
  (wide ? s.many : s.one).run(*v.kernel, frame);
  stats.kernel_seconds += since(launch);
  ++stats.batches;
  if (!options.stop_at_nan) return;
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    const Cell::Node& node = op.cell.nodes[static_cast<std::size_t>(op.cell.outputs[o])];
    if (gives_integers(node.op.kind)) continue;
    const std::int64_t size = volume(node.shape);
    for (std::int64_t i = 0; i < size * lanes; ++i) {
      if (std::isfinite(outputs[o][i])) continue;
      throw InvalidInput(fmt::format("instance {}: {} of block '{}' gave {} (--nan error)",
                                     all[nodes[static_cast<std::size_t>(i / size)]].instance,
                                     to_string(node.op), op.name, outputs[o][i]));
    }
  }
}

}  // namespace ballast::dynamic
