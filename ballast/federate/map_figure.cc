#include <fmt/format.h>

#include "ballast/federate/verbs.h"

namespace ballast::federate {
namespace {

constexpr const char* kColours[] = {"#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
                                    "#997700", "#44aa99", "#882255", "#999933", "#332288", "#dd7788"};

std::string panel(const std::string& title, int x, int clients, int steps,
                  const std::function<int(int, int)>& value) {
  constexpr int cell = 12;
  std::string svg =
      fmt::format("<text x=\"{}\" y=\"14\" font-size=\"12\" fill=\"currentColor\">{}</text>", x, title);
  for (int step = 0; step < steps; ++step) {
    for (int c = 0; c < clients; ++c) {
      svg += fmt::format(
          "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"><title>client {}, step {}: "
          "{}</title></rect>",
          x + step * cell, 22 + c * cell, cell - 1, cell - 1,
          kColours[static_cast<std::size_t>(value(step, c)) % std::size(kColours)], c, step, value(step, c));
    }
  }
  return svg;
}

}  // namespace

std::string assignment_map(const std::vector<const RunLog*>& logs) {
  const ConceptPattern& truth = logs.front()->pattern;
  const int clients = std::min(truth.clients(), 30), steps = truth.steps();
  const int width = std::max(steps * 12, 90) + 24;
  std::string body =
      panel("true concepts", 0, clients, steps, [&](int step, int c) { return truth.at(step, c); });
  int x = width;
  for (const RunLog* log : logs) {
    body += panel(log->strategy, x, clients, steps, [&](int step, int c) {
      return log->serving[static_cast<std::size_t>(step)][static_cast<std::size_t>(c)];
    });
    x += width;
  }
  return fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\">{}</svg>",
                     x, 30 + clients * 12, body);
}

}  // namespace ballast::federate
