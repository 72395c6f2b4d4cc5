// The passes that join operators: vertical and horizontal fusion, static blocks, and the split of a dense
// operator.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "ballast/dynamic/compiler/depth.h"
#include "ballast/dynamic/compiler/passes.h"

namespace ballast::dynamic {
namespace {

using Mode = Cell::Input::Mode;

void count_uses(const Block& block, std::map<VarId, int>& uses) {
  const auto use = [&](const Atom& atom) {
    if (atom.is_var()) ++uses[atom.id];
  };
  for (const Stmt& s : block.stmts) {
    for (const Atom& arg : s.args) use(arg);
    for (const Block& inner : s.blocks) count_uses(inner, uses);
  }
  use(block.result);
}

/// Node statements in order as one; `kept`: results that others use.
Stmt joined(const std::vector<const Stmt*>& parts, const std::function<bool(VarId)>& kept) {
  Stmt out{.kind = Stmt::Kind::node, .line = parts[0]->line};
  auto cell = std::make_shared<Cell>();
  std::map<VarId, int> made;  // variable: node
  std::vector<std::pair<Atom, Mode>> known;
  for (const Stmt* part : parts) {
    std::vector<int> input(part->args.size());
    for (std::size_t i = 0; i < part->args.size(); ++i) {
      const Atom& atom = part->args[i];
      const Mode mode = part->cell->inputs[i].mode;
      if (atom.is_var() && mode != Mode::index && made.contains(atom.id)) {
        input[i] = made[atom.id];
        continue;
      }
      auto at = std::find(known.begin(), known.end(), std::pair(atom, mode));
      if (at == known.end()) {
        known.emplace_back(atom, mode);
        at = known.end() - 1;
        cell->inputs.push_back(part->cell->inputs[i]);
        out.args.push_back(atom);
      }
      input[i] = ~static_cast<int>(at - known.begin());
    }
    const int base = static_cast<int>(cell->nodes.size());
    for (Cell::Node node : part->cell->nodes) {
      for (int& arg : node.args) arg = arg < 0 ? input[static_cast<std::size_t>(~arg)] : arg + base;
      cell->nodes.push_back(std::move(node));
    }
    for (std::size_t i = 0; i < part->results.size(); ++i)
      made[part->results[i]] = part->cell->outputs[i] + base;
  }
  for (const Stmt* part : parts) {
    for (const VarId v : part->results) {
      if (!kept(v)) continue;
      out.results.push_back(v);
      cell->outputs.push_back(made[v]);
    }
  }
  out.cell = cell;
  return out;
}

bool has_keyed(const Stmt& s) {
  return std::any_of(s.cell->inputs.begin(), s.cell->inputs.end(),
                     [](const Cell::Input& i) { return i.mode == Mode::keyed; });
}

/// Whether `consumer` takes the only user's place of `producer`'s result inside one kernel.
bool fusible(const Stmt& producer, const Stmt& consumer) {
  if (has_keyed(consumer) && has_keyed(producer)) return false;
  const OpKind first = consumer.cell->nodes.front().op.kind;
  const bool soft =
      std::all_of(consumer.cell->nodes.begin(), consumer.cell->nodes.end(), [](const Cell::Node& n) {
        return is_elementwise(n.op.kind) || n.op.kind == OpKind::slice || n.op.kind == OpKind::reshape ||
               n.op.kind == OpKind::softmax || n.op.kind == OpKind::log_softmax ||
               n.op.kind == OpKind::layer_norm;
      });
  const OpKind last = producer.cell->nodes.back().op.kind;
  return soft || (first == OpKind::dense && producer.cell->nodes.size() == 1 &&
                  (is_view(last) || last == OpKind::embedding));
}

void fuse_block(Block& block, const std::map<VarId, int>& uses) {
  for (Stmt& s : block.stmts)
    for (Block& inner : s.blocks) fuse_block(inner, uses);
  for (std::size_t i = 0; i < block.stmts.size(); ++i) {
    for (bool again = true; again && block.stmts[i].kind == Stmt::Kind::node;) {
      again = false;
      for (std::size_t p = i; p-- > 0;) {
        const Stmt& producer = block.stmts[p];
        const Stmt& consumer = block.stmts[i];
        if (producer.kind == Stmt::Kind::phase || producer.kind == Stmt::Kind::item ||
            producer.kind == Stmt::Kind::call)
          break;
        if (producer.kind != Stmt::Kind::node || producer.results.size() != 1) continue;
        const VarId v = producer.results[0];
        const auto reads = std::count(consumer.args.begin(), consumer.args.end(), Atom::var(v));
        if (reads == 0 || uses.at(v) != reads || !fusible(producer, consumer)) continue;
        Stmt one = joined({&producer, &consumer}, [&](VarId r) { return r != v; });
        block.stmts[i] = std::move(one);
        block.stmts.erase(block.stmts.begin() + static_cast<std::ptrdiff_t>(p));
        --i;
        again = true;
        break;
      }
    }
  }
}

class Coarsening {
 public:
  explicit Coarsening(Program& program) : starts_(start_depths(program)) {}

  void run(CoreFunction& f) {
    uses_.clear();
    count_uses(f.body, uses_);
    block(f.body);
  }

 private:
  void block(Block& b) {
    for (Stmt& s : b.stmts)
      for (Block& inner : s.blocks) block(inner);
    std::vector<Stmt> out;
    for (std::size_t i = 0; i < b.stmts.size();) {
      std::size_t end = i;
      std::set<VarId> made;  // by nodes and constructs of the region
      while (end < b.stmts.size() && belongs(b.stmts[end], made)) ++end;
      if (end == i) {
        out.push_back(std::move(b.stmts[i++]));
        continue;
      }
      region(b, i, end, out);
      i = end;
    }
    b.stmts = std::move(out);
  }

  static bool belongs(const Stmt& s, std::set<VarId>& made) {
    const bool early =
        s.kind == Stmt::Kind::project || s.kind == Stmt::Kind::scalar || s.kind == Stmt::Kind::random;
    if (early)
      return std::none_of(s.args.begin(), s.args.end(),
                          [&](const Atom& a) { return a.is_var() && made.contains(a.id); });
    if (s.kind != Stmt::Kind::construct && (s.kind != Stmt::Kind::node || has_keyed(s))) return false;
    made.insert(s.results.begin(), s.results.end());
    return true;
  }

  /// Projections and scalars first, then hoistable nodes as one, the other nodes as one, then constructs.
  void region(const Block& b, std::size_t begin, std::size_t end, std::vector<Stmt>& out) {
    std::vector<const Stmt*> fixed, free;
    std::vector<Stmt> late;
    for (std::size_t i = begin; i < end; ++i) {
      const Stmt& s = b.stmts[i];
      if (s.kind == Stmt::Kind::node)
        (starts_.at(&s) < kNoDepth ? fixed : free).push_back(&s);
      else if (s.kind == Stmt::Kind::construct)
        late.push_back(s);
      else
        out.push_back(s);
    }
    for (const auto* group : {&fixed, &free}) {
      if (group->empty()) continue;
      std::map<VarId, int> inside;
      for (const Stmt* s : *group)
        for (const Atom& arg : s->args)
          if (arg.is_var()) ++inside[arg.id];
      out.push_back(group->size() == 1 ? *group->front() : joined(*group, [&](VarId v) {
        return uses_[v] > (inside.contains(v) ? inside[v] : 0);
      }));
    }
    for (Stmt& s : late) out.push_back(std::move(s));
  }

  std::map<const Stmt*, int> starts_;
  std::map<VarId, int> uses_;
};

/// Drops inputs that no node reads any more.
void prune(Stmt& s) {
  std::set<int> read;
  for (const Cell::Node& node : s.cell->nodes)
    for (const int arg : node.args)
      if (arg < 0) read.insert(~arg);
  std::vector<int> renamed(s.args.size(), 0);
  std::vector<Atom> args;
  std::vector<Cell::Input> inputs;
  for (std::size_t i = 0; i < s.args.size(); ++i) {
    if (!read.contains(static_cast<int>(i))) continue;
    renamed[i] = ~static_cast<int>(args.size());
    args.push_back(s.args[i]);
    inputs.push_back(s.cell->inputs[i]);
  }
  for (Cell::Node& node : s.cell->nodes)
    for (int& arg : node.args)
      if (arg < 0) arg = renamed[static_cast<std::size_t>(~arg)];
  s.args = std::move(args);
  s.cell->inputs = std::move(inputs);
}

/// The first group of dense operators of the cell that share their operand becomes one; true if there was
/// one.
bool stack_once(Program& program, Stmt& s) {
  const Cell& cell = *s.cell;
  const auto shared = [&](int arg) {
    return arg < 0 && cell.inputs[static_cast<std::size_t>(~arg)].mode == Mode::shared;
  };
  std::map<std::pair<int, bool>, std::vector<int>> groups;  // operand, with bias
  for (std::size_t i = 0; i < cell.nodes.size(); ++i) {
    const Cell::Node& node = cell.nodes[i];
    if (node.op.kind != OpKind::dense || node.args.size() > 3 || !shared(node.args[1])) continue;
    if (node.args.size() == 3 && !shared(node.args[2])) continue;
    groups[{node.args[0], node.args.size() == 3}].push_back(static_cast<int>(i));
  }
  for (const auto& [key, members] : groups) {
    if (members.size() < 2) continue;
    const auto stack = [&](std::size_t operand) {
      Global g{.kind = Global::Kind::stack, .name = "stack", .shape = {0}};
      for (const int m : members) {
        const GlobalId part =
            s.args[static_cast<std::size_t>(~cell.nodes[static_cast<std::size_t>(m)].args[operand])].id;
        const Shape& shape = program.globals[part].shape;
        g.of.push_back(part);
        g.name += "_" + program.globals[part].name;
        g.shape[0] += shape[0];
        if (shape.size() == 2) g.shape = {g.shape[0], shape[1]};
      }
      return program.global(std::move(g));
    };
    auto next = std::make_shared<Cell>();
    next->inputs = cell.inputs;
    Stmt changed = s;
    const auto add_input = [&](GlobalId id) {
      next->inputs.push_back({Mode::shared, program.globals[id].shape});
      changed.args.push_back(Atom::global(id));
      return ~static_cast<int>(next->inputs.size() - 1);
    };
    const GlobalId weight = stack(1);
    Cell::Node wide{{OpKind::dense, {}, 0}, {key.first, add_input(weight)}, cell.shape_of_arg(key.first)};
    if (key.second) wide.args.push_back(add_input(stack(2)));
    wide.shape.back() = program.globals[weight].shape[0];
    std::vector<int> place(cell.nodes.size());
    std::int64_t from = 0;
    std::map<int, std::int64_t> begins;
    for (const int m : members) {
      begins[m] = from;
      from += cell.nodes[static_cast<std::size_t>(m)].shape.back();
    }
    int wide_at = -1;
    for (std::size_t i = 0; i < cell.nodes.size(); ++i) {
      Cell::Node node = cell.nodes[i];
      for (int& arg : node.args)
        if (arg >= 0) arg = place[static_cast<std::size_t>(arg)];
      const auto member = begins.find(static_cast<int>(i));
      if (member != begins.end()) {
        if (wide_at < 0) {
          if (wide.args[0] >= 0) wide.args[0] = place[static_cast<std::size_t>(wide.args[0])];
          wide_at = static_cast<int>(next->nodes.size());
          next->nodes.push_back(wide);
        }
        const auto rank = static_cast<std::int64_t>(node.shape.size());
        node = {{OpKind::slice, {rank - 1, member->second, member->second + node.shape.back()}, 0},
                {wide_at},
                node.shape};
      }
      place[i] = static_cast<int>(next->nodes.size());
      next->nodes.push_back(std::move(node));
    }
    for (const int output : cell.outputs) next->outputs.push_back(place[static_cast<std::size_t>(output)]);
    changed.cell = next;
    prune(changed);
    s = std::move(changed);
    return true;
  }
  return false;
}

void split_block(Program& program, std::size_t function, Block& block, const std::vector<int>& depth) {
  for (std::size_t i = 0; i < block.stmts.size(); ++i) {
    for (Block& inner : block.stmts[i].blocks) split_block(program, function, inner, depth);
    const Stmt dense = block.stmts[i];
    if (dense.kind != Stmt::Kind::node || dense.cell->nodes[0].op.kind != OpKind::dense ||
        dense.args.size() > 3)
      continue;
    if (dense.args[1].kind != Atom::Kind::global || dense.cell->inputs[0].shape.size() != 1 ||
        !dense.args[0].is_var())
      continue;
    const auto source = std::find_if(
        block.stmts.begin(), block.stmts.begin() + static_cast<std::ptrdiff_t>(i), [&](const Stmt& s) {
          return s.kind == Stmt::Kind::node && s.results[0] == dense.args[0].id &&
                 s.cell->nodes[0].op.kind == OpKind::concat;
        });
    if (source == block.stmts.begin() + static_cast<std::ptrdiff_t>(i)) continue;
    const Stmt concat = *source;
    // A leading or trailing run of hoistable parts, the others not.
    const auto fixed = [&](const Atom& a) { return a.is_var() && depth[a.id] < kNoDepth; };
    const std::size_t parts = concat.args.size();
    std::size_t first = 0, last = parts;
    while (first < parts && fixed(concat.args[first])) ++first;
    while (last > 0 && fixed(concat.args[last - 1])) --last;
    const bool leading = first > 0 && first < parts, trailing = !leading && last > 0 && last < parts;
    if (!leading && !trailing) continue;
    const std::size_t cut = leading ? first : last;
    if (std::any_of(concat.args.begin() + static_cast<std::ptrdiff_t>(leading ? cut : 0),
                    concat.args.begin() + static_cast<std::ptrdiff_t>(leading ? parts : cut), fixed))
      continue;
    CoreFunction& f = program.functions[function];
    std::int64_t columns = 0, before = 0;
    for (std::size_t p = 0; p < parts; ++p) {
      const std::int64_t width = concat.cell->inputs[p].shape[0];
      columns += width;
      if (p < cut) before += width;
    }
    const GlobalId weight = dense.args[1].id;
    const std::int64_t rows = program.globals[weight].shape[0];
    std::vector<Stmt> made;
    const auto side = [&](std::size_t from, std::size_t to, std::int64_t c0, std::int64_t c1,
                          std::vector<Atom> more) {
      Atom x = concat.args[from];
      if (to - from > 1) {
        Stmt s{.kind = Stmt::Kind::node,
               .args = {concat.args.begin() + static_cast<std::ptrdiff_t>(from),
                        concat.args.begin() + static_cast<std::ptrdiff_t>(to)},
               .line = dense.line};
        auto cell = std::make_shared<Cell>();
        Cell::Node node{{OpKind::concat, {}, 0}, {}, {c1 - c0}};
        for (std::size_t p = from; p < to; ++p) {
          cell->inputs.push_back(concat.cell->inputs[p]);
          node.args.push_back(~static_cast<int>(p - from));
        }
        cell->nodes = {node};
        cell->outputs = {0};
        s.cell = cell;
        s.results = {f.fresh(tensor_type({c1 - c0}))};
        x = Atom::var(s.results[0]);
        made.push_back(std::move(s));
      }
      const GlobalId w =
          program.global({.kind = Global::Kind::columns,
                          .name = fmt::format("{}[:, {}:{}]", program.globals[weight].name, c0, c1),
                          .shape = {rows, c1 - c0},
                          .of = {weight},
                          .from = c0,
                          .to = c1});
      Stmt s{.kind = Stmt::Kind::node, .args = {x, Atom::global(w)}, .line = dense.line};
      s.args.insert(s.args.end(), more.begin(), more.end());
      auto cell = std::make_shared<Cell>();
      Cell::Node node{{OpKind::dense, {}, 0}, {}, {rows}};
      for (std::size_t a = 0; a < s.args.size(); ++a) {
        const Shape shape = a == 0 ? Shape{c1 - c0} : a == 1 ? Shape{rows, c1 - c0} : Shape{rows};
        cell->inputs.push_back({s.args[a].kind == Atom::Kind::global ? Mode::shared : Mode::lane, shape});
        node.args.push_back(~static_cast<int>(a));
      }
      cell->nodes = {node};
      cell->outputs = {0};
      s.cell = cell;
      made.push_back(std::move(s));
    };
    if (leading)
      side(0, cut, 0, before, {});
    else
      side(cut, parts, before, columns, {});
    const VarId early = f.fresh(tensor_type({rows}));
    made.back().results = {early};
    const Atom bias = dense.args.size() == 3
                          ? dense.args[2]
                          : Atom::global(program.global({.kind = Global::Kind::fill,
                                                         .name = fmt::format("zeros({})", rows),
                                                         .shape = {rows},
                                                         .value = 0}));
    if (leading)
      side(cut, parts, before, columns, {bias, Atom::var(early)});
    else
      side(0, cut, 0, before, {bias, Atom::var(early)});
    made.back().results = dense.results;
    const auto count = made.size();
    block.stmts.erase(block.stmts.begin() + static_cast<std::ptrdiff_t>(i));
    block.stmts.insert(block.stmts.begin() + static_cast<std::ptrdiff_t>(i),
                       std::make_move_iterator(made.begin()), std::make_move_iterator(made.end()));
    i += count - 1;
  }
}

}  // namespace

void fuse_vertically(Program& program) {
  for (CoreFunction& f : program.functions) {
    std::map<VarId, int> uses;
    count_uses(f.body, uses);
    fuse_block(f.body, uses);
  }
}

void coarsen(Program& program) {
  Coarsening coarsening(program);
  for (CoreFunction& f : program.functions) coarsening.run(f);
}

void fuse_horizontally(Program& program) {
  for (std::size_t f = 0; f < program.functions.size(); ++f)
    each_stmt(program.functions[f].body, [&](Stmt& s) {
      while (s.kind == Stmt::Kind::node && stack_once(program, s)) {
      }
    });
}

void split_dense(Program& program) {
  std::vector<std::vector<int>> depths;
  start_depths(program, &depths);
  for (std::size_t f = 0; f < program.functions.size(); ++f)
    split_block(program, f, program.functions[f].body, depths[f]);
}

}  // namespace ballast::dynamic
