#include "ballast/dynamic/runtime/batches.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"

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

void* Arena::bytes(std::size_t size, std::size_t alignment) {
  used_ = (used_ + alignment - 1) / alignment * alignment;
  while (block_ < chunks_.size() && used_ + size > chunks_[block_].size) {
    ++block_;
    used_ = 0;
  }
  if (block_ == chunks_.size()) {
    const std::size_t wanted = (std::max(size, least_) + 63) / 64 * 64;
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, wanted));
    if (memory == nullptr) throw Unavailable(fmt::format("no memory for {} bytes of a mini-batch", wanted));
    chunks_.push_back({std::unique_ptr<std::byte, Free>(memory), wanted});
  }
  void* at = chunks_[block_].memory.get() + used_;
  used_ += size;
  return at;
}

namespace {

/// A batch of made-up operands that do not lie side by side.
struct MadeUp {
  MadeUp(const OpType& op, int type, std::int64_t lanes, std::uint64_t seed) {
    std::vector<std::int64_t> rows(op.cell.inputs.size(), 1);
    for (const Cell::Node& node : op.cell.nodes)
      if ((node.op.kind == OpKind::embedding || node.op.kind == OpKind::pick_neg_log_softmax) &&
          node.args[1] < 0)
        rows[static_cast<std::size_t>(~node.args[1])] = op.cell.shape_of_arg(node.args[0])[0];
    Random random(seed, 0x74756e65);
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const auto first = static_cast<std::uint32_t>(pool.size());
      for (std::size_t i = 0; i < op.cell.inputs.size(); ++i) {
        const Cell::Input& input = op.cell.inputs[i];
        if (input.mode == Cell::Input::Mode::shared) continue;
        if (input.mode == Cell::Input::Mode::index) {
          pool.push_back(static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(rows[i]))));
          continue;
        }
        const auto size = static_cast<std::size_t>(volume(input.shape));
        auto* numbers = arena.take<float>(size + 16 * (1 + random.below(4)));
        for (std::size_t k = 0; k < size; ++k) numbers[k] = static_cast<float>(random.normal() * 0.3);
        auto* slot = arena.take<Slot>(1);
        *slot = {numbers, 0, 0};
        pool.push_back(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(slot)));
      }
      ids.push_back(static_cast<std::uint32_t>(lane));
      nodes.push_back({static_cast<std::uint32_t>(type), 0, 0, 0, first,
                       static_cast<std::uint32_t>(pool.size()) - first,
                       arena.take<Slot>(op.cell.outputs.size())});
    }
  }
  Arena arena;
  std::vector<PendingNode> nodes;
  std::vector<std::uint32_t> ids;
  std::vector<std::int64_t> pool;
};

}  // namespace

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
    std::vector<std::int64_t> sizes;  ///< of each output, in numbers
    std::vector<std::int64_t> input_sizes;
  };

  State(const std::vector<OpType>& t, Globals& g, int threads, const std::string& cache,
        std::vector<KernelChoice> c)
      : types(t),
        choices(std::move(c)),
        profile(t.size()),
        globals(g),
        registry(cache),
        one(1),
        many(threads),
        kernels(t.size()) {
    choices.resize(t.size());
    for (std::size_t i = 0; i < t.size(); ++i) {
      int operand = 0;
      for (std::size_t k = 0; k < t[i].cell.inputs.size(); ++k) {
        const auto mode = t[i].cell.inputs[k].mode;
        kernels[i].place.push_back(mode == Cell::Input::Mode::shared ? -1 : operand++);
        if (mode == Cell::Input::Mode::lane && k < 64) kernels[i].lanes |= std::uint64_t{1} << k;
      }
      kernels[i].work = work_of(t[i].cell);
      for (const int output : t[i].cell.outputs)
        kernels[i].sizes.push_back(volume(t[i].cell.nodes[static_cast<std::size_t>(output)].shape));
      for (const Cell::Input& input : t[i].cell.inputs) kernels[i].input_sizes.push_back(volume(input.shape));
    }
  }

  Variant& variant(int type, std::uint64_t contiguous) {
    Kernel& k = kernels[static_cast<std::size_t>(type)];
    const auto found = k.variants.find(contiguous);
    if (found != k.variants.end()) return found->second;
    KernelPlan plan = plan_kernel(types[static_cast<std::size_t>(type)], contiguous,
                                  choices[static_cast<std::size_t>(type)].tile);
    return k.variants[contiguous] = {registry.get(plan.function), std::move(plan.frame)};
  }

  const std::vector<OpType>& types;
  std::vector<KernelChoice> choices;
  std::vector<BatchProfile> profile;
  Globals& globals;
  loop::KernelRegistry registry;
  loop::Launcher one, many;
  std::vector<Kernel> kernels;
  std::vector<std::vector<void*>> pointers;
  std::vector<std::vector<std::int32_t>> numbers;
  std::vector<void*> buffers;
  std::vector<const std::int32_t*> tables;
  std::vector<float*> outputs;
};

BatchRunner::BatchRunner(const std::vector<OpType>& types, Globals& globals, int threads,
                         const std::string& cache, std::vector<KernelChoice> choices)
    : state_(std::make_unique<State>(types, globals, threads, cache, std::move(choices))) {}
BatchRunner::~BatchRunner() = default;

loop::KernelRegistry& BatchRunner::registry() {
  return state_->registry;
}

void BatchRunner::compile_all() {
  for (std::size_t t = 0; t < state_->types.size(); ++t) {
    const auto type = static_cast<int>(t);
    state_->variant(type, 0);
    if (!state_->types[t].variadic && state_->kernels[t].lanes != 0)
      state_->variant(type, state_->kernels[t].lanes);
    if (!can_be_timed(type)) continue;
    // Tiles of products are compiled when a number of rows is first met.
    for (std::int64_t lanes = 1; lanes <= 32 && state_->kernels[t].work * static_cast<double>(lanes) < 2e6;
         ++lanes) {
      MadeUp batch(state_->types[t], type, lanes, 1);
      for (const Gather gather : {Gather::fused, Gather::copied}) {
        RunStats stats;
        run(type, batch.ids, batch.nodes, batch.pool.data(), {.gather = gather}, batch.arena, stats);
      }
    }
  }
  state_->profile.assign(state_->types.size(), {});
}

std::int64_t BatchRunner::result_bytes(int type) const {
  std::int64_t bytes = 0;
  for (const std::int64_t size : state_->kernels[static_cast<std::size_t>(type)].sizes) bytes += size * 4;
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
  s.profile[static_cast<std::size_t>(type)].launches += 1;
  s.profile[static_cast<std::size_t>(type)].lanes += lanes;
  Gather gather = options.gather;
  if (const auto reading = s.choices[static_cast<std::size_t>(type)].reading;
      gather == Gather::automatic && reading != KernelChoice::Reading::automatic)
    gather = reading == KernelChoice::Reading::copied ? Gather::copied : Gather::fused;
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
      const std::int64_t size = k.input_sizes[i];
      bool beside = true;
      for (const std::uint32_t id : nodes) {
        float* data = data_of(pool[all[id].first + static_cast<std::uint32_t>(place)]);
        beside &= list.empty() || data == static_cast<float*>(list.back()) + size;
        list.push_back(data);
      }
      if (op.cell.inputs[i].mode != Cell::Input::Mode::lane || i >= 64) continue;
      stats.contiguous += beside ? 1 : 0;
      stats.scattered += beside ? 0 : 1;
      if (gather == Gather::copied && !beside) {
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
    if (gather == Gather::fused || contiguous != k.lanes) contiguous = 0;
  }
  State::Variant& v = s.variant(type, contiguous);
  s.buffers.clear();
  s.tables.clear();
  std::vector<float*>& outputs = s.outputs;
  outputs.clear();
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
        const std::int64_t size = k.sizes[i];
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

const std::vector<BatchProfile>& BatchRunner::profile() const {
  return state_->profile;
}

bool BatchRunner::can_be_timed(int type) const {
  const OpType& op = state_->types[static_cast<std::size_t>(type)];
  for (const Cell::Input& input : op.cell.inputs)
    if (input.mode == Cell::Input::Mode::keyed) return false;
  return !op.variadic;
}

double BatchRunner::time(int type, std::int64_t lanes, const KernelChoice& choice, std::uint64_t seed) {
  State& s = *state_;
  s.choices[static_cast<std::size_t>(type)] = choice;
  s.kernels[static_cast<std::size_t>(type)].variants.clear();
  MadeUp batch(s.types[static_cast<std::size_t>(type)], type, lanes, seed);
  const SessionOptions options;
  RunStats stats;
  double least = 0;
  for (int round = 0; round < 6; ++round) {
    Arena results;
    const auto begin = Clock::now();
    run(type, batch.ids, batch.nodes, batch.pool.data(), options, results, stats);
    const double seconds = since(begin);
    if (round == 1 || (round > 1 && seconds < least)) least = seconds;
  }
  return least;
}

}  // namespace ballast::dynamic
