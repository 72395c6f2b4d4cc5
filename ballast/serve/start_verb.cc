#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/serve/http/http_server.h"
#include "ballast/serve/local_model.h"
#include "ballast/serve/signals.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

struct StartOptions {
  LocalModelOptions local;
  ServerOptions server;
  std::string policy = "slos", slo_scale = "profile", speculation = "off", port_file, draft = "ngram",
              kv_pool = "streams", preempt = "recompute";
  int max_pending = 256;
  bool online_fit = false, no_prefix_sharing = false;
};

void start(const StartOptions& options, const cli::Common&) {
  DrainSignals signals;
  cli::require_one_of("--kv-pool", options.kv_pool, {"streams", "unified"});
  cli::require_one_of("--preempt", options.preempt, {"recompute", "swap"});
  LocalModelOptions wanted = options.local;
  if (options.kv_pool == "unified") wanted.executor.pool = llama::KvPool::unified;
  const LocalModel local = open_local_model(wanted);
  PolicySettings policy;
  policy.slos = SloTable::named(options.slo_scale, local.perf);
  policy.speculation = SpecSettings::parse(options.speculation);
  policy.speculation.max_length =
      std::min(policy.speculation.max_length, options.local.executor.max_speculation);
  policy.plan_deadline_ms = 8;
  EngineOptions engine_options;
  engine_options.executor = local.executor;
  if (policy.speculation.on()) {
    if (options.draft == "ngram")
      engine_options.ngram = true;
    else
      engine_options.draft = std::make_shared<llama::Model>(options.draft);
  }
  engine_options.max_pending = options.max_pending;
  engine_options.share_prefixes = !options.no_prefix_sharing;
  engine_options.swap = options.preempt == "swap";
  engine_options.online_fit = options.online_fit;
  Engine engine(*local.model, local.perf, make_policy(options.policy, policy), engine_options);
  ApiSettings api;
  api.model_name = local.name;
  api.tiers = tiers_of(policy.slos);
  api.longest = engine.slot_tokens();
  Service service(*local.model, engine, api);
  HttpServer server(service, options.server);
  signals.watch([&server] { server.drain(); });
  fmt::print("{}: {}\n", local.name, local.note);
  fmt::print("serving on http{}://{}:{}  (policy {}, {} slots, requests of up to {} tokens; ready)\n",
             options.server.tls_certificate.empty() ? "" : "s", options.server.host, server.port(),
             options.policy, local.executor.slots, engine.slot_tokens());
  std::fflush(stdout);
  if (!options.port_file.empty()) write_file(options.port_file, std::to_string(server.port()) + "\n");
  server.run();
  signals.end();
  const EngineSnapshot last = engine.snapshot();
  fmt::print("drained: {} finished, {} kept every promise, {} cancelled, {} declined\n", last.finished,
             last.met, last.cancelled, last.declined);
}

}  // namespace

void add_start(cli::Program& program) {
  auto options = std::make_shared<StartOptions>();
  auto verb = program.verb(
      "start", "serve a GGUF model over HTTP, OpenAI-compatible",
      {"ballast serve start --port 8080", "ballast serve start --model m.gguf --speculation adaptive"});
  verb->add_option("--model", options->local.model,
                   "GGUF file, or a folder with one (default: the shipped SmolLM2-135M)");
  verb->add_option(
      "--weights", options->local.weights,
      "as-is; q4_0, q8_0, bf16, f32 (converted once); auto: the quickest of the file's precision");
  verb->add_option("--perf", options->local.perf,
                   "performance profile (default: the cached one, else measured now)");
  verb->add_option("--policy", options->policy,
                   "slos, or a baseline: vllm, vllm-v1, sarathi:512, slots:8, ...");
  verb->add_option("--slo-scale", options->slo_scale,
                   "tiers: 'profile' scales them to this machine, 'paper' takes 50/100 ms");
  verb->add_option("--speculation", options->speculation, "off, fixed:K, uniform, adaptive");
  verb->add_option("--draft", options->draft,
                   "who guesses: ngram (prompt lookup), or a GGUF file with the same vocabulary");
  verb->add_option("--slots", options->local.executor.slots, "requests that live in KV memory at once")
      ->check(CLI::Range(1, 256));
  verb->add_option("--slot-tokens", options->local.executor.slot_tokens, "longest request, prompt and output")
      ->check(CLI::Range(64, 1 << 20));
  verb->add_option("--batch", options->local.executor.batch, "most tokens of one step")
      ->check(CLI::Range(16, 8192));
  verb->add_option("--threads", options->local.executor.threads,
                   "threads of a step; 0: as many as are quickest")
      ->check(CLI::Range(0, 256));
  verb->add_option("--kv-pool", options->kv_pool,
                   "streams: a memory of its own for each slot; unified: one for all (uneven lengths)");
  verb->add_option("--preempt", options->preempt, "best-effort requests that give way: recompute or swap");
  verb->add_flag("--no-prefix-sharing", options->no_prefix_sharing,
                 "compute every prompt, also when another began with the same tokens");
  verb->add_flag("--online-fit", options->online_fit, "let the performance model follow the machine");
  verb->add_option("--max-pending", options->max_pending, "requests beyond the slots before 503")
      ->check(CLI::Range(0, 1 << 20));
  verb->add_option("--host", options->server.host, "address to listen on");
  verb->add_option("--port", options->server.port, "port; 0 takes any free one");
  verb->add_option("--port-file", options->port_file, "write the bound port to this file once ready");
  verb->add_option("--api-keys", options->server.api_keys_file,
                   "file with one accepted key a line, each with its limits: KEY tier=T rate=R concurrent=N");
  verb->add_option("--tls-cert", options->server.tls_certificate, "PEM certificate chain");
  verb->add_option("--tls-key", options->server.tls_key, "PEM private key");
  verb->add_option("--drain-seconds", options->server.limits.drain_seconds,
                   "after which a drain ends best-effort requests");
  verb->add_flag("--force", options->local.force, "accept a performance profile of a noisy machine");
  verb.run([options](const cli::Common& common) { start(*options, common); });
}

}  // namespace ballast::serve
