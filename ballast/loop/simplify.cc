#include "ballast/loop/simplify.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

namespace ballast::loop {
namespace {

constexpr std::size_t kMostTerms = 24;  ///< of a polynomial; a larger product stays an atom
constexpr int kMostSteps = 10;          ///< replacements of one proof

bool infinite(std::int64_t v) {
  return v <= kNoMinimum || v >= kNoMaximum;
}

std::int64_t clamp(std::int64_t v) {
  return std::min(std::max(v, kNoMinimum), kNoMaximum);
}

/// Saturating at the two infinities, which are a quarter of the type's range: a sum cannot overflow.
std::int64_t add(std::int64_t a, std::int64_t b) {
  if (infinite(a)) return a;
  if (infinite(b)) return b;
  return clamp(a + b);
}

std::int64_t times(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  std::int64_t product = 0;
  if (infinite(a) || infinite(b) || __builtin_mul_overflow(a, b, &product))
    return (a < 0) != (b < 0) ? kNoMinimum : kNoMaximum;
  return clamp(product);
}

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  if (infinite(a)) return a;
  return a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
}

/// Equal keys, equal values: variables by identity, not by name.
std::string key_of(const Expr& e) {
  std::string text = fmt::format("{}", static_cast<int>(e->op));
  switch (e->op) {
    case Op::integer:
    case Op::scalar:
      return text + fmt::format(":{}", e->integer);
    case Op::real:
      return text + fmt::format(":{:a}", e->real);
    case Op::variable:
      return text + fmt::format(":{}", static_cast<const void*>(e.get()));
    case Op::load:
      text += fmt::format(":{}", static_cast<const void*>(e->buffer.get()));
      break;
    default:
      break;
  }
  text += "(";
  for (const Expr& a : e->args) text += key_of(a) + ",";
  return text + ")";
}

/// A sum of products of atoms.
struct Polynomial {
  struct Term {
    std::map<std::string, std::pair<Expr, int>> atoms;  ///< with their powers
    std::int64_t factor = 0;
  };
  std::map<std::string, Term> terms;
  std::int64_t constant = 0;

  static std::string name(const Term& t) {
    std::string text;
    for (const auto& [key, atom] : t.atoms) text += fmt::format("{}^{};", key, atom.second);
    return text;
  }
  void add(const Term& t, std::int64_t factor) {
    if (t.atoms.empty()) {
      constant += t.factor * factor;
      return;
    }
    const std::string key = name(t);
    Term& have = terms.emplace(key, Term{t.atoms, 0}).first->second;
    have.factor += t.factor * factor;
    if (have.factor == 0) terms.erase(key);
  }
  void add(const Polynomial& p, std::int64_t factor) {
    for (const auto& [key, t] : p.terms) add(t, factor);
    constant += p.constant * factor;
  }
  static Polynomial of_atom(const Expr& e) {
    Polynomial p;
    Term t;
    t.atoms[key_of(e)] = {e, 1};
    t.factor = 1;
    p.add(t, 1);
    return p;
  }
  static Polynomial product(const Polynomial& a, const Polynomial& b) {
    Polynomial p;
    p.add(b, a.constant);
    for (const auto& [key, t] : a.terms) {
      p.add(t, b.constant);
      for (const auto& [other_key, u] : b.terms) {
        Term both = t;
        for (const auto& [k, atom] : u.atoms) {
          auto& have = both.atoms.emplace(k, std::pair{atom.first, 0}).first->second;
          have.second += atom.second;
        }
        both.factor = t.factor * u.factor;
        p.add(both, 1);
      }
    }
    p.constant = a.constant * b.constant;
    return p;
  }
  bool is_constant() const { return terms.empty(); }
};

Expr product_of(const Polynomial::Term& t) {
  Expr e;
  for (const auto& [key, atom] : t.atoms)
    for (int i = 0; i < atom.second; ++i) e = e ? e * atom.first : atom.first;
  return e;
}

Expr to_expr(const Polynomial& p) {
  Expr sum;
  const auto put = [&](const Expr& e, bool minus) {
    sum = !sum ? (minus ? Expr(0) - e : e) : minus ? sum - e : sum + e;
  };
  for (const bool minus : {false, true})
    for (const auto& [key, t] : p.terms) {
      if ((t.factor < 0) != minus) continue;
      const std::int64_t factor = minus ? -t.factor : t.factor;
      put(factor == 1 ? product_of(t) : product_of(t) * Expr(factor), minus);
    }
  if (p.constant != 0 || !sum) put(Expr(p.constant < 0 ? -p.constant : p.constant), p.constant < 0);
  return sum;
}

Range sum_of(const Range& a, const Range& b) {
  return {infinite(a.low) || infinite(b.low) ? kNoMinimum : add(a.low, b.low),
          infinite(a.high) || infinite(b.high) ? kNoMaximum : add(a.high, b.high)};
}

Range product_of(const Range& a, const Range& b) {
  const std::int64_t all[4] = {times(a.low, b.low), times(a.low, b.high), times(a.high, b.low),
                               times(a.high, b.high)};
  return {*std::min_element(all, all + 4), *std::max_element(all, all + 4)};
}

class Simplifier {
 public:
  explicit Simplifier(const Facts& facts) : facts_(facts) {}

  Polynomial polynomial(const Expr& e) {
    if (e->op == Op::integer && e->type != DType::boolean) {
      Polynomial p;
      p.constant = e->integer;
      return p;
    }
    switch (e->op) {
      case Op::add:
      case Op::sub: {
        Polynomial p = polynomial(e->args[0]);
        p.add(polynomial(e->args[1]), e->op == Op::add ? 1 : -1);
        return p;
      }
      case Op::mul: {
        const Polynomial a = polynomial(e->args[0]), b = polynomial(e->args[1]);
        if ((a.terms.size() + 1) * (b.terms.size() + 1) <= kMostTerms) return Polynomial::product(a, b);
        return Polynomial::of_atom(to_expr(a) * to_expr(b));
      }
      case Op::floordiv:
      case Op::floormod:
        return division(e);
      default:
        break;
    }
    const Expr atom = with_simple_parts(e);
    if (atom->op == Op::integer || atom->op == Op::add || atom->op == Op::sub || atom->op == Op::mul)
      return atom.get() == e.get() ? Polynomial::of_atom(e) : polynomial(atom);
    return Polynomial::of_atom(atom);
  }

  Expr simple(const Expr& e) {
    if (!is_float(e->type) && e->type != DType::boolean) return to_expr(polynomial(e));
    return with_simple_parts(e);
  }

  Range range(const Expr& e) {
    switch (e->op) {
      case Op::integer:
        return {e->integer, e->integer};
      case Op::scalar:
        return {e->low, e->high};
      case Op::load:
        return {e->buffer->low, e->buffer->high};
      case Op::variable:
        for (std::size_t i = facts_.loops().size(); i-- > 0;) {
          const Facts::Loop& l = facts_.loops()[i];
          if (l.var.get() != e.get()) continue;
          const Range first = range(l.first), extent = range(l.extent);
          return {first.low, add(add(first.high, extent.high), -1)};
        }
        return {};
      case Op::add: {
        const Range a = range(e->args[0]), b = range(e->args[1]);
        return sum_of(a, b);
      }
      case Op::sub: {
        const Range a = range(e->args[0]), b = range(e->args[1]);
        return sum_of(a, {times(b.high, -1), times(b.low, -1)});
      }
      case Op::mul:
        return product_of(range(e->args[0]), range(e->args[1]));
      case Op::floordiv: {
        const Range a = range(e->args[0]), b = range(e->args[1]);
        if (b.low != b.high || b.low <= 0) return a.low >= 0 && b.low > 0 ? Range{0, a.high} : Range{};
        return {floor_divide(a.low, b.low), floor_divide(a.high, b.low)};
      }
      case Op::floormod: {
        const Range b = range(e->args[1]);
        return b.low > 0 ? Range{0, add(b.high, -1)} : Range{};
      }
      case Op::min: {
        const Range a = range(e->args[0]), b = range(e->args[1]);
        return {std::min(a.low, b.low), std::min(a.high, b.high)};
      }
      case Op::max: {
        const Range a = range(e->args[0]), b = range(e->args[1]);
        return {std::max(a.low, b.low), std::max(a.high, b.high)};
      }
      case Op::select: {
        const Range a = range(e->args[1]), b = range(e->args[2]);
        return {std::min(a.low, b.low), std::max(a.high, b.high)};
      }
      default:
        return {};
    }
  }

  Range range(const Polynomial& p) {
    Range sum{p.constant, p.constant};
    for (const auto& [key, t] : p.terms) {
      Range r{t.factor, t.factor};
      for (const auto& [k, atom] : t.atoms) {
        const Range a = range(atom.first);
        for (int i = 0; i < atom.second; ++i) r = product_of(r, a);
      }
      sum = sum_of(sum, r);
    }
    return sum;
  }

  /// Whether p >= 0 always: the ranges say so, or an atom is replaced by a bound of it and p only falls.
  bool not_negative(const Polynomial& p, int steps) {
    if (range(p).low >= 0) return true;
    if (steps == 0) return false;
    for (const auto& [key, t] : p.terms) {
      if (t.atoms.size() != 1 || t.atoms.begin()->second.second != 1) {
        if (product_replaced(p, t, steps)) return true;
        continue;
      }
      const Expr& atom = t.atoms.begin()->second.first;
      for (const Expr& bound : bounds_of(atom, t.factor > 0))
        if (not_negative(replaced(p, t, Expr(t.factor) * bound), steps - 1)) return true;
    }
    return false;
  }

 private:
  /// Lower bounds of an atom (for a positive factor) or upper ones.
  std::vector<Expr> bounds_of(const Expr& atom, bool lower) {
    std::vector<Expr> out;
    if (atom->op == Op::variable) {
      for (std::size_t i = facts_.loops().size(); i-- > 0;) {
        const Facts::Loop& l = facts_.loops()[i];
        if (l.var.get() != atom.get()) continue;
        out.push_back(lower ? l.first : l.first + l.extent - Expr(1));
        break;
      }
    } else if (atom->op == (lower ? Op::max : Op::min)) {
      out = {atom->args[0], atom->args[1]};
    } else if (atom->op == Op::floormod) {
      if (range(atom->args[1]).low > 0) out.push_back(lower ? Expr(0) : atom->args[1] - Expr(1));
    }
    return out;
  }

  Polynomial replaced(Polynomial p, const Polynomial::Term& t, const Expr& by) {
    p.add(t, -1);
    p.add(polynomial(by), 1);
    return p;
  }

  /// factor * floordiv(x, c): replaced by x when the factor is a multiple of c. And a loop variable times
  /// something that is never negative: replaced by its bound times that.
  bool product_replaced(const Polynomial& p, const Polynomial::Term& t, int steps) {
    for (const auto& [key, atom] : t.atoms) {
      if (atom.second != 1 || atom.first->op != Op::variable) continue;
      Polynomial::Term rest = t;
      rest.atoms.erase(key);
      rest.factor = 1;
      Polynomial others;
      others.add(rest, 1);
      if (range(others).low < 0) continue;
      for (const Expr& bound : bounds_of(atom.first, t.factor > 0)) {
        const Expr by = Expr(t.factor) * bound * to_expr(others);
        if (not_negative(replaced(p, t, by), steps - 1)) return true;
      }
    }
    return false;
  }

 public:
  /// As not_negative, with quotients too: c * floordiv(x, c) lies in [x - c + 1, x].
  bool holds(const Polynomial& p, int steps) {
    if (not_negative(p, steps)) return true;
    if (steps == 0) return false;
    for (const auto& [key, t] : p.terms) {
      if (t.atoms.size() != 1 || t.atoms.begin()->second.second != 1) continue;
      const Expr& atom = t.atoms.begin()->second.first;
      if (atom->op != Op::floordiv || atom->args[1]->op != Op::integer || atom->args[1]->integer <= 0)
        continue;
      const std::int64_t c = atom->args[1]->integer;
      if (t.factor % c != 0) continue;
      const Expr least = t.factor > 0 ? atom->args[0] - Expr(c - 1) : atom->args[0];
      if (holds(replaced(p, t, Expr(t.factor / c) * least), steps - 1)) return true;
    }
    return false;
  }

 private:
  Polynomial division(const Expr& e) {
    const bool quotient = e->op == Op::floordiv;
    const Expr divisor = simple(e->args[1]);
    const Polynomial a = polynomial(e->args[0]);
    if (divisor->op != Op::integer || divisor->integer <= 0) return atom(e->op, to_expr(a), divisor);
    const std::int64_t c = divisor->integer;
    // a = c * whole + rest.
    Polynomial whole, rest;
    for (const auto& [key, t] : a.terms) {
      Polynomial::Term part = t;
      if (t.factor % c == 0) {
        part.factor = t.factor / c;
        whole.add(part, 1);
      } else {
        rest.add(part, 1);
      }
    }
    whole.constant = floor_divide(a.constant, c);
    rest.constant = a.constant - whole.constant * c;
    const Range r = range(rest);
    if (r.low >= 0 && r.high < c) return quotient ? whole : rest;
    // floordiv(x, a) by c is floordiv(x, a * c).
    if (quotient && rest.terms.size() == 1 && rest.constant == 0 && whole.terms.empty() &&
        whole.constant == 0) {
      const Polynomial::Term& t = rest.terms.begin()->second;
      if (t.factor == 1 && t.atoms.size() == 1 && t.atoms.begin()->second.second == 1) {
        const Expr& inner = t.atoms.begin()->second.first;
        if (inner->op == Op::floordiv && inner->args[1]->op == Op::integer && inner->args[1]->integer > 0)
          return division(floordiv(inner->args[0], Expr(inner->args[1]->integer * c)));
      }
    }
    const Polynomial left = atom(e->op, to_expr(rest), divisor);
    if (!quotient) return left;
    whole.add(left, 1);
    return whole;
  }

  static Polynomial atom(Op op, const Expr& a, const Expr& b) {
    const Expr e = make(op, {a, b});
    if (e->op == Op::integer) {
      Polynomial p;
      p.constant = e->integer;
      return p;
    }
    return Polynomial::of_atom(e);
  }

  Expr with_simple_parts(const Expr& e) {
    if (e->args.empty()) return e;
    std::vector<Expr> args;
    for (const Expr& a : e->args) args.push_back(simple(a));
    const bool same = std::equal(args.begin(), args.end(), e->args.begin(),
                                 [](const Expr& a, const Expr& b) { return a.get() == b.get(); });
    if (e->op == Op::load) {
      if (const auto outer = outer_of_map(e->buffer, args[0])) return *outer;
      if (same) return e;
      auto n = std::make_shared<ExprNode>(*e.get());
      n->args = std::move(args);
      return Expr(n);
    }
    if (!is_float(e->type) && (e->op == Op::min || e->op == Op::max)) {
      Polynomial less = polynomial(args[1]);
      less.add(polynomial(args[0]), -1);
      if (range(less).low >= 0) return args[e->op == Op::min ? 0 : 1];
      if (range(less).high <= 0) return args[e->op == Op::min ? 1 : 0];
    }
    if (same) return e;
    if (e->op == Op::cast) return cast(e->type, args[0]);
    return make(e->op, std::move(args));
  }

  /// f_fo(f_oif(o, i)) = o.
  std::optional<Expr> outer_of_map(const Buffer& buffer, const Expr& index) {
    for (const Facts::Map& m : facts_.maps()) {
      if (m.map.get() != buffer.get()) continue;
      const Polynomial p = polynomial(index);
      for (const auto& [key, t] : p.terms) {
        if (t.factor != 1 || t.atoms.size() != 1 || t.atoms.begin()->second.second != 1) continue;
        const Expr& start = t.atoms.begin()->second.first;
        if (start->op != Op::load || start->buffer.get() != m.prefix.get()) continue;
        Polynomial inner = p;
        inner.add(t, -1);
        const Expr& o = start->args[0];
        Polynomial room = polynomial(Substitution{{{m.variable.get(), o}}}(m.element));
        room.add(inner, -1);
        room.constant -= 1;
        if (holds(inner, kMostSteps) && holds(room, kMostSteps)) return o;
      }
    }
    return std::nullopt;
  }

  const Facts& facts_;
};

}  // namespace

std::vector<Expr> Facts::conditions() const {
  std::vector<Expr> all;
  for (const Loop& l : loops_) {
    all.push_back(l.first <= l.var);
    all.push_back(l.var < l.first + l.extent);
  }
  return all;
}

Expr simplify(const Expr& e, const Facts& facts) {
  return Simplifier(facts).simple(e);
}

Range range_of(const Expr& e, const Facts& facts) {
  Simplifier s(facts);
  const Range whole = s.range(e), parts = s.range(s.polynomial(e));
  return {std::max(whole.low, parts.low), std::min(whole.high, parts.high)};
}

bool prove(const Expr& condition, const Facts& facts) {
  if (condition->op == Op::integer) return condition->integer != 0;
  if (condition->op == Op::logical_and)
    return prove(condition->args[0], facts) && prove(condition->args[1], facts);
  if ((condition->op != Op::less && condition->op != Op::less_equal) || is_float(condition->args[0]->type))
    return false;
  Simplifier s(facts);
  Polynomial p = s.polynomial(condition->args[1]);
  p.add(s.polynomial(condition->args[0]), -1);
  if (condition->op == Op::less) p.constant -= 1;
  return s.holds(p, kMostSteps);
}

bool prove_multiple(const Expr& e, std::int64_t m, const Facts& facts) {
  return is_integer(simplify(floormod(e, Expr(m)), facts), 0);
}

}  // namespace ballast::loop
