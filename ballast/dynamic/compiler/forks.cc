// Tensor-dependent control flow: which arms of a `concurrent` can wait for tensors, and their own functions.
#include <set>

#include "ballast/dynamic/compiler/passes.h"

namespace ballast::dynamic {
namespace {

class Forks {
 public:
  explicit Forks(Program& program) : program_(program), waits_(program.functions.size(), false) {
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t f = 0; f < waits_.size(); ++f) {
        if (waits_[f] || !waits(program.functions[f].body)) continue;
        waits_[f] = changed = true;
      }
    }
  }

  void run() {
    for (std::size_t f = 0; f < program_.functions.size(); ++f) {
      // Functions of arms are added behind; they are visited in their turn.
      Block body = std::move(program_.functions[f].body);
      visit(f, body);
      program_.functions[f].body = std::move(body);
    }
  }

 private:
  bool waits(const Block& block) const {
    bool found = false;
    each_stmt(block, [&](const Stmt& s) {
      found |= s.kind == Stmt::Kind::item ||
               (s.kind == Stmt::Kind::call && waits_[static_cast<std::size_t>(s.function)]);
    });
    return found;
  }

  void visit(std::size_t f, Block& block) {
    for (Stmt& s : block.stmts) {
      if (s.kind != Stmt::Kind::concurrent) {
        for (Block& inner : s.blocks) visit(f, inner);
        continue;
      }
      std::vector<std::size_t> arms;
      for (std::size_t i = 0; i < s.blocks.size(); ++i)
        if (waits(s.blocks[i])) arms.push_back(i);
      if (arms.size() >= 2) {
        s.forks.assign(s.blocks.size(), false);
        for (std::size_t k = 0; k + 1 < arms.size(); ++k) {
          outline(f, s, arms[k]);
          s.forks[arms[k]] = true;
        }
      }
      for (std::size_t i = 0; i < s.blocks.size(); ++i)
        if (s.forks.empty() || !s.forks[i]) visit(f, s.blocks[i]);
    }
  }

  /// Variables that the block reads and does not define.
  static std::set<VarId> free_variables(const Block& block) {
    std::set<VarId> used, defined;
    const auto use = [&](const Atom& atom) {
      if (atom.is_var()) used.insert(atom.id);
    };
    use(block.result);
    each_stmt(block, [&](const Stmt& s) {
      for (const Atom& atom : s.args) use(atom);
      for (const Block& inner : s.blocks) use(inner.result);
      defined.insert(s.results.begin(), s.results.end());
      for (const auto& names : s.binders) defined.insert(names.begin(), names.end());
    });
    for (const VarId v : defined) used.erase(v);
    return used;
  }

  void outline(std::size_t f, Stmt& s, std::size_t arm) {
    const std::set<VarId> free = free_variables(s.blocks[arm]);
    CoreFunction g;
    g.name = program_.functions[f].name + ".arm";
    g.params.assign(free.begin(), free.end());
    g.types = program_.functions[f].types;
    g.result = g.types[s.results[arm]];
    g.body = std::move(s.blocks[arm]);
    Stmt call{.kind = Stmt::Kind::call};
    call.results = {program_.functions[f].fresh(g.result)};
    for (const VarId v : free) call.args.push_back(Atom::var(v));
    call.function = static_cast<int>(program_.functions.size());
    call.line = s.line;
    s.blocks[arm] = Block{{call}, Atom::var(call.results[0])};
    program_.functions.push_back(std::move(g));
    waits_.push_back(true);
  }

  Program& program_;
  std::vector<bool> waits_;
};

}  // namespace

void fork_arms(Program& program) {
  Forks(program).run();
}

}  // namespace ballast::dynamic
