#include "ballast/dynamic/compiler/depth.h"

#include <algorithm>
#include <optional>
#include <set>

#include "ballast/dynamic/compiler/passes.h"

namespace ballast::dynamic {
namespace {

/// Inputs, weights and numbers have depth 0, an operator's result one more than its deepest operand; joined
/// over all calls of a function.
class Depths {
 public:
  explicit Depths(const Program& program)
      : program_(program), values_(program.functions.size()), results_(program.functions.size(), 0) {
    for (std::size_t f = 0; f < values_.size(); ++f) values_[f].assign(program.functions[f].types.size(), 0);
    do {
      changed_ = false;
      starts_.clear();
      for (std::size_t f = 0; f < values_.size(); ++f)
        raise(results_[f], block(f, program.functions[f].body));
    } while (changed_);
  }
  std::map<const Stmt*, int> starts_;
  std::vector<std::vector<int>> take_values() { return std::move(values_); }

 private:
  void raise(int& at, int with) {
    with = std::min(with, kNoDepth);
    if (with <= at) return;
    at = with;
    changed_ = true;
  }
  int value(std::size_t f, const Atom& atom) const {
    if (!atom.is_var()) return 0;
    const auto reset = crossed_.find(atom.id);
    return f == static_cast<std::size_t>(program_.entry) && reset != crossed_.end() ? 0 : values_[f][atom.id];
  }
  int deepest(std::size_t f, const Stmt& s) const {
    int depth = 0;
    for (const Atom& arg : s.args) depth = std::max(depth, value(f, arg));
    return depth;
  }

  int block(std::size_t f, const Block& b) {
    const bool entry = f == static_cast<std::size_t>(program_.entry) && &b == &program_.functions[f].body;
    if (entry) crossed_.clear();
    for (const Stmt& s : b.stmts) {
      statement(f, s);
      // After a phase all that was there before lies at depth 0.
      if (entry && s.kind == Stmt::Kind::phase)
        for (VarId v = 0; v < values_[f].size(); ++v)
          if (defined_.contains(v)) crossed_.insert(v);
      if (entry) defined_.insert(s.results.begin(), s.results.end());
    }
    return value(f, b.result);
  }

  void statement(std::size_t f, const Stmt& s) {
    auto& values = values_[f];
    const int depth = deepest(f, s);
    switch (s.kind) {
      case Stmt::Kind::node:
      case Stmt::Kind::add_n:
        starts_[&s] = depth;
        for (const VarId v : s.results) raise(values[v], depth + 1);
        break;
      case Stmt::Kind::call: {
        const auto callee = static_cast<std::size_t>(s.function);
        const CoreFunction& g = program_.functions[callee];
        for (std::size_t i = 0; i < s.args.size(); ++i)
          raise(values_[callee][g.params[i]], value(f, s.args[i]));
        raise(values[s.results[0]], g.depth_constant ? depth : results_[callee]);
        break;
      }
      case Stmt::Kind::construct:
      case Stmt::Kind::project:
        raise(values[s.results[0]], depth);
        break;
      case Stmt::Kind::branch:
        for (const Block& b : s.blocks) raise(values[s.results[0]], block(f, b));
        break;
      case Stmt::Kind::match:
        for (std::size_t i = 0; i < s.blocks.size(); ++i) {
          for (const VarId v : s.binders[i]) raise(values[v], depth);
          raise(values[s.results[0]], block(f, s.blocks[i]));
        }
        break;
      case Stmt::Kind::concurrent:
        for (std::size_t i = 0; i < s.blocks.size(); ++i) raise(values[s.results[i]], block(f, s.blocks[i]));
        break;
      default:
        break;
    }
  }

  const Program& program_;
  std::vector<std::vector<int>> values_;
  std::vector<int> results_;
  std::set<VarId> crossed_, defined_;
  bool changed_ = false;
};

constexpr int kMostGhosts = 5;

class Ghosts {
 public:
  explicit Ghosts(Program& program) : program_(program) {}
  void run() {
    for (CoreFunction& f : program_.functions) pad(f.body);
  }

 private:
  /// Levels that the block adds to the counter; nullopt when that is not the same in every run.
  std::optional<int> levels(const Block& block) {
    int sum = 0;
    for (const Stmt& s : block.stmts) {
      if (s.kind == Stmt::Kind::node || s.kind == Stmt::Kind::add_n) {
        if (s.static_depth >= 0) return std::nullopt;
        ++sum;
      } else if (s.kind == Stmt::Kind::ghost) {
        sum += s.tag;
      } else if (s.kind == Stmt::Kind::call) {
        if (!open_.insert(s.function).second) return std::nullopt;
        const auto inner = levels(program_.functions[static_cast<std::size_t>(s.function)].body);
        open_.erase(s.function);
        if (!inner) return std::nullopt;
        sum += *inner;
      } else if (s.kind == Stmt::Kind::item || s.kind == Stmt::Kind::phase) {
        return std::nullopt;
      } else if (!s.blocks.empty()) {
        int most = 0;
        bool equal = true;
        std::optional<int> first;
        for (const Block& b : s.blocks) {
          const auto inner = levels(b);
          if (!inner) return std::nullopt;
          equal &= !first || *first == *inner;
          first = inner;
          most = std::max(most, *inner);
        }
        if (s.kind != Stmt::Kind::concurrent && !equal) return std::nullopt;
        sum += most;
      }
    }
    return sum;
  }

  void pad(Block& block) {
    for (Stmt& s : block.stmts) {
      for (Block& inner : s.blocks) pad(inner);
      if (s.kind != Stmt::Kind::branch && s.kind != Stmt::Kind::match) continue;
      std::vector<int> counts;
      for (const Block& inner : s.blocks) {
        const auto count = levels(inner);
        if (!count || *count >= kMostGhosts) break;
        counts.push_back(*count);
      }
      if (counts.size() != s.blocks.size()) continue;
      const int most = *std::max_element(counts.begin(), counts.end());
      for (std::size_t i = 0; i < counts.size(); ++i)
        if (counts[i] < most)
          s.blocks[i].stmts.push_back({.kind = Stmt::Kind::ghost, .tag = most - counts[i]});
    }
  }

  Program& program_;
  std::set<int> open_;
};

void drop_marks(Block& block) {
  std::erase_if(block.stmts, [](const Stmt& s) { return s.kind == Stmt::Kind::phase; });
}

}  // namespace

std::map<const Stmt*, int> start_depths(const Program& program, std::vector<std::vector<int>>* of_variable) {
  Depths depths(program);
  if (of_variable != nullptr) *of_variable = depths.take_values();
  return std::move(depths.starts_);
}

void hoist(Program& program) {
  const auto starts = start_depths(program);
  for (CoreFunction& f : program.functions) {
    each_stmt(f.body, [&](Stmt& s) {
      if (s.kind != Stmt::Kind::node && s.kind != Stmt::Kind::add_n) return;
      const int start = starts.at(&s);
      s.static_depth = start < kNoDepth ? start : -1;
    });
  }
}

void add_ghosts(Program& program) {
  Ghosts(program).run();
}

void drop_phases(Program& program) {
  for (CoreFunction& f : program.functions) drop_marks(f.body);
}

}  // namespace ballast::dynamic
