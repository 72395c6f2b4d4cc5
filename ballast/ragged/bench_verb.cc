// `ballast ragged bench`: suites by name, and which flags act where.
#include <fmt/format.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/loop/cuda.h"
#include "ballast/loop/kernel.h"
#include "ballast/ragged/verbs.h"

namespace ballast::ragged {
namespace {

struct Named {
  const char *name, *group;
  Suite run;
};
constexpr Named kSuites[] = {{"work", "work", &bench_work},
                             {"encoder", "encoder", &bench_encoder},
                             {"peers", "peers", &bench_peers},
                             {"mha", "attention", &bench_mha},
                             {"masked-mha", "attention", &bench_masked_mha},
                             {"core", "attention", &bench_core},
                             {"vgemm", "operators", &bench_vgemm},
                             {"trmm", "operators", &bench_trmm},
                             {"tri", "operators", &bench_tri},
                             {"opsplit", "compiler", &bench_opsplit},
                             {"padfuse", "compiler", &bench_padfuse},
                             {"overhead", "compiler", &bench_overhead},
                             {"fused", "compiler", &bench_fused},
                             {"ablation", "ablation", &bench_ablation},
                             {"prelude", "prelude", &bench_prelude},
                             {"memory", "memory", &bench_memory},
                             {"compile", "launch", &bench_compile},
                             {"balance", "launch", &bench_balance},
                             {"parts", "launch", &bench_parts},
                             {"products", "products", &bench_products}};

/// A flag that would change nothing in the chosen suites is a mistake, not a result.
void must_act(const std::string& flag, const std::vector<std::string>& where,
              const std::vector<std::string>& chosen) {
  for (const std::string& suite : chosen)
    if (std::find(where.begin(), where.end(), suite) != where.end()) return;
  throw InvalidInput(
      fmt::format("{} changes nothing in the chosen suites; it acts in {}", flag, fmt::join(where, ", ")));
}

void check_flags(const BenchOptions& o, const std::vector<std::string>& chosen) {
  const Techniques &t = o.techniques, all;
  if (!t.hoist) must_act("--no-hoist", {"vgemm", "opsplit", "padfuse"}, chosen);
  if (!t.hfuse) must_act("--no-hfuse", {"opsplit"}, chosen);
  if (!t.opsplit) must_act("--no-opsplit", {"trmm"}, chosen);
  if (!t.bulk) must_act("--no-bulk", {"ablation"}, chosen);
  if (!t.padfuse) must_act("--no-padfuse", {"padfuse"}, chosen);
  if (!t.fused_attention) must_act("--no-fused-attn", {"encoder", "mha"}, chosen);
  if (!t.balance) must_act("--no-balance", {"encoder", "mha", "masked-mha", "vgemm", "trmm"}, chosen);
  if (t.dense_storage) must_act("--dense-storage", {"ablation"}, chosen);
  if (!t.fuse_maps.empty()) must_act("--fusemap", {"ablation"}, chosen);
  if (!t.offsets.empty()) must_act("--offsets", {"tri"}, chosen);
  if (t.inner != all.inner) must_act("--inner", {"encoder", "mha", "masked-mha"}, chosen);
  if (!o.baselines.empty()) must_act("--baseline", {"encoder", "mha", "masked-mha"}, chosen);
  if (o.batches != 1) must_act("--batches", {"encoder", "mha", "masked-mha"}, chosen);
  if (o.pad_to != "max") must_act("--pad-to", {"encoder", "mha", "masked-mha"}, chosen);
}

void check_words(const BenchOptions& o) {
  cli::require_one_of("--inner", o.techniques.inner, {"jit", "onednn", "openblas"});
  cli::require_one_of("--pad-to", o.pad_to, {"max", "cap"});
  if (!o.techniques.fuse_maps.empty())
    cli::require_one_of("--fusemap", o.techniques.fuse_maps, {"table", "search", "walk"});
  if (!o.techniques.offsets.empty())
    cli::require_one_of("--offsets", o.techniques.offsets, {"table", "closed"});
  for (const std::string& b : o.baselines)
    cli::require_one_of("--baseline", b,
                        {"padded-jit", "padded-onednn", "padded-openblas", "packed", "microbatch", "perseq",
                         "bucketed-32", "bucketed-64", "padded-torch", "all"});
  if (o.batches < 1) throw InvalidInput("--batches", std::to_string(o.batches), "at least 1");
  for (const std::int64_t b : o.batch)
    if (b < 1) throw InvalidInput("--batch", std::to_string(b), "at least 1");
}

}  // namespace

void add_bench(cli::Program& program) {
  const auto o = std::make_shared<BenchOptions>();
  const auto target = std::make_shared<std::string>("cpu");
  auto verb = program.verb(
      "bench", "ragged against padded, packed, micro-batched, libraries and libtorch on the same lengths",
      {"ballast ragged bench --quick",
       "ballast ragged bench --suite encoder --data mnli,lengths.txt --batch 32,64 --json out.json"});
  std::string help;
  for (const Named& s : kSuites) help += std::string(help.empty() ? "" : ", ") + s.name;
  verb->add_option("--suite", o->suites, help + "; or several by attention, operators, compiler, launch, all")
      ->delimiter(',');
  verb->add_option("--data", o->data, "length sets or files (default: all eight sets); vgemm: files of M N K")
      ->delimiter(',');
  verb->add_option("--batch", o->batch, "batch sizes")->delimiter(',');
  verb->add_option("--batches", o->batches, "batches a cell");
  verb->add_option("--baseline", o->baselines,
                   "padded-jit, padded-onednn, padded-openblas, packed, microbatch, perseq, bucketed-32, "
                   "bucketed-64, padded-torch, or all")
      ->delimiter(',');
  verb->add_option("--pad-to", o->pad_to,
                   "what the padded competitors pad to: max (of the batch) or cap (of the set)");
  verb->add_option("--target", *target, "cpu or cuda");
  verb->add_option("--threads", o->threads, "workers (0: all cores)");
  verb->add_option("--rounds", o->rounds, "timed rounds");
  verb->add_flag("--quick", o->quick, "fewer sets and rounds: within three minutes on two cores");
  verb->add_flag("--full", o->full, "the largest sizes too");
  Techniques& t = o->techniques;
  const auto off = [&](const char* flag, bool& technique, const char* what) {
    verb->add_flag_callback(
        flag, [&technique] { technique = false; }, what);
  };
  off("--no-hoist", t.hoist, "ours without load hoisting");
  off("--no-hfuse", t.hfuse, "ours without horizontal fusion");
  off("--no-opsplit", t.opsplit, "ours without operation splitting");
  off("--no-bulk", t.bulk, "only the ablation of bulk padding");
  off("--no-padfuse", t.padfuse, "ours with changes of padding in kernels of their own");
  off("--no-fused-attn", t.fused_attention, "ours with attention as one kernel an operator");
  off("--no-balance", t.balance, "ours with equal numbers of tasks");
  verb->add_option("--fusemap", t.fuse_maps, "only the ablation of these maps: table, search or walk");
  verb->add_option("--offsets", t.offsets, "of triangles: table or closed");
  verb->add_option("--inner", t.inner, "ours with products by jit, onednn or openblas");
  verb->add_flag("--dense-storage", t.dense_storage, "only the ablation of ragged storage");
  verb.run([o, target](const cli::Common& common) {
    cli::require_one_of("--target", *target, {"cpu", "cuda"});
    if (*target == "cuda")
      throw Unavailable(
          "no CUDA device is driven by this build: CUDA text is generated and compiled (ballast ragged "
          "compile "
          "--emit ptx), not run");
    check_words(*o);
    std::vector<std::string> names{"all"}, chosen;
    for (const Named& s : kSuites)
      for (const char* word : {s.name, s.group})
        if (std::find(names.begin(), names.end(), word) == names.end()) names.emplace_back(word);
    for (const std::string& wish : o->suites) cli::require_one_of("--suite", wish, names);
    std::vector<Suite> runs;
    for (const Named& s : kSuites)
      for (const std::string& wish : o->suites) {
        if (wish != s.name && wish != s.group && wish != "all") continue;
        chosen.emplace_back(s.name);
        runs.push_back(s.run);
        break;
      }
    check_flags(*o, chosen);
    if (std::find(o->baselines.begin(), o->baselines.end(), "all") != o->baselines.end())
      o->baselines.clear();
    o->tuned = read_tuned(loop::KernelRegistry("").host());
    Bench bench("ragged", fmt::format("{}", fmt::join(o->suites, ",")), common);
    for (const Suite run : runs) run(bench, *o, common.seed);
    bench.finish();
  });
}

}  // namespace ballast::ragged
