#include <fmt/format.h>

#include <csignal>
#include <cstdlib>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/serve/http/http_server.h"
#include "ballast/serve/local_model.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

struct StartOptions {
  LocalModelOptions local;
  ServerOptions server;
  std::string policy = "slos", slo_scale = "profile", speculation = "off", port_file;
  int max_pending = 256;
};

// SIGTERM and SIGINT drain; a second one ends the process at once. The mask is inherited by all threads made
// later.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }
  void serve(HttpServer& server) {
    waiter_ = std::thread([this, &server] {
      for (int caught = 0; caught < 2;) {
        const timespec pause{0, 100'000'000};
        const int signal = sigtimedwait(&set_, nullptr, &pause);
        if (over_) return;
        if (signal < 0) continue;
        if (++caught == 1)
          server.drain();
        else
          std::_Exit(static_cast<int>(ExitCode::interrupted));
      }
    });
  }
  void end() {
    over_ = true;
    if (waiter_.joinable()) waiter_.join();
  }
  ~Signals() { end(); }

 private:
  sigset_t set_;
  std::thread waiter_;
  std::atomic<bool> over_ = false;
};

void start(const StartOptions& options, const cli::Common&) {
  Signals signals;
  const LocalModel local = open_local_model(options.local);
  PolicySettings policy;
  policy.slos = SloTable::named(options.slo_scale, local.perf);
  policy.speculation = SpecSettings::parse(options.speculation);
  policy.speculation.max_length =
      std::min(policy.speculation.max_length, options.local.executor.max_speculation);
  policy.plan_deadline_ms = 8;
  EngineOptions engine_options;
  engine_options.executor = options.local.executor;
  engine_options.ngram = policy.speculation.on();
  engine_options.max_pending = options.max_pending;
  Engine engine(*local.model, local.perf, make_policy(options.policy, policy), engine_options);
  ApiSettings api;
  api.model_name = local.name;
  api.tiers = tiers_of(policy.slos);
  api.longest = engine.slot_tokens();
  Service service(*local.model, engine, api);
  HttpServer server(service, options.server);
  signals.serve(server);
  fmt::print("{}: {}\n", local.name, local.note);
  fmt::print("serving on http{}://{}:{}  (policy {}, {} slots of {} tokens; ready)\n",
             options.server.tls_certificate.empty() ? "" : "s", options.server.host, server.port(),
             options.policy, options.local.executor.slots, engine.slot_tokens());
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
  verb->add_option("--model", options->local.model, "GGUF file (default: the shipped SmolLM2-135M)");
  verb->add_option("--weights", options->local.weights, "as-is, or convert once to: q4_0, q8_0, bf16, f32");
  verb->add_option("--perf", options->local.perf,
                   "performance profile (default: the cached one, else measured now)");
  verb->add_option("--policy", options->policy,
                   "slos, or a baseline: vllm, vllm-v1, sarathi:512, slots:8, ...");
  verb->add_option("--slo-scale", options->slo_scale,
                   "tiers: 'profile' scales them to this machine, 'paper' takes 50/100 ms");
  verb->add_option("--speculation", options->speculation,
                   "off, fixed:K, uniform, adaptive (drafts by prompt lookup)");
  verb->add_option("--slots", options->local.executor.slots, "requests that live in KV memory at once")
      ->check(CLI::Range(1, 256));
  verb->add_option("--slot-tokens", options->local.executor.slot_tokens, "longest request, prompt and output")
      ->check(CLI::Range(64, 1 << 20));
  verb->add_option("--batch", options->local.executor.batch, "most tokens of one step")
      ->check(CLI::Range(16, 8192));
  verb->add_option("--threads", options->local.executor.threads, "threads of a step")
      ->check(CLI::Range(1, 256));
  verb->add_option("--max-pending", options->max_pending, "requests beyond the slots before 503")
      ->check(CLI::Range(0, 1 << 20));
  verb->add_option("--host", options->server.host, "address to listen on");
  verb->add_option("--port", options->server.port, "port; 0 takes any free one");
  verb->add_option("--port-file", options->port_file, "write the bound port to this file once ready");
  verb->add_option("--api-keys", options->server.api_keys_file, "file with one accepted key a line");
  verb->add_option("--tls-cert", options->server.tls_certificate, "PEM certificate chain");
  verb->add_option("--tls-key", options->server.tls_key, "PEM private key");
  verb->add_option("--drain-seconds", options->server.limits.drain_seconds,
                   "after which a drain ends best-effort requests");
  verb->add_flag("--force", options->local.force, "accept a performance profile of a noisy machine");
  verb.run([options](const cli::Common& common) { start(*options, common); });
}

}  // namespace ballast::serve
