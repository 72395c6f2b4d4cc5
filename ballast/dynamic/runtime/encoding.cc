// Values of users into words of control code, and back.
#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/dynamic/runtime/state.h"

namespace ballast::dynamic {

std::int64_t SessionState::encode(const Type& given, const Value& value) {
  const auto object = [this](std::size_t words) { return arena.take<std::int64_t>(words, 8); };
  const Type type = resolved(given);
  const auto fits = [&](Value::Kind kind) {
    if (value.kind != kind)
      throw InvalidInput("an argument does not fit the model; it expects " + to_string(type));
  };
  switch (type->kind) {
    case TypeNode::Kind::integer:
      fits(Value::Kind::integer);
      return value.integer;
    case TypeNode::Kind::boolean:
      fits(Value::Kind::boolean);
      return value.integer;
    case TypeNode::Kind::real:
      fits(Value::Kind::real);
      return std::bit_cast<std::int64_t>(value.real);
    case TypeNode::Kind::tensor: {
      fits(Value::Kind::tensor);
      if (value.shape != type->shape)
        throw InvalidInput(
            fmt::format("a tensor of shape {} for {}", to_string(value.shape), to_string(type)));
      auto* slot = arena.take<Slot>(1, 16);
      *slot = {const_cast<float*>(value.elements.data()), 0, 0};
      return word_of(slot);
    }
    case TypeNode::Kind::tuple: {
      fits(Value::Kind::tuple);
      std::int64_t* o = object(value.fields.size() + 1);
      o[0] = 0;
      for (std::size_t i = 0; i < type->args.size(); ++i)
        o[i + 1] = encode(type->args[i], value.fields.at(i));
      return word_of(o);
    }
    default: {
      if (type->name == "List") {
        fits(Value::Kind::list);
        std::int64_t* nil = object(1);
        nil[0] = 0;
        std::int64_t list = word_of(nil);
        for (auto item = value.fields.rbegin(); item != value.fields.rend(); ++item) {
          std::int64_t* cons = object(3);
          cons[0] = 1;
          cons[1] = encode(type->args[0], *item);
          cons[2] = list;
          list = word_of(cons);
        }
        return list;
      }
      fits(Value::Kind::data);
      const std::vector<Type> types = exe.module->field_types(type, value.tag);
      if (types.size() != value.fields.size())
        throw InvalidInput("a value of " + to_string(type) + " has a wrong number of fields");
      std::int64_t* o = object(types.size() + 1);
      o[0] = value.tag;
      for (std::size_t i = 0; i < types.size(); ++i) o[i + 1] = encode(types[i], value.fields[i]);
      return word_of(o);
    }
  }
}

Value SessionState::decode(const Type& given, std::int64_t word) {
  const Type type = resolved(given);
  switch (type->kind) {
    case TypeNode::Kind::integer:
      return Value::of_integer(word);
    case TypeNode::Kind::boolean:
      return {.kind = Value::Kind::boolean, .integer = word};
    case TypeNode::Kind::real:
      return {.kind = Value::Kind::real, .real = std::bit_cast<double>(word)};
    case TypeNode::Kind::tensor: {
      const float* data = word < 0 ? globals.plain(static_cast<GlobalId>(-1 - word))
                                   : reinterpret_cast<const Slot*>(word)->data;
      std::vector<float> elements(data, data + volume(type->shape));
      if (type->integer_elements)
        for (float& x : elements) x = static_cast<float>(std::bit_cast<std::int32_t>(x));
      for (const float x : elements) stats.not_a_number += std::isfinite(x) ? 0 : 1;
      return Value::of_tensor(type->shape, std::move(elements));
    }
    case TypeNode::Kind::tuple: {
      std::vector<Value> fields;
      for (std::size_t i = 0; i < type->args.size(); ++i)
        fields.push_back(decode(type->args[i], object_at(word)[i + 1]));
      return Value::of_tuple(std::move(fields));
    }
    default: {
      std::vector<Value> fields;
      if (type->name == "List") {
        for (const std::int64_t* cons = object_at(word); cons[0] == 1; cons = object_at(cons[2]))
          fields.push_back(decode(type->args[0], cons[1]));
        return Value::of_list(std::move(fields));
      }
      const auto tag = static_cast<int>(object_at(word)[0]);
      const std::vector<Type> types = exe.module->field_types(type, tag);
      for (std::size_t i = 0; i < types.size(); ++i)
        fields.push_back(decode(types[i], object_at(word)[i + 1]));
      return Value::of_data(tag, std::move(fields));
    }
  }
}

void SessionState::collect_losses(std::int64_t word) {
  each_tensor(exe.module->entry().result, word, [&](const Slot* slot, const TypeNode& type) {
    if (!type.integer_elements && volume(type.shape) == 1) losses.push_back(slot);
  });
}

void SessionState::hold_results(const std::vector<std::int64_t>& words) {
  for (std::size_t i = 0; i < words.size(); ++i)
    if (errors[i].empty())
      each_tensor(exe.module->entry().result, words[i], [](Slot* slot, const TypeNode&) { ++slot->uses; });
  all_known = true;
}

}  // namespace ballast::dynamic
