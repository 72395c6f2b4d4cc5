#include "ballast/federate/net/status_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "ballast/base/markup.h"

namespace ballast::federate {
namespace {

// Accuracy over steps as one polyline, 0 at the bottom and 1 at the top.
std::string curve(const Json& values) {
  std::string points;
  const double width = 160, height = 36;
  const std::size_t n = values.size();
  for (std::size_t i = 0; i < n; ++i) {
    if (!values[i].is_number()) continue;
    const double x = n < 2 ? 0 : width * static_cast<double>(i) / static_cast<double>(n - 1);
    points += fmt::format("{:.1f},{:.1f} ", x, height * (1 - values[i].get<double>()) + 2);
  }
  return fmt::format(
      "<svg width=\"164\" height=\"40\" role=\"img\" aria-label=\"accuracy over steps\"><polyline "
      "points=\"{}\" "
      "fill=\"none\" stroke=\"#4477aa\" stroke-width=\"2\"/></svg>",
      points);
}

// One coloured cell a step with the model's number.
std::string history(const Json& models) {
  constexpr const char* kColours[] = {"#4477aa", "#ee6677", "#228833", "#aa3377", "#997700", "#332288"};
  std::string cells;
  for (const Json& slot : models) {
    const auto number = static_cast<std::size_t>(std::max(0, slot.get<int>()));
    cells += fmt::format("<span class=\"cell\" style=\"background:{}\">{}</span>",
                         kColours[number % std::size(kColours)], slot.dump());
  }
  return cells;
}

}  // namespace

Json status_of(const Coordinator& coordinator, const Strategy& strategy, const ServerDesk& desk) {
  const RunLog& log = coordinator.log();
  const ServerDesk::Facts facts = desk.facts();
  Json clients = Json::array();
  for (std::size_t c = 0; c < desk.roster().clients.size(); ++c) {
    const int id = static_cast<int>(c);
    Json model, since, accuracy = Json::array(), models = Json::array();
    for (std::size_t step = 0; step < log.serving.size(); ++step) {
      models.push_back(log.serving[step][c]);
      if (Json slot = log.serving[step][c]; slot != model) {
        model = slot;
        since = step;
      }
    }
    for (const auto& row : log.prequential)
      accuracy.push_back(row[c].n == 0 ? Json() : Json(1 - row[c].error()));
    clients.push_back({{"name", desk.roster().clients[c].first},
                       {"connected", facts.registered.count(id) > 0},
                       {"quarantined", facts.quarantined.count(id) > 0},
                       {"model", model},
                       {"since_step", since},
                       {"models", models},
                       {"accuracy", accuracy}});
  }
  Json events = Json::array(), refusals = Json::object();
  for (const Event& event : strategy.events())
    events.push_back(
        {{"step", event.step}, {"kind", event.kind}, {"client", event.client}, {"slot", event.slot}});
  for (const auto& [reason, count] : facts.reasons) refusals[reason] = count;
  return {{"schema", "ballast.federate.status/1"},
          {"state", coordinator.ended()      ? "ended"
                    : coordinator.degraded() ? "DEGRADED: too few reports"
                                             : "running"},
          {"strategy", strategy.name()},
          {"step", coordinator.step()},
          {"phase", to_string(coordinator.phase())},
          {"round", coordinator.round()},
          {"clients", clients},
          {"events", events},
          {"refused", facts.refused},
          {"late", facts.late},
          {"secure_sums_given_up", log.given_up},
          {"refusals", refusals},
          {"epsilon", log.epsilon},
          {"bytes", {{"models_down", facts.models_down}, {"results_up", facts.results_up}}}};
}

std::string status_page(const Json& status) {
  std::string rows;
  for (const Json& client : status.at("clients")) {
    const Json& accuracy = client.at("accuracy");
    const Json last = accuracy.empty() ? Json() : accuracy.back();
    rows += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        markup_text(client.at("name").get<std::string>()),
        client.at("quarantined").get<bool>() ? "quarantined"
        : client.at("connected").get<bool>() ? "connected"
                                             : "away",
        client.at("model").dump(), client.at("since_step").dump(),
        last.is_number() ? fmt::format("{:.1f} %", 100 * last.get<double>()) : "-", curve(accuracy),
        history(client.at("models")));
  }
  std::string events;
  const Json& all = status.at("events");
  for (std::size_t i = all.size(); i-- > 0 && all.size() - i <= 20;) {
    events += fmt::format("<li>step {}: {} (client {}, model {})</li>\n", all[i].at("step").dump(),
                          markup_text(all[i].at("kind").get<std::string>()), all[i].at("client").dump(),
                          all[i].at("slot").dump());
  }
  return fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" "
      "content=\"5\">"
      "<meta name=\"viewport\" content=\"width=device-width\"><title>ballast federate</title><style>"
      "body{{font:16px sans-serif;margin:2em;max-width:60em}}table{{border-collapse:collapse}}"
      "td,th{{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left}}"
      ".cell{{display:inline-block;min-width:1.1em;text-align:center;color:#fff;margin-right:1px}}"
      "@media(prefers-color-scheme:dark){{body{{background:#181818;color:#eee}}}}</style></head><body>"
      "<h1>Federation: {}</h1><p>{}; step {}, {}, round {}; {} results refused, {} too late.</p>"
      "<table><tr><th>client</th><th>state</th><th>model</th><th>since step</th><th>accuracy (measured)</th>"
      "<th>over time</th><th>models by "
      "step</th></tr>\n{}</table><h2>Events</h2><ul>\n{}</ul></body></html>\n",
      markup_text(status.at("strategy").get<std::string>()),
      markup_text(status.at("state").get<std::string>()), status.at("step").dump(),
      markup_text(status.at("phase").get<std::string>()), status.at("round").dump(),
      status.at("refused").dump(), status.at("late").dump(), rows, events);
}

}  // namespace ballast::federate
