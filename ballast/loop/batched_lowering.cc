// Lane programs to loop IR.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/loop/batched_shapes.h"

namespace ballast::loop {

class LaneLowering {
 public:
  using Value = LaneProgram::Value;
  using Kind = LaneProgram::Kind;
  using Shape = LaneProgram::Shape;
  using Node = LaneProgram::Node;

  LaneLowering(const LaneProgram& p, std::int64_t tile)
      : p_(p), tile_(tile), batch_(scalar("batch", 0, 0)), task_(variable("task")) {
    first_ = variable("first");
    count_ = variable("count");
    for (std::size_t i = 0; i < p.operands_.size(); ++i) {
      const OperandDesc& o = p.operands_[i];
      Expr extent;
      for (const Node& n : p.nodes_) {
        if (n.operand != static_cast<int>(i)) continue;
        if (o.access == Access::Dense) extent = batch_ * Expr(volume(n.shape));
        if (o.access == Access::Shared || o.access == Access::PtrTable) extent = Expr(volume(n.shape));
      }
      for (const auto& [operand, value] : p.outputs_)
        if (operand == static_cast<int>(i)) extent = batch_ * Expr(volume(p.node(value).shape));
      if (packed_weight(static_cast<int>(i))) extent = Expr();
      buffers_.push_back(operand_buffer(o.name, o.dtype, static_cast<int>(i), extent, o.access));
      rows_.push_back(o.aux_slot < 0 ? nullptr
                                     : aux_buffer(o.name + ".rows", o.aux_slot, batch_, 0, kNoMaximum));
    }
  }

  Function build() {
    if (p_.outputs_.empty()) throw InvalidInput("program '" + p_.name_ + "' has no output");
    placed_.resize(p_.nodes_.size());
    target_.assign(p_.nodes_.size(), -1);
    for (const auto& [operand, value] : p_.outputs_) target_[static_cast<std::size_t>(value)] = operand;
    for (std::size_t i = 0; i < p_.nodes_.size(); ++i) {
      const Node& n = p_.nodes_[i];
      if (needs_memory(n)) store_value(static_cast<Value>(i));
    }
    for (const auto& [operand, value] : p_.outputs_) {
      const Place& place = placed_[static_cast<std::size_t>(value)];
      if (place.buffer && place.buffer->space == Space::operand && place.buffer->slot == operand) continue;
      copy(value,
           Place{buffers_[static_cast<std::size_t>(operand)], first_ * Expr(volume(p_.node(value).shape))});
    }
    Function f;
    f.signature = {p_.name_, p_.operands_, {{"batch", 0, kNoMaximum}}, {}, scratch_};
    for (const OperandDesc& o : p_.operands_)
      if (o.aux_slot >= 0) f.signature.aux.push_back(o.name + ".rows");
    f.task = task_;
    f.num_tasks = ceil_div(batch_, tile_);
    f.task_cost = min(Expr(tile_), batch_ - task_ * Expr(tile_)) * Expr(std::max<std::int64_t>(work_, 1));
    f.body =
        let(first_, task_ * Expr(tile_), let(count_, min(Expr(tile_), batch_ - first_), block(statements_)));
    return f;
  }

 private:
  /// Where a value lies: element (local lane l, flat index x) at buffer[offset + l * volume + x].
  struct Place {
    Buffer buffer;
    Expr offset;
  };

  bool packed_weight(int operand) const {
    for (const Node& n : p_.nodes_)
      if (n.kind == Kind::affine && n.flag && p_.node(n.args[1]).operand == operand) return true;
    return false;
  }

  bool needs_memory(const Node& n) const {
    return n.kind == Kind::affine || n.kind == Kind::matmul || n.kind == Kind::reduce ||
           n.kind == Kind::argmax;
  }

  Place new_place(Value v) {
    const Node& n = p_.node(v);
    const int operand = target_[static_cast<std::size_t>(v)];
    if (operand >= 0) return {buffers_[static_cast<std::size_t>(operand)], first_ * Expr(volume(n.shape))};
    const std::int64_t elements = volume(n.shape) * tile_;
    Buffer b = scratch_buffer(fmt::format("t{}", v), n.type, static_cast<int>(scratch_), elements);
    scratch_ += (elements * size_of(n.type) + 63) / 64 * 64;
    return {b, Expr(0)};
  }

  /// The element of a value as an expression; `lane` is global, `local` counts in the tile.
  Expr at(Value v, const Expr& local, const std::vector<Expr>& index) {
    const Node& n = p_.node(v);
    if (const Place& place = placed_[static_cast<std::size_t>(v)]; place.buffer)
      return load(place.buffer, place.offset + local * Expr(volume(n.shape)) + flat(n.shape, index));
    const auto axis = static_cast<std::size_t>(n.axis);
    switch (n.kind) {
      case Kind::input:
        return input_at(n, first_ + local, flat(n.shape, index));
      case Kind::map: {
        std::vector<Expr> args;
        for (const Value a : n.args) {
          const Shape& s = p_.node(a).shape;
          std::vector<Expr> own;
          for (std::size_t i = 0; i < s.size(); ++i)
            own.push_back(s[i] == 1 ? Expr(0) : index[index.size() - s.size() + i]);
          args.push_back(at(a, local, own));
        }
        return n.scalar(args);
      }
      case Kind::concat: {
        std::int64_t end = n.shape[axis];
        Expr result;
        for (std::size_t i = n.args.size(); i-- > 0;) {
          const std::int64_t begin = end - p_.node(n.args[i]).shape[axis];
          std::vector<Expr> own = index;
          // Clamped, because both arms of the select are evaluated.
          own[axis] = max(min(index[axis] - Expr(begin), Expr(end - begin - 1)), Expr(0));
          Expr part = at(n.args[i], local, own);
          result = result ? select(index[axis] < Expr(end), part, result) : part;
          end = begin;
        }
        return result;
      }
      case Kind::slice: {
        std::vector<Expr> own = index;
        own[axis] = index[axis] + Expr(n.begin);
        return at(n.args[0], local, own);
      }
      case Kind::reshape: {
        Expr position = flat(n.shape, index);
        const Shape& s = p_.node(n.args[0]).shape;
        std::vector<Expr> own(s.size());
        for (std::size_t i = s.size(); i-- > 0;) {
          own[i] = i == 0 ? position : floormod(position, Expr(s[i]));
          position = floordiv(position, Expr(s[i]));
        }
        return at(n.args[0], local, own);
      }
      case Kind::transpose: {
        std::vector<Expr> own(index.size());
        for (std::size_t i = 0; i < index.size(); ++i)
          own[static_cast<std::size_t>(n.permutation[i])] = index[i];
        return at(n.args[0], local, own);
      }
      case Kind::embedding:
        return at(n.args[0], local, {at(n.args[1], local, {Expr(0)}), index[0]});
      case Kind::pick: {
        std::vector<Expr> own = index;
        own.back() = at(n.args[1], local, std::vector<Expr>(p_.node(n.args[1]).shape.size(), Expr(0)));
        return at(n.args[0], local, own);
      }
      default:
        BALLAST_CHECK(false, "a value that lies in memory was not stored");
        return {};
    }
  }

  Expr input_at(const Node& n, const Expr& lane, const Expr& position) {
    const auto slot = static_cast<std::size_t>(n.operand);
    const Buffer& b = buffers_[slot];
    switch (b->access) {
      case Access::PtrTable:
        return load_lane(b, lane, position);
      case Access::RowIndex:
        return load(b, load(rows_[slot], lane) * Expr(volume(n.shape)) + position);
      case Access::Shared:
        return load(b, position);
      default:
        return load(b, lane * Expr(volume(n.shape)) + position);
    }
  }

  /// for every local lane and element: body(local, index), the last axis with vector lanes.
  template <typename Body>
  Stmt for_elements(const Shape& shape, const Body& body) {
    const Var local = variable("l");
    std::vector<Var> vars;
    std::vector<Expr> index;
    for (std::size_t i = 0; i < shape.size(); ++i) {
      vars.push_back(variable(fmt::format("i{}", i)));
      index.push_back(shape[i] == 1 ? Expr(0) : vars.back());
    }
    Stmt s = body(local, index);
    for (std::size_t i = shape.size(); i-- > 0;)
      if (shape[i] != 1)
        s = loop(vars[i], 0, Expr(shape[i]), s, i + 1 == shape.size() ? LoopKind::vector : LoopKind::serial);
    return loop(local, 0, count_, s);
  }

  void copy(Value v, const Place& place) {
    const Shape& shape = p_.node(v).shape;
    if (p_.node(v).kind == Kind::concat) {  // part by part: no choice inside a loop
      const auto axis = static_cast<std::size_t>(p_.node(v).axis);
      std::int64_t begin = 0;
      for (const Value part : p_.node(v).args) {
        const Shape& own = p_.node(part).shape;
        statements_.push_back(for_elements(own, [&](const Var& local, const std::vector<Expr>& index) {
          std::vector<Expr> to = index;
          to[axis] = index[axis] + Expr(begin);
          return store(place.buffer, place.offset + local * Expr(volume(shape)) + flat(shape, to),
                       at(part, local, index));
        }));
        begin += own[axis];
      }
      work_ += volume(shape);
      return;
    }
    statements_.push_back(for_elements(shape, [&](const Var& local, const std::vector<Expr>& index) {
      return store(place.buffer, place.offset + local * Expr(volume(shape)) + flat(shape, index),
                   at(v, local, index));
    }));
    work_ += volume(shape);
  }

  /// A value's place in memory; computed into scratch when it has none yet.
  Place place_of(Value v) {
    Place& place = placed_[static_cast<std::size_t>(v)];
    if (!place.buffer) {
      const Place fresh = new_place(v);
      copy(v, fresh);
      placed_[static_cast<std::size_t>(v)] = fresh;
    }
    return placed_[static_cast<std::size_t>(v)];
  }

  void store_value(Value v) {
    const Node& n = p_.node(v);
    const Place place = new_place(v);
    switch (n.kind) {
      case Kind::affine:
        store_affine(n, place);
        break;
      case Kind::matmul:
        store_matmul(n, place);
        break;
      case Kind::reduce:
        store_reduce(n, place);
        break;
      case Kind::argmax:
        store_argmax(n, place);
        break;
      default:
        break;
    }
    placed_[static_cast<std::size_t>(v)] = place;
  }

  /// The rows of x as the A operand of a product of `rows` = lanes * m rows.
  void set_a(GemmCall& g, Value x, std::int64_t m) {
    const Node* n = &p_.node(x);
    std::int64_t offset = 0;
    // One row a lane: an input, or a slice of one, is read where it lies.
    const Node* source = n;
    while (m == 1 && source->kind == Kind::slice &&
           source->axis + 1 == static_cast<int>(source->shape.size()) &&
           !placed_[static_cast<std::size_t>(x)].buffer) {
      offset += source->begin;
      source = &p_.node(source->args[0]);
    }
    if (source->kind == Kind::input && source->type == DType::f32) {
      const auto slot = static_cast<std::size_t>(source->operand);
      const Buffer& b = buffers_[slot];
      const std::int64_t size = volume(source->shape), k = n->shape.back();
      if (b->access == Access::Dense) {
        g.a = b;
        g.a_offset = first_ * Expr(size) + Expr(offset);
        g.a_stride = Expr(m == 1 ? size : k);
        return;
      }
      if (m == 1 && b->access == Access::PtrTable) {
        g.a = b;
        g.a_lane = first_;
        g.a_offset = Expr(offset);
        return;
      }
      if (m == 1 && b->access == Access::RowIndex) {
        g.a = b;
        g.a_rows = rows_[slot];
        g.a_lane = first_;
        g.a_stride = Expr(size);
        g.a_offset = Expr(offset);
        return;
      }
      if (m == 1 && b->access == Access::Shared) {
        g.a = b;
        g.a_offset = Expr(offset);
        g.a_stride = Expr(0);
        return;
      }
    }
    const Place place = place_of(x);
    g.a = place.buffer;
    g.a_offset = place.offset;
    g.a_stride = Expr(n->shape.back());
  }

  void store_affine(const Node& n, const Place& place) {
    const Value x = n.args[0], w = n.args[1];
    const std::int64_t k = p_.node(x).shape.back(), out = n.shape.back(),
                       m = volume(n.shape) / std::max<std::int64_t>(out, 1);
    const Buffer& weight = buffers_[static_cast<std::size_t>(p_.node(w).operand)];
    bool started = false;
    if (n.has_addend) {
      const Value addend = n.args.back();
      statements_.push_back(
          for_elements({volume(n.shape)}, [&](const Var& local, const std::vector<Expr>& index) {
            const Shape& s = p_.node(addend).shape;
            std::vector<Expr> own(s.size(), Expr(0));
            Expr position = index[0];
            for (std::size_t i = s.size(); i-- > 0;) {
              own[i] = s[i] == 1 ? Expr(0) : i == 0 ? position : floormod(position, Expr(s[i]));
              position = floordiv(position, Expr(s[i]));
            }
            return store(place.buffer, place.offset + local * Expr(volume(n.shape)) + index[0],
                         at(addend, local, own));
          }));
      started = true;
    }
    std::vector<Value> parts{x};
    const Node& xn = p_.node(x);
    if (xn.kind == Kind::concat && xn.axis + 1 == static_cast<int>(xn.shape.size()) &&
        !placed_[static_cast<std::size_t>(x)].buffer)
      parts = xn.args;
    std::int64_t row = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const std::int64_t width = p_.node(parts[i]).shape.back();
      GemmCall g;
      set_a(g, parts[i], m);
      g.m = count_ * Expr(m);
      g.n = Expr(out);
      g.k = Expr(width);
      g.b = weight;
      if (n.second_flag) {
        g.b_offset = Expr(row * out);
        g.b_stride = Expr(out);
      } else if (n.flag) {
        g.b_packed = true;
        g.b_offset = Expr(row * 64);
        g.b_stride = Expr(k);
      } else {
        g.b_transposed = true;
        g.b_offset = Expr(row);
        g.b_stride = Expr(k);
      }
      g.c = place.buffer;
      g.c_offset = place.offset;
      g.c_stride = Expr(out);
      g.accumulate = started;
      if (n.has_bias && i + 1 == parts.size()) {
        g.bias = buffers_[static_cast<std::size_t>(p_.node(n.args[2]).operand)];
        g.bias_offset = Expr(0);
      }
      statements_.push_back(gemm(g));
      started = true;
      row += width;
    }
    work_ += m * out * k;
  }

  void store_matmul(const Node& n, const Place& place) {
    const Place a = place_of(n.args[0]), b = place_of(n.args[1]);
    const std::int64_t k = p_.node(n.args[0]).shape[1];
    const Var local = variable("l");
    GemmCall g;
    g.m = Expr(n.shape[0]);
    g.n = Expr(n.shape[1]);
    g.k = Expr(k);
    g.a = a.buffer;
    g.a_offset = a.offset + local * Expr(volume(p_.node(n.args[0]).shape));
    g.a_stride = Expr(k);
    g.b = b.buffer;
    g.b_offset = b.offset + local * Expr(volume(p_.node(n.args[1]).shape));
    g.b_stride = Expr(n.flag ? k : n.shape[1]);
    g.b_transposed = n.flag;
    g.c = place.buffer;
    g.c_offset = place.offset + local * Expr(volume(n.shape));
    g.c_stride = Expr(n.shape[1]);
    statements_.push_back(loop(local, 0, count_, gemm(g)));
    work_ += volume(n.shape) * k;
  }

  void store_reduce(const Node& n, const Place& place) {
    const Shape& in = p_.node(n.args[0]).shape;
    const auto axis = static_cast<std::size_t>(n.axis);
    const bool last = axis + 1 == in.size();
    Shape outer = n.shape;
    if (!last) outer = n.shape;
    statements_.push_back(for_elements(outer, [&](const Var& local, const std::vector<Expr>& index) {
      const Expr position = place.offset + local * Expr(volume(n.shape)) + flat(n.shape, index);
      const Var r = variable("r");
      std::vector<Expr> own = index;
      own[axis] = r;
      Stmt start = store(place.buffer, position, real(identity_of(n.combine)));
      Stmt sum =
          loop(r, 0, Expr(in[axis]), accumulate(place.buffer, position, n.combine, at(n.args[0], local, own)),
               last ? LoopKind::vector : LoopKind::serial);
      return block({start, sum});
    }));
    work_ += volume(in);
  }

  void store_argmax(const Node& n, const Place& place) {
    const Shape& in = p_.node(n.args[0]).shape;
    // Read from memory: each element is looked at twice.
    const Place x = place_of(n.args[0]);
    const Var local = variable("l"), row = variable("row"), j = variable("j");
    const std::int64_t width = in.back(), rows = volume(n.shape);
    const Expr target = place.offset + local * Expr(rows) + row;
    const Expr start = x.offset + local * Expr(volume(in)) + row * Expr(width);
    Stmt step = branch(load(x.buffer, start + load(place.buffer, target)) < load(x.buffer, start + j),
                       store(place.buffer, target, j));
    statements_.push_back(
        loop(local, 0, count_,
             loop(row, 0, Expr(rows),
                  block({store(place.buffer, target, Expr(0)), loop(j, 1, Expr(width - 1), step)}))));
    work_ += volume(in);
  }

  const LaneProgram& p_;
  std::int64_t tile_;
  Expr batch_;
  Var task_, first_, count_;
  std::vector<Buffer> buffers_, rows_;
  std::vector<Place> placed_;
  std::vector<int> target_;
  std::vector<Stmt> statements_;
  std::int64_t scratch_ = 0, work_ = 0;
};

Function LaneProgram::build(std::int64_t tile) const {
  return LaneLowering(*this, tile).build();
}

}  // namespace ballast::loop
