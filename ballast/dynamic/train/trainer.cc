#include "ballast/dynamic/train/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/batches.h"
#include "ballast/dynamic/train/gradient.h"

namespace ballast::dynamic {

using Kind = GradientCell::Target::Kind;

struct Trainer::State {
  State(const Executable& e, Parameters parameters, TrainOptions o)
      : exe(e),
        options(std::move(o)),
        session(e, parameters, options.session),
        program(e.program),
        types(gradient_types()),
        globals(program, std::move(parameters)),
        runner(types, globals, options.session.threads) {
    cli::require_one_of("--optimizer", options.optimizer, {"sgd", "adam"});
    for (const Global& g : e.program.globals)
      if (g.kind == Global::Kind::computed)
        throw InvalidInput(
            "this model has operators of parameters alone; to train it, compile it with constants off");
    session.record(true);
  }

  std::vector<OpType> gradient_types() {
    std::vector<OpType> result;
    for (const OpType& type : exe.unit.types) {
      if (type.variadic) {
        cells.emplace_back();
        result.push_back(type);
        continue;
      }
      cells.push_back(gradient_of(type.cell, program));
      OpType out{.cell = cells.back().cell, .globals = type.globals, .name = type.name + "'"};
      for (std::size_t i = 0; i < type.cell.outputs.size(); ++i) out.globals.push_back(-1);
      for (const GlobalId id : cells.back().more) out.globals.push_back(static_cast<std::int64_t>(id));
      // Inputs for outputs' gradients and for constants were added in the order of need.
      std::vector<std::int64_t> sorted(type.globals);
      std::size_t constant = 0;
      for (std::size_t i = type.cell.inputs.size(); i < out.cell.inputs.size(); ++i)
        sorted.push_back(out.cell.inputs[i].mode == Cell::Input::Mode::shared
                             ? static_cast<std::int64_t>(cells.back().more[constant++])
                             : -1);
      out.globals = std::move(sorted);
      result.push_back(std::move(out));
    }
    return result;
  }

  float* gradient_at(const Slot* slot, std::int64_t size) {
    float*& at = of_slot[slot];
    if (at == nullptr) {
      at = arena.take<float>(static_cast<std::size_t>(size));
      std::fill(at, at + size, 0.0f);
    }
    return at;
  }
  std::vector<float>& gradient_at(GlobalId id) {
    std::vector<float>& at = of_global[id];
    at.resize(static_cast<std::size_t>(volume(program.globals[id].shape)), 0.0f);
    return at;
  }

  /// Adds `size` numbers to what a run-time operand stands for.
  void add(std::int64_t word, const float* gradient, std::int64_t size) {
    float* to = word < 0 ? gradient_at(static_cast<GlobalId>(-1 - word)).data()
                         : gradient_at(reinterpret_cast<const Slot*>(word), size);
    for (std::int64_t i = 0; i < size; ++i) to[i] += gradient[i];
  }

  void backwards(const TapeEntry& entry) {
    const auto lanes = static_cast<std::int64_t>(entry.results.size());
    const OpType& type = exe.unit.types[static_cast<std::size_t>(entry.type)];
    const std::size_t outputs = type.cell.outputs.size();
    const auto size_of_output = [&](std::size_t o) {
      return volume(type.cell.nodes[static_cast<std::size_t>(type.cell.outputs[o])].shape);
    };
    bool any = false;
    for (Slot* slots : entry.results)
      for (std::size_t o = 0; o < outputs; ++o) any |= of_slot.contains(slots + o);
    if (!any) return;  // nothing that the loss depends on
    if (type.variadic) {
      for (std::int64_t lane = 0; lane < lanes; ++lane)
        for (const std::int64_t word : entry.operands[static_cast<std::size_t>(lane)])
          add(word, gradient_at(entry.results[static_cast<std::size_t>(lane)], size_of_output(0)),
              size_of_output(0));
      return;
    }
    const GradientCell& g = cells[static_cast<std::size_t>(entry.type)];
    std::vector<PendingNode> nodes;
    std::vector<std::uint32_t> ids;
    std::vector<std::int64_t> pool;
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const auto l = static_cast<std::size_t>(lane);
      const auto begin = static_cast<std::uint32_t>(pool.size());
      pool.insert(pool.end(), entry.operands[l].begin(), entry.operands[l].end());
      for (std::size_t o = 0; o < outputs; ++o) {
        auto* slot = arena.take<Slot>(1);
        *slot = {gradient_at(entry.results[l] + o, size_of_output(o)), 0};
        pool.push_back(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(slot)));
      }
      ids.push_back(static_cast<std::uint32_t>(lane));
      nodes.push_back({static_cast<std::uint32_t>(entry.type), 0, 0, 0, begin,
                       static_cast<std::uint32_t>(pool.size()) - begin,
                       arena.take<Slot>(g.cell.outputs.size())});
    }
    runner.run(entry.type, ids, nodes, pool.data(), options.session, arena, stats);
    std::vector<int> place(type.cell.inputs.size(), -1);
    int operand = 0;
    for (std::size_t i = 0; i < place.size(); ++i)
      if (type.cell.inputs[i].mode != Cell::Input::Mode::shared) place[i] = operand++;
    std::size_t output = 0;
    for (const GradientCell::Target& target : g.targets) {
      const auto input = static_cast<std::size_t>(target.input);
      const std::int64_t size = volume(g.cell.nodes[static_cast<std::size_t>(g.cell.outputs[output])].shape);
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const auto l = static_cast<std::size_t>(lane);
        const float* d = nodes[l].results[output].data;
        const std::vector<std::int64_t>& words = entry.operands[l];
        if (target.kind == Kind::operand) {
          add(place[input] < 0 ? -1 - type.globals[input] : words[static_cast<std::size_t>(place[input])], d,
              size);
          continue;
        }
        if (target.kind == Kind::rows) {
          const std::int64_t row =
              words[static_cast<std::size_t>(place[static_cast<std::size_t>(target.index)])];
          const std::int64_t table =
              place[input] < 0 ? -1 - type.globals[input] : words[static_cast<std::size_t>(place[input])];
          float* to = table < 0 ? gradient_at(static_cast<GlobalId>(-1 - table)).data()
                                : gradient_at(reinterpret_cast<const Slot*>(table),
                                              volume(type.cell.inputs[input].shape));
          for (std::int64_t i = 0; i < size; ++i) to[row * size + i] += d[i];
          continue;
        }
        const float* x = nodes[l].results[output + 1].data;
        const std::int64_t columns = type.cell.inputs[input].shape[1];
        float* to = gradient_at(static_cast<GlobalId>(type.globals[input])).data();
        for (std::int64_t r = 0; r < size; ++r)
          for (std::int64_t c = 0; c < columns; ++c) to[r * columns + c] += d[r] * x[c];
      }
      output += target.kind == Kind::outer ? 2 : 1;
    }
  }

  Parameters gradients(std::span<const Session::Arguments> batch, double* loss) {
    arena.reset();
    of_slot.clear();
    of_global.clear();
    session.run(batch);
    double sum = 0;
    static float one = 1;
    if (session.losses().empty() && !batch.empty())
      throw InvalidInput("training needs an entry function that gives losses: tensors of one element");
    for (const Slot* slot : session.losses()) {
      sum += *slot->data;
      add(static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(slot)), &one, 1);
    }
    if (loss != nullptr) *loss = sum;
    const std::vector<TapeEntry>& tape = session.tape();
    for (auto entry = tape.rbegin(); entry != tape.rend(); ++entry) backwards(*entry);
    Parameters result;
    for (const ParamDecl& param : program.module->params)
      result[param.name].assign(static_cast<std::size_t>(volume(param.type->shape)), 0.0f);
    for (const auto& [id, gradient] : of_global) globals.spread(id, gradient, result);
    return result;
  }

  void update(const Parameters& gradient, double scale) {
    ++steps;
    Parameters& parameters = globals.change();
    for (auto& [name, values] : parameters) {
      const std::vector<float>& g = gradient.at(name);
      std::vector<float>&m = first[name], &v = second[name];
      m.resize(values.size());
      v.resize(values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double d = static_cast<double>(g[i]) * scale;
        if (options.optimizer == "sgd") {
          m[i] = static_cast<float>(options.momentum * static_cast<double>(m[i]) + d);
          values[i] -= static_cast<float>(options.rate * static_cast<double>(m[i]));
          continue;
        }
        m[i] = static_cast<float>(options.beta1 * static_cast<double>(m[i]) + (1 - options.beta1) * d);
        v[i] = static_cast<float>(options.beta2 * static_cast<double>(v[i]) + (1 - options.beta2) * d * d);
        const double mean = static_cast<double>(m[i]) / (1 - std::pow(options.beta1, steps)),
                     square = static_cast<double>(v[i]) / (1 - std::pow(options.beta2, steps));
        values[i] -= static_cast<float>(options.rate * mean / (std::sqrt(square) + options.epsilon));
      }
    }
    session.change_parameters() = parameters;
  }

  const Executable& exe;
  TrainOptions options;
  Session session;
  Program program;  // with the constants that gradients need
  std::vector<GradientCell> cells;
  std::vector<OpType> types;
  Globals globals;
  BatchRunner runner;
  Arena arena;
  RunStats stats;
  std::unordered_map<const Slot*, float*> of_slot;
  std::map<GlobalId, std::vector<float>> of_global;
  Parameters first, second;
  int steps = 0;
};

Trainer::Trainer(const Executable& exe, Parameters parameters, TrainOptions options)
    : state_(std::make_unique<State>(exe, std::move(parameters), std::move(options))) {}
Trainer::~Trainer() = default;

Parameters Trainer::gradients(std::span<const Session::Arguments> batch, double* loss) {
  return state_->gradients(batch, loss);
}

double Trainer::step(std::span<const Session::Arguments> batch) {
  double loss = 0;
  const Parameters gradient = state_->gradients(batch, &loss);
  const double share = 1 / static_cast<double>(std::max<std::size_t>(1, batch.size()));
  state_->update(gradient, share);
  return loss * share;
}

const Parameters& Trainer::parameters() const {
  return state_->globals.parameters();
}

}  // namespace ballast::dynamic
