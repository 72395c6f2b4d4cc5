// The stop of the tour: a day's burst in the simulator, and SmolLM2 on this machine.
#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include "ballast/base/errors.h"
#include "ballast/base/random.h"
#include "ballast/serve/capacity.h"
#include "ballast/serve/http/api.h"
#include "ballast/serve/local_model.h"
#include "ballast/serve/verbs.h"

namespace ballast::serve {
namespace {

void attainment_against_load(Section& section, std::uint64_t seed) {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const std::vector<std::string> policies{"slos", "vllm", "sarathi:512"};
  for (const std::string scenario : {"chatbot", "coder"}) {
    CapacityQuery query;
    query.scenario = scenario;
    query.requests = 500;
    const std::string trace = scenario == "chatbot" ? "azure-conv" : "azure-code";
    std::vector<Series> series;
    for (const std::string& policy : policies) {
      query.policy = policy;
      Series line{policy == "slos" ? "Ballast (planned)" : policy, {}, {}};
      for (double rate = 0.4; rate <= 3.3; rate += 0.4) {
        line.xs.push_back(rate);
        line.ys.push_back(100 * run_at(query, perf, rate, seed).attainment(Metric::token));
      }
      series.push_back(std::move(line));
    }
    section.chart(
        {.kind = Chart::Kind::line,
         .title = fmt::format("{}: requests that kept every promise, OPT-13B on an A100 ({})", scenario,
                              find_trace(trace, seed).source.starts_with("generated")
                                  ? "generated after the Azure trace's facts"
                                  : "arrivals of the Azure trace 2023"),
         .x_label = "requests a second",
         .y_label = "kept, %",
         .labels = {},
         .series = series,
         .basis = Basis::modelled});
  }
}

// A short real run: three kinds of users at once, and what each was promised and got.
void real_run(Section& section, const cli::Common& common) {
  LocalModelOptions options;
  options.executor = {
      .slots = 4, .slot_tokens = 256, .batch = 128, .threads = 1};  // one: busy cores stall two
  options.force = true;
  options.quiet = true;
  const LocalModel local = open_local_model(options);
  PolicySettings policy;
  policy.slos = SloTable::from_profile(local.perf);
  EngineOptions engine_options;
  engine_options.executor = options.executor;
  Engine engine(*local.model, local.perf, make_policy("slos", policy), engine_options);
  const auto tiers = tiers_of(policy.slos);
  struct Wish {
    const char* tier;
    const char* text;
    int tokens;
  };
  const std::vector<Wish> wishes{
      {"coder", "def quicksort(items):", 40},
      {"chatbot", "Why is the sky blue?", 40},
      {"summarizer", "Summarise in one line: a ship stays upright because heavy stones lie low in its hull.",
       24},
      {"coder", "def is_prime(n):", 40},
      {"chatbot", "Name three rivers of Europe.", 32},
      {"summarizer", "Summarise in one line: uneven loads make ships list, so the crew moves the cargo.",
       24}};
  struct Board {
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t done = 0;
    std::vector<Event> last;
    std::vector<std::string> text;
  };
  auto board = std::make_shared<Board>();
  board->last.resize(wishes.size());
  board->text.resize(wishes.size());
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const Tier& tier = tiers.at(wishes[i].tier);
    Job job;
    job.prompt = local.model->tokenize(
        local.model->render_chat({{"user", wishes[i].text}}).value_or(wishes[i].text), true, true);
    job.max_tokens = wishes[i].tokens;
    job.ttft_slowdown = tier.ttft_slowdown;
    job.tpot_ms = tier.tpot_ms;
    job.sampling.seed = static_cast<std::uint32_t>(common.seed);
    engine.submit(std::move(job), [board, i](Event event) {
      const std::lock_guard lock(board->mutex);
      board->text[i] += event.text;
      if (event.kind != Event::Kind::done) return;
      board->last[i] = std::move(event);
      ++board->done;
      board->changed.notify_all();
    });
  }
  std::unique_lock lock(board->mutex);
  board->changed.wait_for(lock, std::chrono::seconds(30), [&] { return board->done == wishes.size(); });
  Table table(
      fmt::format("{} on this machine, all at once (measured)", local.name),
      {"user", "said", "promise: first token, then", "got: first token", "then", "kept", "answer begins"});
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const Event& event = board->last[i];
    const Tier& tier = tiers.at(wishes[i].tier);
    if (event.finish_reason.empty()) {
      table.row({wishes[i].tier, "-", "-", "-", "-", "-", "(had not ended after 30 s: the machine is busy)"});
      continue;
    }
    std::string begin = board->text[i].substr(0, 40);
    std::replace(begin.begin(), begin.end(), '\n', ' ');
    table.row({wishes[i].tier, event.admission == Admission::admitted ? "guaranteed" : "best effort",
               fmt::format("{:g}x idle, {:.0f} ms", tier.ttft_slowdown, tier.tpot_ms),
               fmt::format("{:.1f}x idle", event.slowdown), fmt::format("{:.0f} ms", event.tpot_ms),
               event.met ? "yes" : "no", valid_utf8(begin)});
  }
  section.table(table);
  section.text(local.note +
               ". Other work on the machine makes the profile and the promises wrong; `ballast serve "
               "profile` measures anew.");
}

}  // namespace

void add_tour(cli::Program& program) {
  program.tour(
      "promises kept as the load grows: planned admission against the engines of today",
      [](const cli::Common& common, Section& section) {
        section.uneven =
            "Requests come in bursts, with prompts and answers of very different lengths, and some readers "
            "are in a hurry.";
        section.today =
            "Engines fill the next batch in the order of arrival; under load everybody is late at once.";
        section.ballast =
            "At every arrival, plan which promises can be kept, keep those, and tell the others so at once.";
        attainment_against_load(section, common.seed);
        real_run(section, common);
        section.command("ballast serve sim --scenario chatbot --rate 2 --policies slos,vllm,sarathi:512");
        section.command("ballast serve start --port 8080");
      });
}

}  // namespace ballast::serve
