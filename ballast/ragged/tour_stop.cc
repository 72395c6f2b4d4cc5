// The stop in the tour: real sentences through a real encoder, padded and ragged.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "ballast/ragged/bert.h"
#include "ballast/ragged/contest.h"
#include "ballast/ragged/lengths.h"
#include "ballast/ragged/verbs.h"
#include "ballast/ragged/work.h"

namespace ballast::ragged {

void add_tour(cli::Program& program) {
  program.tour(
      "real sentences of different lengths through MiniLM: padded against ragged, in work and in time",
      [](const cli::Common& common, Section& section) {
        section.uneven =
            "Sentences of one batch have different lengths: the longest of 64 is several times the shortest.";
        section.today = "Pad all of them to the longest; half of the work is done on nothing.";
        section.ballast = "Compile the operators once for any lengths; loops end where the sentence ends.";

        // Package descriptions as sentences; MiniLM's own weights where they are installed.
        const auto folder = find_minilm();
        std::vector<std::int32_t> lengths;
        EncoderConfig config;
        std::vector<LayerWeights> weights;
        std::string source = "lengths drawn from MNLI, random weights";
        const auto texts = debian_sentences(64, true);
        if (folder && texts.size() == 64) {
          loop::KernelRegistry registry;
          const BertModel model(registry, *folder);
          for (const auto& t : model.tokenise(texts)) lengths.push_back(static_cast<std::int32_t>(t.size()));
          config = model.config();
          weights = model.weights().layers;
          config.layers = 2;  // of six: the tour is short
          weights.resize(2);
          source = "descriptions of 64 Debian packages, two layers of MiniLM-L6 with its real weights";
        } else {
          lengths = draw_lengths("mnli", 64, common.seed);
          weights = random_weights(config, common.seed);
        }
        const LayerSizes sizes{config.model, config.heads, config.feed_forward};
        const LayerWork work = layer_work(lengths, sizes);
        Engines engines(config, weights, 0);
        Contest contest(engines, lengths, Part::layer, common.seed);
        const double difference = contest.worst_difference();
        const Comparison timing =
            interleave(contest.contestants(), {.rounds = 5, .max_seconds = 15, .seed = common.seed});

        const auto [low, high] = std::minmax_element(lengths.begin(), lengths.end());
        section.text(fmt::format(
            "Input: {}; {} to {} tokens. All answers agree to {:.0e} (relative, checked before timing).",
            source, *low, *high, difference));
        Table table("One batch of 64 sequences",
                    {"plan", "work, relative (modelled)", "time, relative (measured)"});
        std::vector<std::pair<std::string, double>> order;
        for (const auto& [name, values] : timing.figures) order.emplace_back(name, timing.median(name));
        std::sort(order.begin(), order.end(),
                  [](const auto& a, const auto& b) { return a.second > b.second; });
        Chart chart{.kind = Chart::Kind::bar,
                    .title = "Time of one batch relative to ragged",
                    .x_label = "plan",
                    .y_label = "times ragged",
                    .basis = Basis::measured};
        Series bars{"time", {}, {}};
        for (const auto& [name, seconds] : order) {
          const double macs = name == "ragged" || name == "perseq" ? work.exact
                              : name == "packed"                   ? work.packed
                              : name == "microbatch" ? microbatch_work(lengths, contest.best_unit(), sizes)
                                                     : work.padded;
          const double ratio = name == "ragged" ? 1.0 : timing.ratio(name, "ragged").median;
          table.row({name == "microbatch" ? fmt::format("microbatch of {}", contest.best_unit()) : name,
                     fmt::format("{:.2f}", macs / work.exact), fmt::format("{:.2f}", ratio)});
          chart.labels.push_back(name);
          bars.ys.push_back(ratio);
        }
        chart.series.push_back(bars);
        section.table(table);
        section.chart(chart);

        std::vector<std::int32_t> sorted = lengths;
        std::sort(sorted.begin(), sorted.end(), std::greater<>());
        Chart shape{.kind = Chart::Kind::line,
                    .title = "The batch: what is there, and what padding adds",
                    .x_label = "sequence, longest first",
                    .y_label = "tokens",
                    .basis = Basis::counted};
        Series real{"tokens", {}, {}}, padding{"padded to", {}, {}};
        for (std::size_t i = 0; i < sorted.size(); ++i) {
          real.xs.push_back(static_cast<double>(i));
          real.ys.push_back(sorted[i]);
          padding.xs.push_back(static_cast<double>(i));
          padding.ys.push_back(sorted[0]);
        }
        shape.series = {real, padding};
        section.chart(shape);
        section.command("ballast ragged bench --quick");
      });
}

}  // namespace ballast::ragged
