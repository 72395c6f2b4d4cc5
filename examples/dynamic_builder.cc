// A model built in C++ for one sentence, run on many at once; and the model file that says the same.
#include <cstdio>

#include "ballast/dynamic/language/builder.h"
#include "ballast/dynamic/runtime/session.h"

namespace dynamic = ballast::dynamic;
using dynamic::call, dynamic::op, dynamic::var, dynamic::tensor;

int main() {
  dynamic::Builder b("mean_of_words");
  const auto H = b.constant("H", 16), V = b.constant("V", 100);
  const auto E = b.param("E", {V, H}, "normal", {0.1}), W = b.param("W", {H, H}, "xavier");
  b.entry(
      "main", {{"words", dynamic::list_of(dynamic::i32())}}, tensor({H}),
      dynamic::block(
          {{"xs", call("par_map", {dynamic::lambda(
                                       {"w"}, op("tanh", {op("dense", {op("embedding", {E, var("w")}), W})})),
                                   var("words")})}},
          op("add_n", {call("Cons", {op("zeros", {H}), var("xs")})})));
  const dynamic::Module module = b.build();
  std::printf("%s", dynamic::to_text(module).c_str());
  const auto exe = dynamic::compile(module);
  dynamic::Session session(exe, dynamic::initial_parameters(module, 1));
  std::vector<dynamic::Session::Arguments> sentences;
  for (int length = 1; length <= 20; ++length) {
    std::vector<dynamic::Value> words;
    for (int i = 0; i < length; ++i) words.push_back(dynamic::Value::of_integer((7 * length + i) % 100));
    sentences.push_back({dynamic::Value::of_list(words)});
  }
  session.run(sentences);
  std::printf("%lld nodes of %zu sentences ran as %lld batches\n",
              static_cast<long long>(session.stats().nodes), sentences.size(),
              static_cast<long long>(session.stats().batches));
  return session.stats().batches <= 4 ? 0 : 1;
}
