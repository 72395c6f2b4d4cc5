// `ballast tune data`: data made from what a Debian machine carries.

#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/tune/sources.h"
#include "ballast/tune/verbs.h"

namespace ballast::tune {
namespace {

struct DataFlags {
  std::string make, out;
  std::int64_t limit = 0;
};

void run(const DataFlags& flags, const cli::Common& common) {
  if (flags.make.empty()) {
    Table table("Data that this machine can make", {"name", "task", "what", "licence"});
    Json list = Json::array();
    for (const Source& source : known_sources()) {
      table.row({source.name, to_string(source.task), source.what, source.licence});
      list.push_back({{"name", source.name},
                      {"task", to_string(source.task)},
                      {"what", source.what},
                      {"licence", source.licence}});
    }
    common.write_json({{"sources", list}});
    if (common.for_people()) table.print(stdout);
    return;
  }
  Task task = Task::sft;
  std::vector<std::string> names;
  for (const Source& source : known_sources()) {
    names.push_back(source.name);
    if (source.name == flags.make) task = source.task;
  }
  cli::require_one_of("--make", flags.make, names);
  const std::string out = flags.out.empty() ? flags.make + ".jsonl" : flags.out;
  std::size_t count = 0;
  if (labelled(task)) {
    const auto samples = build_labelled(flags.make, flags.limit, common.seed);
    write_labelled(out, samples);
    count = samples.size();
  } else {
    const auto samples = build_source(flags.make, flags.limit);
    write_instructions(out, samples);
    count = samples.size();
  }
  common.write_json({{"written", out}, {"task", to_string(task)}, {"samples", count}});
  if (common.for_people()) fmt::print("written: {} ({} samples; --task {})\n", out, count, to_string(task));
}

}  // namespace

void add_data(cli::Program& program) {
  auto verb = program.verb("data", "make training data from Debian's own texts",
                           {"ballast tune data --make pydoc --out pydoc.jsonl", "ballast tune data"});
  const auto flags = std::make_shared<DataFlags>();
  verb->add_option("--make", flags->make, "one of the list that is shown without it");
  verb->add_option("--out", flags->out, "the file to write (default NAME.jsonl)");
  verb->add_option("--limit", flags->limit, "at most so many samples (0: all)");
  verb.run([flags](const cli::Common& common) { run(*flags, common); });
}

}  // namespace ballast::tune
