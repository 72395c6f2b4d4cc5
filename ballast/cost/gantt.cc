#include "ballast/cost/gantt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "ballast/base/markup.h"
#include "ballast/base/units.h"

namespace ballast::cost {
namespace {

// Okabe and Ito's colours; white or black writing on each.
struct Colour {
  const char* fill;
  const char* ink;
};
constexpr Colour kColours[] = {{"#0072b2", "#fff"}, {"#e69f00", "#000"}, {"#009e73", "#fff"},
                               {"#cc79a7", "#000"}, {"#56b4e9", "#000"}, {"#d55e00", "#fff"},
                               {"#f0e442", "#000"}, {"#7a8288", "#fff"}};

struct Bar {
  TaskId task;
  double start_s, end_s;
  std::size_t lane;
};

// The bars of one resource, each in the first lane that is free at its start.
std::vector<Bar> bars_of(const Workload& w, const Schedule& s, ResourceId resource) {
  std::vector<Bar> bars;
  for (TaskId t = 0; t < w.tasks.size(); ++t) {
    const Task& task = w.tasks[t];
    const bool holds = std::any_of(task.needs.begin(), task.needs.end(),
                                   [&](const Need& n) { return n.resource == resource; });
    const bool works = task.work && task.work->resource == resource;
    if (holds) bars.push_back({t, s.start_s[t], s.end_s[t], 0});
    if (works) bars.push_back({t, std::min(s.end_s[t], s.start_s[t] + task.duration_s), s.end_s[t], 0});
  }
  std::sort(bars.begin(), bars.end(), [](const Bar& a, const Bar& b) {
    return std::tie(a.start_s, a.task) < std::tie(b.start_s, b.task);
  });
  std::set<std::size_t> free;
  std::multimap<double, std::size_t> busy;  // end of the lane's bar -> lane
  std::size_t lanes = 0;
  for (Bar& bar : bars) {
    while (!busy.empty() && busy.begin()->first <= bar.start_s) {
      free.insert(busy.begin()->second);
      busy.erase(busy.begin());
    }
    if (free.empty()) free.insert(lanes++);
    bar.lane = *free.begin();
    free.erase(free.begin());
    busy.emplace(bar.end_s, bar.lane);
  }
  return bars;
}

std::size_t lanes_of(const std::vector<Bar>& bars) {
  std::size_t lanes = 1;
  for (const Bar& bar : bars) lanes = std::max(lanes, bar.lane + 1);
  return lanes;
}

// A step of 1, 2 or 5 times a power of ten that gives about six of them.
double tick_step(double span) {
  const double rough = span / 6, power = std::pow(10, std::floor(std::log10(rough)));
  for (const double lead : {1.0, 2.0, 5.0})
    if (rough <= lead * power) return lead * power;
  return 10 * power;
}

class Picture {
 public:
  Picture(const Workload& w, const Schedule& s, const GanttOptions& options)
      : w_(w), s_(s), options_(options) {
    for (const Resource& resource : w.resources)
      left_ = std::max(left_, 7.2 * static_cast<double>(resource.name.size()) + 16);
    left_ = std::min(left_, options.width / 3);
    scale_ = (options.width - left_ - 12) / std::max(s.makespan_s, 1e-300);
    for (const Task& task : w.tasks) colour_of(task.group);
    for (const TaskId t : s.critical_chain()) critical_.insert(t);
  }

  std::string draw() {
    double top = 24;
    std::string rows;
    for (ResourceId r = 0; r < w_.resources.size(); ++r) top = row(r, top, rows);
    const double bottom = top;
    std::string legend;
    if (groups_.size() > 1) top = draw_legend(top + 8, legend);
    std::string out = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0f} {:.0f}\" width=\"{:.0f}\" "
        "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"currentColor\" role=\"img\">\n",
        options_.width, top + 8, options_.width);
    return out + axis(bottom) + rows + legend + "</svg>\n";
  }

 private:
  double x(double seconds) const { return left_ + seconds * scale_; }

  const Colour& colour_of(const std::string& group) {
    const auto found = groups_.emplace(group, groups_.size()).first;
    return kColours[found->second % std::size(kColours)];
  }

  std::string axis(double bottom) const {
    if (!(s_.makespan_s > 0)) return "";
    std::string out;
    const double step = tick_step(s_.makespan_s);
    for (double i = 0; i * step <= s_.makespan_s * (1 + 1e-9); ++i) {
      out += fmt::format(
          "<line x1=\"{0:.2f}\" x2=\"{0:.2f}\" y1=\"20\" y2=\"{1:.1f}\" stroke=\"currentColor\" "
          "stroke-opacity=\"0.15\"/>"
          "<text x=\"{0:.2f}\" y=\"14\" text-anchor=\"middle\" opacity=\"0.7\">{2}</text>\n",
          x(i * step), bottom, format_seconds(i * step));
    }
    return out;
  }

  double row(ResourceId r, double top, std::string& out) {
    const auto bars = bars_of(w_, s_, r);
    const std::size_t lanes = lanes_of(bars), shown = std::min(lanes, options_.most_lanes);
    const double height = shown == 1 ? 22 : shown <= 4 ? 16 : 11;
    out +=
        fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", left_ - 8,
                    top + 4 + height * static_cast<double>(shown) / 2 + 4, markup_text(w_.resources[r].name));
    for (std::size_t lane = 0; lane < shown; ++lane) {
      std::vector<Bar> mine;
      std::copy_if(bars.begin(), bars.end(), std::back_inserter(mine),
                   [&](const Bar& b) { return b.lane == lane; });
      draw_lane(mine, top + 4 + height * static_cast<double>(lane), height - 1.5, out);
    }
    top += 8 + height * static_cast<double>(shown);
    if (lanes > shown) {
      out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" opacity=\"0.7\">and {} more at once</text>\n",
                         left_, top + 10, lanes - shown);
      top += 16;
    }
    return top;
  }

  void draw_lane(const std::vector<Bar>& bars, double y, double height, std::string& out) {
    constexpr double kNarrow = 0.75;
    for (std::size_t i = 0; i < bars.size(); ++i) {
      const Task& task = w_.tasks[bars[i].task];
      const double start = x(bars[i].start_s);
      double end = x(bars[i].end_s);
      std::size_t joined = 1;
      while (end - start < 4 * kNarrow && i + 1 < bars.size() && x(bars[i + 1].start_s) - end < kNarrow &&
             x(bars[i + 1].end_s) - x(bars[i + 1].start_s) < kNarrow &&
             w_.tasks[bars[i + 1].task].group == task.group) {
        end = x(bars[++i].end_s);
        ++joined;
      }
      const Colour& colour = colour_of(task.group);
      const double width = std::max(end - start, kNarrow);
      const bool critical = joined == 1 && critical_.count(bars[i].task) > 0 && width > 3;
      const std::string title =
          joined > 1
              ? fmt::format("{} tasks", joined)
              : fmt::format("{}{}{}: {} from {}", task.name, task.group.empty() ? "" : ", ", task.group,
                            format_seconds(bars[i].end_s - bars[i].start_s), format_seconds(bars[i].start_s));
      out += fmt::format(
          "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" rx=\"1.5\" "
          "fill=\"{}\"{}><title>{}</title></rect>",
          start, y, width, height, colour.fill,
          critical ? " stroke=\"currentColor\" stroke-width=\"1.5\"" : "", markup_text(title));
      if (joined == 1 && width > 7.5 * static_cast<double>(task.name.size()) + 4 && height > 10) {
        out += fmt::format(
            "<text x=\"{:.2f}\" y=\"{:.1f}\" text-anchor=\"middle\" fill=\"{}\" "
            "pointer-events=\"none\">{}</text>",
            start + width / 2, y + height / 2 + 4.2, colour.ink, markup_text(task.name));
      }
      out += '\n';
    }
  }

  double draw_legend(double top, std::string& out) const {
    double at = left_;
    for (const auto& [group, index] : groups_) {
      const std::string name = group.empty() ? "other" : group;
      const double width = 26 + 7.2 * static_cast<double>(name.size());
      if (at + width > options_.width && at > left_) at = left_, top += 18;
      out += fmt::format(
          "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"12\" rx=\"2\" fill=\"{}\"/><text "
          "x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
          at, top, kColours[index % std::size(kColours)].fill, at + 17, top + 10.5, markup_text(name));
      at += width;
    }
    return top + 18;
  }

  const Workload& w_;
  const Schedule& s_;
  const GanttOptions& options_;
  double left_ = 60, scale_ = 1;
  std::map<std::string, std::size_t> groups_;
  std::set<TaskId> critical_;
};

std::int64_t ns(double seconds) {
  return std::llround(seconds * 1e9);
}

}  // namespace

Figure gantt(const Workload& workload, const Schedule& schedule, const GanttOptions& options) {
  return {options.title, Picture(workload, schedule, options).draw(), options.basis};
}

void write_trace(const Workload& w, const Schedule& s, Trace& trace, std::int64_t offset_ns) {
  struct Place {
    Trace::Track* track;
    std::int64_t start, end;
  };
  std::vector<std::optional<Place>> places(w.tasks.size());  // the first row in which a task appears
  for (ResourceId r = 0; r < w.resources.size(); ++r) {
    for (const Bar& bar : bars_of(w, s, r)) {
      auto& track = trace.track(w.resources[r].name, fmt::format("lane {}", bar.lane + 1));
      const std::int64_t start = offset_ns + ns(bar.start_s), end = offset_ns + ns(bar.end_s);
      track.complete(w.tasks[bar.task].name, start, end - start, {{"group", w.tasks[bar.task].group}});
      if (!places[bar.task]) places[bar.task] = Place{&track, start, end};
    }
  }
  for (TaskId t = 0; t < w.tasks.size(); ++t) {
    for (const TaskId before : w.tasks[t].after) {
      if (!places[t] || !places[before] || places[t]->track == places[before]->track) continue;
      const auto flow = trace.next_flow();
      // Inside the bars: an arrow binds to the bar that is open at its time.
      places[before]->track->flow_out("after", flow,
                                      std::max(places[before]->start, places[before]->end - 1));
      places[t]->track->flow_in("after", flow, places[t]->start);
    }
  }
}

Table resource_table(const Workload& w, const Schedule& s, Basis basis) {
  Table table(fmt::format("Resources over {}", format_seconds(s.makespan_s)),
              {"resource", "capacity", "busy", "tasks"});
  table.basis(basis);
  for (ResourceId r = 0; r < w.resources.size(); ++r) {
    const Resource& resource = w.resources[r];
    table.row(
        {resource.name,
         resource.shared ? format_count(resource.capacity) + "/s shared" : format_count(resource.capacity),
         fmt::format("{:.1f} %", 100 * s.utilisation(w, r)), std::to_string(bars_of(w, s, r).size())});
  }
  return table;
}

}  // namespace ballast::cost
