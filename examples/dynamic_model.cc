// A model written for one instance, run on a mini-batch of sentences of different lengths.
#include <cstdio>

#include "ballast/dynamic/runtime/session.h"

namespace dynamic = ballast::dynamic;

int main() {
  const auto exe = dynamic::compile(dynamic::Module::from_text(R"(
    const H = 16; const V = 100; const C = 3;
    param E: Tensor[f32, V, H] = normal(0.1);
    param W: Tensor[f32, H, 2*H] = xavier;  param b: Tensor[f32, H] = zeros;
    param Wc: Tensor[f32, C, H] = xavier;   param bc: Tensor[f32, C] = zeros;
    fn rnn(words: List[i32], s: Tensor[f32, H]) -> Tensor[f32, H] {
      match words { Nil => s, Cons(w, t) => rnn(t, tanh(dense(concat(embedding(E, w), s), W, b))) } }
    @entry fn main(words: List[i32]) -> Tensor[f32, C] { dense(rnn(words, zeros(H)), Wc, bc) })"));
  dynamic::Session session(exe, dynamic::initial_parameters(*exe.module, 1));
  std::vector<dynamic::Session::Arguments> sentences;
  for (int length = 1; length <= 20; ++length) {
    std::vector<dynamic::Value> words;
    for (int i = 0; i < length; ++i) words.push_back(dynamic::Value::of_integer((7 * length + i) % 100));
    sentences.push_back({dynamic::Value::of_list(words)});
  }
  const auto results = session.run(sentences);
  std::printf(
      "%lld nodes of %zu sentences ran as %lld batches; the longest gave %.4f %.4f %.4f\n",
      static_cast<long long>(session.stats().nodes), results.size(),
      static_cast<long long>(session.stats().batches), static_cast<double>(results.back().elements[0]),
      static_cast<double>(results.back().elements[1]), static_cast<double>(results.back().elements[2]));
  return session.stats().batches < session.stats().nodes ? 0 : 1;
}
