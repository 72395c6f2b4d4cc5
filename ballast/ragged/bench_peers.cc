// R2.ctranslate2: whole encoders against CTranslate2 on the same weights: MiniLM-L6's own, and one layer of
// the paper's size with random ones. Both engines take token ids and give hidden states.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/base/statistics.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/ragged/bert.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/peers/ctranslate2.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

struct Case {
  std::string model, set;
  std::int64_t batch;
  std::vector<std::vector<std::int32_t>> tokens;
};

/// Real sentences as they are; else random tokens in lengths of the set.
std::vector<std::vector<std::int32_t>> batch_of(const BertModel& model, const std::string& set,
                                                std::int64_t size, std::uint64_t seed) {
  if (set == "debian") return model.tokenise(debian_sentences(static_cast<std::size_t>(size)));
  std::vector<std::vector<std::int32_t>> tokens;
  Random random(seed, 0x70c);
  const auto words = static_cast<std::uint64_t>(model.weights().vocabulary);
  const std::vector<std::int32_t> lengths = batches(lengths_from(set, size, seed), size).front();
  for (const std::int32_t l : lengths) {
    std::vector<std::int32_t> one(static_cast<std::size_t>(l));
    for (std::int32_t& t : one) t = static_cast<std::int32_t>(random.below(words));
    tokens.push_back(std::move(one));
  }
  return tokens;
}

void compare(Bench& bench, const BenchOptions& o, std::uint64_t seed, const std::string& name,
             const std::string& folder, std::vector<double>& ratios) {
  loop::KernelRegistry registry;
  loop::Launcher launcher(o.threads);
  const BertModel model(registry, folder);
  Workspace workspace;
  const auto peer = CTranslate2::start(folder, launcher.threads());
  std::vector<std::string> sets = o.data;
  if (sets.empty())
    sets = o.quick ? std::vector<std::string>{"mnli", "cola"}
                   : std::vector<std::string>{"race", "squad", "wiki128", "mnli", "xnli", "mrpc", "cola"};
  if (o.data.empty() && name == "minilm" && !debian_sentences(64).empty()) sets.emplace_back("debian");
  for (const std::string& set : sets) {
    cli::stop_if_interrupted();
    const std::int64_t size = o.batch.empty() ? (set == "race" ? 16 : 64) : o.batch.front();
    const auto tokens = batch_of(model, set, size, seed);
    BenchRow row{.id = fmt::format("R2.ctranslate2.{}.{}.b{}", name, set, size),
                 .what = name == "minilm"
                             ? "MiniLM-L6, six layers with its real weights, tokens to hidden states"
                             : "one layer of 512/8/2048, tokens to hidden states",
                 .unit = "s"};
    if (!peer) {
      row.ours = time_of([&] { model.hidden(launcher, tokens, workspace); });
      row.peer = Peer{"ctranslate2", std::nullopt};
      row.note = "not installed (setup/setup.sh --peers)";
      bench.add(row);
      continue;
    }
    peer->set_batch(tokens);
    const std::vector<float> ours = model.hidden(launcher, tokens, workspace), theirs = peer->hidden();
    double worst = ours.size() == theirs.size() ? 0 : INFINITY, scale = 1e-30;
    for (std::size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i) {
      worst = std::max(worst, std::fabs(static_cast<double>(ours[i]) - theirs[i]));
      scale = std::max(scale, std::fabs(static_cast<double>(theirs[i])));
    }
    if (!(worst / scale <= 1e-4))
      throw Unavailable(fmt::format("CTranslate2 and we differ by {:.1e} on {} ({}): nothing was timed",
                                    worst / scale, set, name));
    const Comparison timing =
        interleave({{"ragged", [&] { return time_of([&] { model.hidden(launcher, tokens, workspace); }); }},
                    {"ctranslate2", [&] { return peer->seconds(); }}},
                   {.rounds = o.rounds > 0 ? o.rounds
                              : o.quick    ? 7
                                           : 11,
                    .max_seconds = 12,
                    .seed = seed});
    ratios.push_back(timing.ratio("ctranslate2", "ragged").median);
    row.peer = Peer{"ctranslate2", timing.median("ctranslate2"), peer->version(),
                    fmt::format("{} threads, fp32, removes padding itself", launcher.threads())};
    row.note = fmt::format("hidden states agree to {:.1e}; no padding on either side: bound by saved work 1",
                           worst / scale);
    row.comparison = timing;
    row.ours_name = "ragged";
    row.peer_name = "ctranslate2";
    bench.add(row);
  }
}

}  // namespace

void bench_peers(Bench& bench, const BenchOptions& o, std::uint64_t seed) {
  std::vector<double> ratios;
  if (const auto folder = find_minilm()) compare(bench, o, seed, "minilm", *folder, ratios);
  const TemporaryFolder folder;
  write_random_bert(folder.path(), 1, 512, 8, 2048, 1024, seed);
  compare(bench, o, seed, "layer", folder.path(), ratios);
  if (!ratios.empty())
    bench.add({.id = "R2.geomean.ctranslate2",
               .what = fmt::format("encoders against CTranslate2, geometric mean of {} cells", ratios.size()),
               .unit = "x",
               .ours = 1.0,
               .peer = Peer{"ctranslate2", geometric_mean(ratios)},
               .ratio = geometric_mean(ratios)});
}

}  // namespace ballast::ragged
