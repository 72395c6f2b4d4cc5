#include "ballast/ragged/peers/ctranslate2.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/python_files.h"
#include "ballast/base/random.h"
#include "ballast/data/safetensors.h"

extern char** environ;

namespace ballast::ragged {

std::unique_ptr<CTranslate2> CTranslate2::start(const std::string& folder, int threads) {
  if (find_python_file("ctranslate2").empty()) return nullptr;
  std::unique_ptr<CTranslate2> peer(new CTranslate2);
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return nullptr;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  std::string python = cache_folder() + "/venv/bin/python", script = BALLAST_CTRANSLATE2_SCRIPT,
              from = folder, work = peer->folder_.path(), count = std::to_string(threads);
  char* const words[] = {python.data(), script.data(), from.data(), work.data(), count.data(), nullptr};
  pid_t child = -1;
  const int failed = ::posix_spawn(&child, python.c_str(), &actions, nullptr, words, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);
  ::close(out[1]);
  peer->to_ = in[1];
  peer->from_ = out[0];
  if (failed != 0) return nullptr;
  peer->process_ = child;
  try {
    const Json hello = peer->ask(nullptr);
    if (!hello.contains("version")) return nullptr;
    peer->version_ = hello["version"].get<std::string>();
  } catch (const Unavailable&) {
    return nullptr;
  }
  return peer;
}

CTranslate2::~CTranslate2() {
  if (to_ >= 0) ::close(to_);  // the end of its input ends it
  if (from_ >= 0) ::close(from_);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
}

Json CTranslate2::ask(const Json& question) {
  const auto gone = [] { return Unavailable("the process of CTranslate2 ended before it answered"); };
  if (!question.is_null()) {
    const std::string line = question.dump() + "\n";
    // A dead reader must end in an error, not in a signal.
    struct sigaction ignore {
    }, before{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before);
    std::size_t sent = 0;
    while (sent < line.size()) {
      const ssize_t n = ::write(to_, line.data() + sent, line.size() - sent);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
    ::sigaction(SIGPIPE, &before, nullptr);
    if (sent < line.size()) throw gone();
  }
  std::size_t end;
  while ((end = buffer_.find('\n')) == std::string::npos) {
    char chunk[4096];
    const ssize_t n = ::read(from_, chunk, sizeof chunk);
    if (n <= 0) throw gone();
    buffer_.append(chunk, static_cast<std::size_t>(n));
  }
  const std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  try {
    return Json::parse(line);
  } catch (const Json::exception&) {
    throw Unavailable("the process of CTranslate2 answered no JSON: " + line.substr(0, 60));
  }
}

void CTranslate2::set_batch(const std::vector<std::vector<std::int32_t>>& tokens) {
  // It takes words: token 7 is the word t7 of the vocabulary that the script writes.
  Json words = Json::array();
  for (const auto& sequence : tokens) {
    Json one = Json::array();
    for (const std::int32_t t : sequence) one.push_back(fmt::format("t{}", t));
    words.push_back(std::move(one));
  }
  ask({{"tokens", words}});
}

std::vector<float> CTranslate2::hidden() {
  const std::string file = folder_.file("hidden.f32");
  ask({{"out", file}});
  const std::string bytes = read_file(file);
  std::vector<float> rows(bytes.size() / sizeof(float));
  std::memcpy(rows.data(), bytes.data(), rows.size() * sizeof(float));
  return rows;
}

double CTranslate2::seconds(int repeat) {
  return ask({{"time", repeat}}).at("seconds").get<double>();
}

void write_random_bert(const std::string& folder, std::int64_t layers, std::int64_t model, std::int64_t heads,
                       std::int64_t feed_forward, std::int64_t vocabulary, std::uint64_t seed) {
  constexpr std::int64_t kPositions = 512;
  write_file(folder + "/config.json", Json{{"num_hidden_layers", layers},
                                           {"hidden_size", model},
                                           {"num_attention_heads", heads},
                                           {"intermediate_size", feed_forward},
                                           {"max_position_embeddings", kPositions},
                                           {"vocab_size", vocabulary},
                                           {"layer_norm_eps", 1e-5},
                                           {"hidden_act", "relu"}}
                                          .dump());
  std::string words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n";
  for (std::int64_t i = 4; i < vocabulary; ++i) words += fmt::format("w{}\n", i);
  write_file(folder + "/vocab.txt", words);
  std::map<std::string, data::Array> arrays;
  Random random(seed, 0xbe47);
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, double centre) {
    std::uint64_t size = 1;
    data::Shape dims;
    for (const std::int64_t s : shape) {
      dims.push_back(static_cast<std::uint64_t>(s));
      size *= dims.back();
    }
    const double width = 1 / std::sqrt(static_cast<double>(shape.back()));
    std::vector<float> v(size);
    for (float& x : v) x = static_cast<float>(centre + random.uniform(-width, width));
    arrays.emplace(name, data::Array::of<float>(dims, v));
  };
  const auto linear = [&](const std::string& name, std::int64_t out, std::int64_t in) {
    add(name + ".weight", {out, in}, 0);
    add(name + ".bias", {out}, 0);
  };
  const auto norm = [&](const std::string& name) {
    add(name + ".weight", {model}, 1);
    add(name + ".bias", {model}, 0);
  };
  add("embeddings.word_embeddings.weight", {vocabulary, model}, 0);
  add("embeddings.position_embeddings.weight", {kPositions, model}, 0);
  add("embeddings.token_type_embeddings.weight", {2, model}, 0);
  norm("embeddings.LayerNorm");
  for (std::int64_t l = 0; l < layers; ++l) {
    const std::string p = fmt::format("encoder.layer.{}.", l);
    for (const char* part : {"query", "key", "value"}) linear(p + "attention.self." + part, model, model);
    linear(p + "attention.output.dense", model, model);
    norm(p + "attention.output.LayerNorm");
    linear(p + "intermediate.dense", feed_forward, model);
    linear(p + "output.dense", model, feed_forward);
    norm(p + "output.LayerNorm");
  }
  std::map<std::string, data::ArrayView> views;
  for (const auto& [name, array] : arrays) views.emplace(name, array.view());
  data::write_safetensors(folder + "/model.safetensors", views);
}

}  // namespace ballast::ragged
