#include <fmt/format.h>

#include "ballast/base/errors.h"
#include "ballast/graph/result.h"
#include "ballast/graph/verbs/verbs.h"

namespace ballast::graph {
namespace {

struct ValidateOptions {
  std::string algorithm, reference, output;
};

const char* sentence_of(Rule rule) {
  switch (rule) {
    case Rule::exact:
      return "equal values";
    case Rule::equivalence:
      return "the same partition";
    case Rule::epsilon:
      return "a relative difference of at most 1e-4";
  }
  return "";
}

}  // namespace

void add_validate(cli::Program& program) {
  auto options = std::make_shared<ValidateOptions>();
  auto verb = program.verb("validate",
                           "compare two result files by LDBC Graphalytics' rules; exit code 1 if they differ",
                           {"ballast graph validate --algo bfs --reference example-directed-BFS bfs.out",
                            "ballast graph validate --algo pr --reference pr.gold pr.out --json"});
  verb->add_option("--algo", options->algorithm, "bfs, sssp, bc, cc (wcc), pr, cdlp, tc, lcc, kcore, mis")
      ->required();
  verb->add_option("--reference", options->reference, "file with the right values")->required();
  verb->add_option("OUTPUT", options->output, "file to judge: `vertex value` a line")->required();
  verb.run([options](const cli::Common& common) {
    const Rule rule = rule_of(options->algorithm);
    const Verdict verdict =
        compare(options->algorithm, read_result(options->reference), read_result(options->output));
    if (common.for_people()) {
      if (verdict.same)
        fmt::print("{}: all {} vertices agree (rule: {})\n", options->output, verdict.compared,
                   sentence_of(rule));
      else
        fmt::print("{}: {} of {} vertices differ (rule: {}); first: {}\n", options->output, verdict.different,
                   verdict.compared, sentence_of(rule), verdict.first);
    }
    common.write_json({{"same", verdict.same},
                       {"compared", verdict.compared},
                       {"different", verdict.different},
                       {"worst_relative", verdict.worst_relative},
                       {"first", verdict.first}});
    if (!verdict.same) throw cli::Exit{static_cast<int>(ExitCode::failed)};
  });
}

}  // namespace ballast::graph
