// LDBC's community detection by label propagation. A contribution is a histogram of labels; histograms merge
// where destination trees meet, so a hub's owner gets one a machine and not one an edge.
#include <algorithm>

#include "ballast/graph/algorithms/algorithms.h"

namespace ballast::graph {
namespace {

struct LabelCount {
  std::uint64_t label;
  std::uint32_t count;
};

// The labels of one list of edges, as (label, count) in rising order of labels.
void count_labels(std::vector<std::uint64_t>& heard, std::vector<LabelCount>& counts) {
  std::sort(heard.begin(), heard.end());
  counts.clear();
  for (std::uint64_t label : heard) {
    if (counts.empty() || counts.back().label != label) counts.push_back({label, 0});
    ++counts.back().count;
  }
}

}  // namespace

Communities label_propagation(const DistGraph& g, int iterations, std::vector<std::uint64_t> names,
                              const ProgressOptions& progress) {
  cluster::Machine& me = g.machine();
  me.begin_stage("cdlp");
  Communities result;
  result.labels = std::move(names);
  std::vector<std::uint64_t> here(g.locals());  // labels of owned vertices and source mirrors
  std::vector<std::vector<LabelCount>> histogram(g.locals());
  const Routes &down = g.source_routes(), &up = g.target_routes();
  std::vector<std::uint64_t> heard;
  const Progress saved(g, "cdlp", progress);
  result.rounds = saved.begin(result.labels);
  while (result.rounds < static_cast<std::uint64_t>(std::max(0, iterations))) {
    ++result.rounds;
    std::copy(result.labels.begin(), result.labels.end(), here.begin());
    for (const Hop& hop : down.hops) {
      cluster::Outbox out = me.outbox();
      for (int m = 0; m < me.machines(); ++m) {
        for (LocalId v : hop.down[static_cast<std::size_t>(m)]) out.to(m).put_varint(here[v]);
      }
      const cluster::Inbox in = me.exchange(std::move(out));
      for (int m = 0; m < me.machines(); ++m) {
        cluster::Reader reader = in.from(m);
        for (LocalId v : hop.up[static_cast<std::size_t>(m)]) here[v] = reader.get_varint();
      }
    }
    for (LocalId v = 0; v < g.locals(); ++v) {
      heard.clear();
      g.in().for_each(v, [&](LocalId u, std::uint64_t) { heard.push_back(here[u]); });
      count_labels(heard, histogram[v]);
    }
    for (std::size_t h = up.hops.size(); h-- > 0;) {
      const Hop& hop = up.hops[h];
      cluster::Outbox out = me.outbox();
      for (int m = 0; m < me.machines(); ++m) {
        auto& buffer = out.to(m);
        for (LocalId v : hop.up[static_cast<std::size_t>(m)]) {
          buffer.put_varint(histogram[v].size());
          std::uint64_t before = 0;
          for (const LabelCount& entry : histogram[v]) {
            buffer.put_varint(entry.label - before);
            buffer.put_varint(entry.count);
            before = entry.label;
          }
        }
      }
      const cluster::Inbox in = me.exchange(std::move(out));
      std::vector<LabelCount> theirs, merged;
      for (int m = 0; m < me.machines(); ++m) {
        cluster::Reader reader = in.from(m);
        for (LocalId v : hop.down[static_cast<std::size_t>(m)]) {
          theirs.resize(reader.get_varint());
          std::uint64_t label = 0;
          for (LabelCount& entry : theirs) {
            label += reader.get_varint();
            entry = {label, static_cast<std::uint32_t>(reader.get_varint())};
          }
          merged.clear();
          auto a = histogram[v].begin();
          for (const LabelCount& entry : theirs) {
            while (a != histogram[v].end() && a->label < entry.label) merged.push_back(*a++);
            const bool both = a != histogram[v].end() && a->label == entry.label;
            merged.push_back({entry.label, entry.count + (both ? (a++)->count : 0)});
          }
          merged.insert(merged.end(), a, histogram[v].end());
          histogram[v] = merged;
        }
      }
    }
    for (LocalId v = 0; v < g.owned(); ++v) {
      std::uint32_t most = 0;
      for (const LabelCount& entry : histogram[v]) {
        if (entry.count > most) {
          most = entry.count;
          result.labels[v] = entry.label;
        }
      }
    }
    saved.reached(result.rounds, result.labels);
  }
  return result;
}

}  // namespace ballast::graph
