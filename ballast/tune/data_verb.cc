// `ballast tune data`: instruction data made from what a Debian machine carries.

#include <fmt/format.h>

#include <memory>

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
    Table table("Sources of instruction data", {"name", "what", "licence"});
    Json list = Json::array();
    for (const Source& source : known_sources()) {
      table.row({source.name, source.what, source.licence});
      list.push_back({{"name", source.name}, {"what", source.what}, {"licence", source.licence}});
    }
    common.write_json({{"sources", list}});
    if (common.for_people()) table.print(stdout);
    return;
  }
  const std::vector<Instruction> samples = build_source(flags.make, flags.limit);
  const std::string out = flags.out.empty() ? flags.make + ".jsonl" : flags.out;
  write_instructions(out, samples);
  common.write_json({{"written", out}, {"samples", samples.size()}});
  if (common.for_people()) fmt::print("written: {} ({} samples)\n", out, samples.size());
}

}  // namespace

void add_data(cli::Program& program) {
  auto verb = program.verb("data", "make instruction data from Debian's own texts",
                           {"ballast tune data --make pydoc --out pydoc.jsonl", "ballast tune data"});
  const auto flags = std::make_shared<DataFlags>();
  verb->add_option("--make", flags->make, "pydoc, jargon, foldoc or deb-section; without it the list");
  verb->add_option("--out", flags->out, "the file to write (default NAME.jsonl)");
  verb->add_option("--limit", flags->limit, "at most so many samples (0: all)");
  verb.run([flags](const cli::Common& common) { run(*flags, common); });
}

}  // namespace ballast::tune
