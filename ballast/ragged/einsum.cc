#include "ballast/ragged/einsum.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"

namespace ballast::ragged {

using loop::Expr;

namespace {

constexpr std::int64_t kLongest = std::int64_t{1}
                                  << 20;  ///< of a length in this form; storage does not depend on it

class Text {
 public:
  Text(std::string what, std::string text) : what_(std::move(what)), text_(std::move(text)) {}

  [[noreturn]] void fail(const std::string& problem, std::optional<std::size_t> where = {}) const {
    const std::size_t at = std::min(where.value_or(at_), text_.size());
    throw InvalidInput(fmt::format("{}: {}\n  {}\n  {}^", what_, problem, text_, std::string(at, ' ')));
  }
  void skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool done() {
    skip();
    return at_ == text_.size();
  }
  char peek() {
    skip();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail(fmt::format("'{}' expected", c));
  }
  std::string name() {
    skip();
    const std::size_t start = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_') &&
           !(at_ == start && std::isdigit(static_cast<unsigned char>(text_[at_]))))
      ++at_;
    if (at_ == start) fail("a name expected");
    return text_.substr(start, at_ - start);
  }
  double number() {
    skip();
    double value = 0;
    const auto [rest, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("a number expected");
    at_ = static_cast<std::size_t>(rest - text_.data());
    return value;
  }
  std::int64_t integer() {
    const std::size_t start = at_;
    const double value = number();
    if (!(value >= 0 && value <= static_cast<double>(kLongest)) || value != std::floor(value))
      fail(fmt::format("an integer from 0 to {} expected", kLongest), start);
    return static_cast<std::int64_t>(value);
  }
  std::size_t at() const { return at_; }
  void back_to(std::size_t at) { at_ = at; }

 private:
  std::string what_, text_;
  std::size_t at_ = 0;
};

struct Declared {
  Dim dim;
  LengthFn extent = LengthFn(0);
};

std::map<std::string, Declared> parse_dims(const std::string& dims) {
  Text t("dims", dims);
  std::map<std::string, Declared> all;
  while (!t.done()) {
    const std::size_t start = t.at();
    const std::string name = t.name();
    Declared d{dim(name)};
    std::vector<Dim> of;
    std::string of_name;
    if (t.take('(')) {
      do {
        of_name = t.name();
        const auto found = all.find(of_name);
        if (found == all.end()) t.fail("dimension " + of_name + " must be declared before " + name);
        of.push_back(found->second.dim);
      } while (t.take(','));
      t.expect(')');
    }
    t.expect(':');
    if (std::isdigit(static_cast<unsigned char>(t.peek()))) {
      if (!of.empty()) t.fail("a constant extent depends on nothing");
      d.extent = LengthFn(t.integer());
    } else {
      const std::string extent = t.name();
      if (of.size() == 1 && extent == of_name) {
        std::int64_t constant = 0;
        if (t.take('+')) constant = t.integer();
        const LengthFn& outer = all.at(of_name).extent;
        d.extent = LengthFn::affine(of[0], 1, constant,
                                    outer.high() >= loop::kNoMaximum ? kLongest : outer.high() + constant);
      } else {
        d.extent =
            of.empty() ? LengthFn::scalar(extent, 0, kLongest) : LengthFn::data(extent, of, 0, kLongest);
      }
    }
    if (!all.emplace(name, d).second) t.fail("dimension " + name + " is declared twice", start);
  }
  return all;
}

class ExpressionParser {
 public:
  ExpressionParser(Text& text, const std::map<std::string, Declared>& dims, Einsum& out)
      : t_(text), dims_(dims), out_(out) {}

  /// The element's expression; the reduction's value stands in it as a placeholder.
  Definition definition(const Index& index) {
    index_ = index;
    const Expr e = sum_of_terms();
    if (!t_.done()) t_.fail("end of the expression expected");
    if (!reduction_) return Definition(e);
    if (e.get() != placeholder_.get()) {
      const Expr placeholder = placeholder_;
      reduction_->epilogue = [e, placeholder](const Expr& value) {
        return loop::Substitution{{{placeholder.get(), value}}}(e);
      };
    }
    return *reduction_;
  }

 private:
  Expr sum_of_terms() {
    Expr e = t_.take('-') ? -term() : term();
    for (;;) {
      if (t_.take('+')) {
        e = e + term();
      } else if (t_.take('-')) {
        e = e - term();
      } else {
        return e;
      }
    }
  }

  Expr term() {
    Expr e = factor();
    for (;;) {
      if (t_.take('*')) {
        e = e * factor();
      } else if (t_.take('/')) {
        e = e / factor();
      } else {
        return e;
      }
    }
  }

  Expr factor() {
    struct Depth {
      int& n;
      ~Depth() { --n; }
    } depth{depth_};
    ++depth_;
    if (depth_ > 100) t_.fail("more than 100 levels of nesting");
    if (t_.take('(')) {
      const Expr e = sum_of_terms();
      t_.expect(')');
      return e;
    }
    if (t_.take('-')) return -factor();
    if (std::isdigit(static_cast<unsigned char>(t_.peek())) || t_.peek() == '.') return Expr(t_.number());
    const std::size_t start = t_.at();
    const std::string name = t_.name();
    if (t_.peek() == '[') return tensor(name, start);
    if (t_.peek() == '(') return call(name, start);
    t_.fail("'" + name + "' is followed by neither [ nor (", start);
  }

  std::vector<std::string> dim_list(char end) {
    std::vector<std::string> names;
    do names.push_back(t_.name());
    while (t_.take(','));
    t_.expect(end);
    return names;
  }

  const Declared& declared(const std::string& name, std::size_t where) {
    const auto found = dims_.find(name);
    if (found == dims_.end()) t_.fail("dimension " + name + " is not declared in dims", where);
    return found->second;
  }

  Expr tensor(const std::string& name, std::size_t start) {
    t_.expect('[');
    const std::vector<std::string> names = dim_list(']');
    std::vector<Axis> axes;
    std::vector<Expr> at;
    for (const std::string& n : names) {
      const Declared& d = declared(n, start);
      axes.push_back({d.dim, d.extent});
      const auto value = index_.values.find(d.dim);
      if (value == index_.values.end())
        t_.fail("dimension " + n + " has no loop here: it is neither of the result nor reduced", start);
      at.push_back(value->second);
    }
    for (const Tensor& have : out_.inputs) {
      if (have->name != name) continue;
      bool same = have->axes.size() == axes.size();
      for (std::size_t i = 0; same && i < axes.size(); ++i) {
        // Extents must agree up to the dimension that they are a function of.
        const LengthFn &a = have->axes[i].extent, &b = axes[i].extent;
        same = a.kind() == b.kind() && a.name() == b.name() &&
               (!a.is_constant() || a.constant() == b.constant());
      }
      if (!same) t_.fail(name + " was read before with other extents", start);
      return read(have, at);
    }
    out_.inputs.push_back(input(name, axes));
    return read(out_.inputs.back(), at);
  }

  Expr call(const std::string& name, std::size_t start) {
    static const std::map<std::string, loop::Combine> reductions{{"sum", loop::Combine::sum},
                                                                 {"max", loop::Combine::max},
                                                                 {"min", loop::Combine::min},
                                                                 {"prod", loop::Combine::prod}};
    t_.expect('(');
    if (const auto combine = reductions.find(name); combine != reductions.end()) {
      // A list of dimensions that closes at once is a reduction; otherwise max and min are functions of two
      // arguments.
      const std::size_t inside = t_.at();
      bool all_dims = std::isalpha(static_cast<unsigned char>(t_.peek()));
      while (all_dims) {
        all_dims = dims_.contains(t_.name()) && t_.peek() != '[';
        if (!t_.take(',')) break;
        all_dims &= std::isalpha(static_cast<unsigned char>(t_.peek())) != 0;
      }
      all_dims = all_dims && t_.peek() == ')';
      t_.back_to(inside);
      if (all_dims) return reduction(combine->second, start);
      if (name == "sum" || name == "prod") t_.fail("dimensions expected in " + name + "(...)");
    }
    const Expr a = sum_of_terms();
    if (name == "max" || name == "min") {
      t_.expect(',');
      const Expr b = sum_of_terms();
      t_.expect(')');
      return name == "max" ? loop::max(a, b) : loop::min(a, b);
    }
    t_.expect(')');
    static const std::map<std::string, Expr (*)(Expr)> functions{
        {"exp", &loop::exp},   {"tanh", &loop::tanh}, {"sqrt", &loop::sqrt},
        {"erf", &loop::erf},   {"abs", &loop::abs},   {"log", &loop::log},
        {"relu", &loop::relu}, {"gelu", &loop::gelu}, {"sigmoid", &loop::sigmoid}};
    const auto found = functions.find(name);
    if (found == functions.end())
      t_.fail("no function '" + name +
                  "'; there are: exp tanh sqrt erf abs log relu gelu sigmoid min max, and the reductions sum "
                  "max min prod",
              start);
    return found->second(a);
  }

  Expr reduction(loop::Combine combine, std::size_t start) {
    if (reduction_) t_.fail("a second reduction; one an operator", start);
    Definition d;
    d.combine = combine;
    for (const std::string& n : dim_list(')')) {
      const Declared& one = declared(n, start);
      if (index_.values.contains(one.dim))
        t_.fail("dimension " + n + " of the result cannot be reduced", start);
      d.reduce.push_back({one.dim, one.extent});
      d.reduce_vars.push_back(loop::variable(n));
      index_.values.emplace(one.dim, d.reduce_vars.back());
    }
    reduction_ = d;  // an inner reduction is refused
    reduction_->value = term();
    for (const Axis& a : d.reduce) index_.values.erase(a.dim);
    auto placeholder = std::make_shared<loop::ExprNode>();
    placeholder->op = loop::Op::variable;
    placeholder->type = loop::DType::f32;
    placeholder->name = "reduced";
    placeholder_ = Expr(placeholder);
    return placeholder_;
  }

  Text& t_;
  const std::map<std::string, Declared>& dims_;
  Einsum& out_;
  Index index_;
  std::optional<Definition> reduction_;
  Expr placeholder_;
  int depth_ = 0;
};

class ScheduleReader {
 public:
  ScheduleReader(const Einsum& e) : e_(e), s_(e.output), dims_(e.dims) {
    for (const Loop l : s_.leaves()) loops_[s_.name(l)] = l;
  }

  Schedule read(const std::string& yaml) {
    YAML::Node root;
    try {
      root = YAML::Load(yaml);
    } catch (const YAML::Exception& error) {
      throw InvalidInput::at("schedule", static_cast<std::uint64_t>(error.mark.line + 1), error.msg);
    }
    if (!root.IsSequence())
      throw InvalidInput("schedule: a YAML list of primitives is expected, such as '- parallel: b'");
    for (const YAML::Node& item : root) {
      line_ = static_cast<std::uint64_t>(item.Mark().line + 1);
      if (!item.IsMap() || item.size() != 1)
        fail("one primitive an item is expected, such as 'split: {loop: i, factor: 64, into: [io, ii]}'");
      try {
        apply(item.begin()->first.as<std::string>(), item.begin()->second);
      } catch (const YAML::Exception& error) {
        fail(error.msg);
      }
    }
    return s_;
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const {
    throw InvalidInput::at("schedule", line_, problem);
  }

  Loop loop_of(const YAML::Node& node) const {
    const auto name = node.as<std::string>();
    const auto found = loops_.find(name);
    if (found == loops_.end()) {
      std::string have;
      for (const auto& [n, l] : loops_) have += (have.empty() ? "" : ", ") + n;
      fail("no loop '" + name + "'; there are: " + have);
    }
    return found->second;
  }
  std::vector<Loop> loops_of(const YAML::Node& node) const {
    std::vector<Loop> out;
    for (const YAML::Node& n : node) out.push_back(loop_of(n));
    return out;
  }
  Tensor tensor_of(const YAML::Node& node) const {
    const auto name = node.as<std::string>();
    if (e_.output->name == name) return e_.output;
    for (const Tensor& in : e_.inputs)
      if (in->name == name) return in;
    fail("no tensor '" + name + "'");
  }
  Dim dim_of(const YAML::Node& node) const {
    const auto found = dims_.find(node.as<std::string>());
    if (found == dims_.end()) fail("no dimension '" + node.as<std::string>() + "'");
    return found->second;
  }
  void name_loop(const YAML::Node& node, Loop l) {
    if (!loops_.emplace(node.as<std::string>(), l).second)
      fail("loop '" + node.as<std::string>() + "' exists already");
  }

  void apply(const std::string& primitive, const YAML::Node& n) {
    cli::require_one_of(
        "primitive", primitive,
        {"split",   "fuse",      "reorder",     "parallel",    "vectorize",   "unroll",       "microkernel",
         "peel",    "pad_loop",  "pad_storage", "split_dim",   "fuse_dims",   "reorder_dims", "remap",
         "balance", "fuse_maps", "cache_read",  "cache_write", "hoist_loads", "elide_guards"});
    if (primitive == "split") {
      const auto [outer, inner] = s_.split(loop_of(n["loop"]), n["factor"].as<std::int64_t>());
      name_loop(n["into"][0], outer);
      name_loop(n["into"][1], inner);
    } else if (primitive == "fuse") {
      name_loop(n["into"], s_.fuse(loop_of(n["loops"][0]), loop_of(n["loops"][1]),
                                   n["bulk"] ? n["bulk"].as<std::int64_t>() : 1));
    } else if (primitive == "reorder") {
      s_.reorder(loops_of(n));
    } else if (primitive == "parallel") {
      s_.parallel(loop_of(n));
    } else if (primitive == "vectorize") {
      s_.vectorize(loop_of(n));
    } else if (primitive == "unroll") {
      s_.unroll(loop_of(n));
    } else if (primitive == "peel") {
      s_.peel(loop_of(n));
    } else if (primitive == "split_dim") {
      const auto [tile, inside] =
          split_dim(tensor_of(n["tensor"]), dim_of(n["dim"]), n["factor"].as<std::int64_t>());
      dims_[n["into"][0].as<std::string>()] = tile;
      dims_[n["into"][1].as<std::string>()] = inside;
    } else if (primitive == "fuse_dims") {
      fuse_dims(tensor_of(n["tensor"]), dim_of(n["dims"][0]), dim_of(n["dims"][1]));
    } else if (primitive == "microkernel") {
      const auto three = loops_of(n);
      if (three.size() != 3) fail("microkernel needs rows, columns and reduction");
      s_.microkernel(three[0], three[1], three[2]);
    } else if (primitive == "pad_loop") {
      s_.pad_loop(dim_of(n["dim"]), n["multiple"].as<std::int64_t>());
    } else if (primitive == "pad_storage") {
      pad_storage(tensor_of(n["tensor"]), dim_of(n["dim"]), n["multiple"].as<std::int64_t>());
    } else if (primitive == "reorder_dims") {
      std::vector<Dim> order;
      for (const YAML::Node& d : n["order"]) order.push_back(dim_of(d));
      reorder_dims(tensor_of(n["tensor"]), order);
    } else if (primitive == "cache_read") {
      s_.cache_read(tensor_of(n["tensor"]), loop_of(n["at"]));
    } else if (primitive == "cache_write") {
      if (n.as<bool>()) s_.cache_write();
    } else if (primitive == "balance") {
      cli::require_one_of("balance", n.as<std::string>(), {"cost", "contiguous", "dynamic", "lpt"});
      s_.balance(n.as<std::string>() == "cost"         ? loop::Balance::cost_prefix
                 : n.as<std::string>() == "contiguous" ? loop::Balance::contiguous
                 : n.as<std::string>() == "lpt"        ? loop::Balance::lpt
                                                       : loop::Balance::dynamic);
    } else if (primitive == "remap") {
      cli::require_one_of("remap", n.as<std::string>(), {"cost", "reversed"});
      if (n.as<std::string>() == "cost") {
        s_.remap_by_cost();
      } else {
        s_.remap([](const Expr& t, const Expr& tasks) { return tasks - Expr(1) - t; });
      }
    } else if (primitive == "fuse_maps") {
      cli::require_one_of("fuse_maps", n.as<std::string>(), {"table", "search", "walk"});
      s_.fuse_maps(n.as<std::string>() == "table"    ? FuseMaps::table
                   : n.as<std::string>() == "search" ? FuseMaps::search
                                                     : FuseMaps::walk);
    } else if (primitive == "hoist_loads") {
      s_.hoist_loads(n.as<bool>());
    } else if (n.as<bool>()) {
      s_.elide_guards();
    }
  }

  const Einsum& e_;
  Schedule s_;
  std::map<std::string, Dim> dims_;  ///< of the expression, and tiles that split_dim made
  std::map<std::string, Loop> loops_;
  std::uint64_t line_ = 0;
};

}  // namespace

Einsum parse_einsum(const std::string& expression, const std::string& dims) {
  const auto declared = parse_dims(dims);
  Einsum out;
  for (const auto& [name, d] : declared) out.dims[name] = d.dim;
  Text t("expression", expression);
  const std::string name = t.name();
  t.expect('[');
  std::vector<Axis> axes;
  do {
    const std::size_t start = t.at();
    const auto found = declared.find(t.name());
    if (found == declared.end()) t.fail("this dimension is not declared in dims", start);
    axes.push_back({found->second.dim, found->second.extent});
  } while (t.take(','));
  t.expect(']');
  t.expect('=');
  ExpressionParser parser(t, declared, out);
  out.output = compute(name, axes, [&](const Index& index) { return parser.definition(index); });
  return out;
}

Schedule parse_schedule(const Einsum& e, const std::string& yaml) {
  if (!yaml.empty()) return ScheduleReader(e).read(yaml);
  Schedule s(e.output);
  const auto leaves = s.leaves();
  std::size_t spatial = 0;
  while (spatial < leaves.size() && !s.is_reduction(leaves[spatial])) ++spatial;
  if (spatial > 1) s.vectorize(leaves[spatial - 1]);
  if (spatial > 0) s.parallel(leaves[0]);
  return s;
}

}  // namespace ballast::ragged
