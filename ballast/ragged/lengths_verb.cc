// `ballast ragged lengths` and `ballast ragged flops`.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ballast/base/errors.h"
#include "ballast/base/statistics.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/verbs.h"
#include "ballast/ragged/work.h"

namespace ballast::ragged {
namespace {

Json stats_of(std::span<const std::int32_t> lengths) {
  const std::vector<double> values(lengths.begin(), lengths.end());
  Json json;
  json["sequences"] = lengths.size();
  json["sum"] = std::accumulate(values.begin(), values.end(), 0.0);
  json["min"] = quantile(values, 0);
  json["mean"] = mean(values);
  json["max"] = quantile(values, 1);
  for (int p = 5; p < 100; p += 5) json["quantiles"][fmt::format("p{:02}", p)] = quantile(values, p / 100.0);
  return json;
}

}  // namespace

void add_lengths(cli::Program& program) {
  struct Options {
    std::string action, input = "mnli", output;
    std::string data = "mnli";
    std::int64_t count = 1280;
  };
  const auto o = std::make_shared<Options>();
  auto verb =
      program.verb("lengths", "draw lengths of a data set (gen), or describe a file of lengths (stats)",
                   {"ballast ragged lengths gen --data race -n 1280 -o race.txt",
                    "ballast ragged lengths stats race.txt"});
  verb->add_option("action", o->action, "gen or stats")->required();
  verb->add_option("input", o->input, "a file with one length a line, or the name of a set");
  verb->add_option("--data", o->data,
                   "race, wiki512, squad, wiki128, mnli, xnli, mrpc, cola, zipf, bimodal, one-long, ...");
  verb->add_option("-n", o->count, "how many lengths");
  verb->add_option("-o", o->output, "file to write");
  verb.run([o](const cli::Common& common) {
    cli::require_one_of("action", o->action, {"gen", "stats"});
    if (o->action == "gen") {
      const auto lengths = draw_lengths(o->data, o->count, common.seed);
      if (o->output.empty()) {
        for (const std::int32_t l : lengths) std::printf("%d\n", l);
      } else {
        write_lengths(o->output, lengths,
                      fmt::format("{} lengths drawn from {}, seed {}", o->count, o->data, common.seed));
      }
      return;
    }
    const auto lengths = lengths_from(o->input, o->count, common.seed);
    if (lengths.empty()) throw InvalidInput(o->input, "no length", "at least one");
    const Json json = stats_of(lengths);
    common.write_json(json);
    if (!common.for_people()) return;
    Table table(fmt::format("Lengths of {} (counted)", o->input),
                {"sequences", "sum", "min", "mean", "p25", "median", "p75", "p95", "max"});
    const std::vector<double> v(lengths.begin(), lengths.end());
    table.row({std::to_string(v.size()), fmt::format("{:.0f}", json["sum"].get<double>()),
               fmt::format("{:.0f}", quantile(v, 0)), fmt::format("{:.1f}", mean(v)),
               fmt::format("{:.0f}", quantile(v, .25)), fmt::format("{:.0f}", quantile(v, .5)),
               fmt::format("{:.0f}", quantile(v, .75)), fmt::format("{:.0f}", quantile(v, .95)),
               fmt::format("{:.0f}", quantile(v, 1))});
    table.print(stdout);
  });
}

void add_flops(cli::Program& program) {
  struct Options {
    std::string input;
    std::vector<std::int64_t> batch{32, 64, 128};
    LayerSizes sizes;
  };
  const auto o = std::make_shared<Options>();
  auto verb = program.verb(
      "flops", "work that padding wastes on these lengths: padded, packed, micro-batched, partial, exact",
      {"ballast ragged flops mnli", "ballast ragged flops lengths.txt --batch 32,64 --model 768 --ff 3072"});
  verb->add_option("input", o->input, "a file with one length a line, or the name of a set")->required();
  verb->add_option("--batch", o->batch, "batch sizes")->delimiter(',');
  verb->add_option("--model", o->sizes.model, "model size of the encoder layer");
  verb->add_option("--heads", o->sizes.heads, "attention heads");
  verb->add_option("--ff", o->sizes.feed_forward, "feed-forward size");
  verb.run([o](const cli::Common& common) {
    const auto lengths = lengths_from(o->input, 12800, common.seed);
    if (lengths.empty()) throw InvalidInput(o->input, "no length", "at least one");
    Table table(fmt::format("Multiply-adds of one encoder layer relative to exact, {} (modelled)", o->input),
                {"batch", "exact, M", "padded", "packed", "micro-batch 8", "micro-batch 2", "partial padding",
                 "activations padded/exact"});
    Json rows = Json::array();
    for (const std::int64_t size : o->batch) {
      LayerWork sum;
      double micro8 = 0, micro2 = 0, dense = 0, ragged = 0;
      std::int64_t count = 0;
      for (const auto& batch : batches(lengths, size)) {
        const LayerWork w = layer_work(batch, o->sizes);
        sum.exact += w.exact;
        sum.padded += w.padded;
        sum.packed += w.packed;
        sum.partial += w.partial;
        micro8 += microbatch_work(batch, 8, o->sizes);
        micro2 += microbatch_work(batch, 2, o->sizes);
        dense += activation_floats(batch, o->sizes, true);
        ragged += activation_floats(batch, o->sizes, false);
        ++count;
      }
      const double e = std::max(sum.exact, 1.0);
      const auto ratio = [&](double x) { return fmt::format("{:.3f}", x / e); };
      table.row({std::to_string(size), fmt::format("{:.0f}", sum.exact / static_cast<double>(count) / 1e6),
                 ratio(sum.padded), ratio(sum.packed), ratio(micro8), ratio(micro2), ratio(sum.partial),
                 fmt::format("{:.3f}", dense / std::max(ragged, 1.0))});
      rows.push_back({{"batch", size},
                      {"batches", count},
                      {"exact_macs", sum.exact},
                      {"padded_macs", sum.padded},
                      {"packed_macs", sum.packed},
                      {"partial_macs", sum.partial},
                      {"microbatch8_macs", micro8},
                      {"microbatch2_macs", micro2},
                      {"padded_activation_floats", dense},
                      {"ragged_activation_floats", ragged},
                      {"basis", "modelled"}});
    }
    common.write_json({{"input", o->input}, {"rows", rows}});
    if (common.for_people()) table.print(stdout);
  });
}

}  // namespace ballast::ragged
