#include "ballast/serve/profiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"

namespace ballast::serve {
namespace {

// One point of the grid: `decodes` sequences that hold `context` tokens each, and a chunk on another
// sequence.
struct Plan {
  int decodes = 0, context = 0;
  int chunk = 0, done = 0;
};

std::vector<Plan> grid(int slots, int slot_tokens, int batch, int longest, bool quick) {
  std::vector<Plan> plans;
  const int room = std::max(1, std::min(longest, slot_tokens - batch / 8 - 2));
  const std::vector<int> contexts = quick ? std::vector{32, room} : std::vector{32, 128, 512, 2048, room};
  for (int n = 1; n <= std::min(batch, slot_tokens - 1); n *= 2) plans.push_back({0, 0, n, 0});
  for (int n = 1; n <= slots; n *= quick ? 4 : 2) {
    for (const int context : contexts) {
      if (context <= room) plans.push_back({n, context, 0, 0});
    }
  }
  for (const int chunk : quick ? std::vector{16, 64} : std::vector{8, 16, 64, 128, 256}) {
    for (const int done : {64, 256, 1024}) {
      if (chunk <= batch && done <= longest && done + chunk < slot_tokens)
        plans.push_back({0, 0, chunk, done});
    }
  }
  for (const int decodes : quick ? std::vector{slots / 2} : std::vector{1, slots / 4, slots / 2, slots - 1}) {
    for (const int chunk : quick ? std::vector{16, 64} : std::vector{4, 16, 64, 192}) {
      for (const int context : {32, room}) {
        if (decodes >= 1 && decodes + chunk <= batch && chunk + 1 < slot_tokens)
          plans.push_back({decodes, context, chunk, 0});
      }
    }
  }
  return plans;
}

}  // namespace

Profile measure_profile(LlamaExecutor& executor, int threads, const ProfileOptions& options) {
  llama::Context& context = executor.context();
  context.clear();
  const int slots = executor.slots();
  const auto plans =
      grid(slots, executor.slot_tokens(), executor.batch(), options.longest_context, options.quick);
  llama::Batch batch(executor.batch());
  const int vocabulary = executor.model().vocabulary();
  auto token = [&](int i) { return static_cast<llama::Token>(1000 + (i * 7919) % (vocabulary - 1000)); };
  // Fills a sequence once with the longest context; the others are copies, and shorter ones are cut from it.
  int longest = 0;
  for (const Plan& plan : plans) longest = std::max({longest, plan.context, plan.done});
  for (int at = 0; at < longest;) {
    batch.clear();
    for (; at < longest && batch.size() < executor.batch(); ++at) batch.add(token(at), at, 0, false);
    if (context.decode(batch) != llama::DecodeStatus::ok)
      throw Unavailable("the profile's context could not be filled");
  }
  const auto filled = context.save(0);
  auto set_length = [&](int sequence, int length) {
    if (context.last_position(sequence) + 1 < length && !context.restore(sequence, filled))
      throw Unavailable("the profile's context could not be restored");
    context.drop(sequence, length);
  };
  context.clear();

  Profile profile;
  std::vector<double> spreads;
  const auto wall_start = std::chrono::steady_clock::now();
  const std::clock_t cpu_start = std::clock();
  for (std::size_t p = 0; p < plans.size(); ++p) {
    cli::stop_if_interrupted();
    const Plan& plan = plans[p];
    std::vector<double> times;
    MeasuredStep point;
    for (int d = 0; d < plan.decodes; ++d) point.load.add_decode(1, plan.context);
    if (plan.chunk > 0) point.load.add_chunk(plan.chunk, plan.done);
    point.region = plan.chunk == 0 ? "decode" : plan.decodes == 0 ? "prefill" : "mixed";
    for (int repeat = -options.warmups; repeat < options.repeats; ++repeat) {
      batch.clear();
      for (int d = 0; d < plan.decodes; ++d) {
        set_length(d, plan.context);
        batch.add(token(plan.context), plan.context, d, true);
      }
      if (plan.chunk > 0) {
        set_length(plan.decodes, plan.done);
        for (int i = 0; i < plan.chunk; ++i)
          batch.add(token(plan.done + i), plan.done + i, plan.decodes, i + 1 == plan.chunk);
      }
      const auto start = std::chrono::steady_clock::now();
      if (context.decode(batch) != llama::DecodeStatus::ok) throw Unavailable("a step of the profile failed");
      // A served step also looks for the maximum of every output.
      if (plan.decodes > 0 || plan.chunk > 0) context.greedy(batch.size() - 1);
      const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - start;
      if (repeat >= 0) times.push_back(spent.count());
    }
    point.ms = median(times);
    spreads.push_back((quantile(times, 0.75) - quantile(times, 0.25)) / point.ms);
    profile.points.push_back(std::move(point));
    for (int s = 0; s < slots; ++s) {
      if (context.last_position(s) >= 0 && s > plan.decodes) context.drop(s, 0);
    }
    if (options.progress) options.progress(p + 1, plans.size());
  }
  context.clear();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - wall_start;
  profile.spread = median(spreads);
  profile.cpu_share =
      static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC / (wall.count() * threads);
  if (profile.spread > options.most_spread && !options.force)
    throw Unavailable(
        fmt::format("step times vary by {:.0f} % (median over points of the interquartile range): other work "
                    "runs on this machine; profile again when it is quiet, or --force",
                    100 * profile.spread));
  return profile;
}

}  // namespace ballast::serve
