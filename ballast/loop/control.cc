#include "ballast/loop/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

namespace ballast::loop {

std::string to_text(const ControlProgram& program) {
  static const char* const kNames[] = {
      "constant",   "move",     "add",      "sub",        "mul",      "less",      "less_equal",
      "equal",      "real_add", "real_sub", "real_mul",   "real_div", "real_less", "real_less_equal",
      "real_equal", "not",      "to_real",  "to_integer", "jump",     "jump_zero", "call",
      "again",      "result",   "load",     "store",      "allocate", "get",       "set",
      "host"};
  std::string text;
  for (const ControlFunction& f : program.functions) {
    text += fmt::format("{}: {} parameters, {} registers\n", f.name, f.parameters, f.registers);
    for (std::size_t i = 0; i < f.code.size(); ++i) {
      const ControlInstruction& in = f.code[i];
      text += fmt::format("  {:3} {} a={} b={} c={} d={} {}", i, kNames[static_cast<std::size_t>(in.op)],
                          in.a, in.b, in.c, in.d, in.immediate);
      if (in.op == ControlOp::call || in.op == ControlOp::again || in.op == ControlOp::host)
        for (int k = 0; k < in.c + in.d; ++k)
          text += fmt::format(" r{}", f.operands[static_cast<std::size_t>(in.b + k)]);
      text += "\n";
    }
  }
  return text;
}

namespace {

double real(std::int64_t bits) {
  return std::bit_cast<double>(bits);
}
std::int64_t bits(double value) {
  return std::bit_cast<std::int64_t>(value);
}
std::int64_t wrap(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

/// Registers in chunks that stay where they are: a frame's registers are one run of words.
class Registers {
 public:
  std::int64_t* push(int count) {
    const auto needed = static_cast<std::size_t>(count);
    while (chunk_ < chunks_.size() && used_ + needed > sizes_[chunk_]) {
      marks_.push_back(used_);
      ++chunk_;
      used_ = 0;
    }
    if (chunk_ == chunks_.size()) {
      sizes_.push_back(std::max(needed, std::size_t{1} << 14));
      chunks_.push_back(std::make_unique<std::int64_t[]>(sizes_.back()));
    }
    std::int64_t* first = chunks_[chunk_].get() + used_;
    used_ += needed;
    return first;
  }
  void pop(int count) {
    used_ -= static_cast<std::size_t>(count);
    while (used_ == 0 && chunk_ > 0) {
      --chunk_;
      used_ = marks_.back();
      marks_.pop_back();
    }
  }

 private:
  std::vector<std::unique_ptr<std::int64_t[]>> chunks_;
  std::vector<std::size_t> sizes_, marks_;
  std::size_t chunk_ = 0, used_ = 0;
};

}  // namespace

std::int64_t ControlMachine::call(int entry, ControlContext& context, const std::int64_t* args) {
  struct Frame {
    const ControlFunction* f;
    std::int64_t* r;
    std::size_t at;
    int id;
  };
  // A host function that stops an interpreted program throws: these go with the frame.
  Registers registers;
  std::vector<Frame> frames;
  std::vector<std::int64_t> given, taken;
  const auto refuse = [&](std::int64_t what, std::int64_t id) {
    context.overflow(&context, what, &id, nullptr);
  };
  const auto enter = [&](int id, const std::int64_t* from) {
    const ControlFunction& f = program_.functions[static_cast<std::size_t>(id)];
    if (--context.fuel < 0) refuse(0, id);
    if (++context.frames > context.most_frames) refuse(1, id);
    std::int64_t* r = registers.push(f.registers);
    for (int i = 0; i < f.parameters; ++i) r[i] = from[i];
    frames.push_back({&f, r, 0, id});
  };
  enter(entry, args);
  for (;;) {
    Frame& frame = frames.back();
    const ControlFunction& f = *frame.f;
    std::int64_t* const r = frame.r;
    const ControlInstruction& in = f.code[frame.at++];
    switch (in.op) {
      case ControlOp::constant:
        r[in.a] = in.immediate;
        break;
      case ControlOp::move:
        r[in.a] = r[in.b];
        break;
      case ControlOp::add:
        r[in.a] = wrap(static_cast<std::uint64_t>(r[in.b]) + static_cast<std::uint64_t>(r[in.c]));
        break;
      case ControlOp::sub:
        r[in.a] = wrap(static_cast<std::uint64_t>(r[in.b]) - static_cast<std::uint64_t>(r[in.c]));
        break;
      case ControlOp::mul:
        r[in.a] = wrap(static_cast<std::uint64_t>(r[in.b]) * static_cast<std::uint64_t>(r[in.c]));
        break;
      case ControlOp::less:
        r[in.a] = r[in.b] < r[in.c];
        break;
      case ControlOp::less_equal:
        r[in.a] = r[in.b] <= r[in.c];
        break;
      case ControlOp::equal:
        r[in.a] = r[in.b] == r[in.c];
        break;
      case ControlOp::real_add:
        r[in.a] = bits(real(r[in.b]) + real(r[in.c]));
        break;
      case ControlOp::real_sub:
        r[in.a] = bits(real(r[in.b]) - real(r[in.c]));
        break;
      case ControlOp::real_mul:
        r[in.a] = bits(real(r[in.b]) * real(r[in.c]));
        break;
      case ControlOp::real_div:
        r[in.a] = bits(real(r[in.b]) / real(r[in.c]));
        break;
      case ControlOp::real_less:
        r[in.a] = real(r[in.b]) < real(r[in.c]);
        break;
      case ControlOp::real_less_equal:
        r[in.a] = real(r[in.b]) <= real(r[in.c]);
        break;
      case ControlOp::real_equal:
        r[in.a] = real(r[in.b]) == real(r[in.c]);
        break;
      case ControlOp::logical_not:
        r[in.a] = r[in.b] == 0;
        break;
      case ControlOp::to_real:
        r[in.a] = bits(static_cast<double>(r[in.b]));
        break;
      case ControlOp::to_integer:
        r[in.a] = static_cast<std::int64_t>(real(r[in.b]));
        break;
      case ControlOp::jump:
        frame.at = static_cast<std::size_t>(in.immediate);
        break;
      case ControlOp::jump_zero:
        if (r[in.b] == 0) frame.at = static_cast<std::size_t>(in.immediate);
        break;
      case ControlOp::call:
      case ControlOp::again: {
        given.clear();
        for (int i = 0; i < in.c; ++i) given.push_back(r[f.operands[static_cast<std::size_t>(in.b + i)]]);
        if (in.op == ControlOp::call) {
          enter(static_cast<int>(in.immediate), given.data());
        } else {
          if (--context.fuel < 0) refuse(0, frame.id);
          for (int i = 0; i < in.c; ++i) r[i] = given[static_cast<std::size_t>(i)];
          frame.at = 0;
        }
        break;
      }
      case ControlOp::result: {
        const std::int64_t value = r[in.b];
        registers.pop(f.registers);
        --context.frames;
        frames.pop_back();
        if (frames.empty()) return value;
        Frame& caller = frames.back();
        caller.r[caller.f->code[caller.at - 1].a] = value;
        break;
      }
      case ControlOp::load:
        r[in.a] = reinterpret_cast<const std::int64_t*>(r[in.b])[in.immediate];
        break;
      case ControlOp::store:
        reinterpret_cast<std::int64_t*>(r[in.a])[in.immediate] = r[in.b];
        break;
      case ControlOp::allocate: {
        if (context.next + in.immediate > context.end)
          context.refill(&context, in.immediate, nullptr, nullptr);
        r[in.a] = reinterpret_cast<std::int64_t>(context.next);
        context.next += in.immediate;
        break;
      }
      case ControlOp::get:
        r[in.a] = (&context.depth)[in.immediate];
        break;
      case ControlOp::set:
        (&context.depth)[in.immediate] = r[in.b];
        break;
      case ControlOp::host: {
        given.clear();
        for (int i = 0; i < in.c; ++i) given.push_back(r[f.operands[static_cast<std::size_t>(in.b + i)]]);
        taken.assign(static_cast<std::size_t>(in.d), 0);
        context.hosts[in.a](&context, in.immediate, given.data(), taken.data());
        for (int i = 0; i < in.d; ++i)
          r[f.operands[static_cast<std::size_t>(in.b + in.c + i)]] = taken[static_cast<std::size_t>(i)];
        break;
      }
    }
  }
}

}  // namespace ballast::loop
