// Which of these requests can be promised their latencies, on an A100 that already decodes for 42 users? Then
// the same policies as in the server, on virtual time.
#include <fmt/format.h>

#include "ballast/serve/planner.h"
#include "ballast/serve/simulator.h"
#include "ballast/serve/workload.h"

using namespace ballast::serve;

int main() {
  const auto perf = PerfModel::load("a100-opt13b-tp1");
  const SpecSolver solver(perf, {}, 50);
  PlanInput input;
  input.solver = &solver;
  input.decode_tiers = {{50, 12}, {100, 30}};  // tpot in ms, requests that decode at it
  input.decode_context = 20000;
  input.blocks_total = 4134;
  for (const int prompt : {400, 1800, 900, 2500}) {
    PlanItem item;
    item.id = input.items.size() + 1;
    item.work = perf.effective_tokens(0, prompt);
    item.idle_ms = perf.idle_prefill_ms(prompt);
    item.deadline_ms = 3 * item.idle_ms;  // a first token within three times the idle time
    item.context = prompt;
    item.blocks = prompt / 16 + 8;
    input.items.push_back(item);
  }
  const PlanResult plan = make_plan(input);
  for (std::size_t i = 0; i < input.items.size(); ++i)
    fmt::print("request {} due in {:.0f} ms: {}\n", input.items[i].id, input.items[i].deadline_ms,
               to_string(plan.refusals[i]));

  const auto requests = make_requests("chatbot", poisson_arrivals(1.8, 400, 7), SloTable::paper(), 7);
  for (const std::string policy : {"slos", "vllm", "sarathi:512"}) {
    const RunResult run = simulate(requests, perf, [&] { return make_policy(policy, {}); });
    fmt::print("{:12} kept {:.1f} % of all promises (modelled)\n", policy,
               100 * run.attainment(Metric::token));
  }
}
