// `ballast index gen`, `convert`, `info` and `verify`: the files of the other verbs.
#include <fmt/format.h>

#include <memory>

#include "ballast/base/errors.h"
#include "ballast/base/units.h"
#include "ballast/index/key_files.h"
#include "ballast/index/methods.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/snapshot.h"
#include "ballast/index/verbs.h"
#include "ballast/index/workload.h"
#include "ballast/index/ycsb.h"

namespace ballast::index {
namespace {

std::vector<Entry> made_entries(const std::string& kind, std::uint64_t count, std::uint64_t seed) {
  if (kind == "uniform") return uniform_entries(count, seed);
  if (kind == "ipv4") return entries_of(ipv4_range_keys());
  if (kind == "words") return entries_of(word_keys());
  return entries_of(keys_like(kind, count, seed));
}

void add_gen(cli::Program& program) {
  struct Options {
    std::string file, keys = "uniform", count = "1M", workload, init;
    std::uint64_t pieces = 64;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb("gen", "write a key set, or the operations of a YCSB workload over one",
                           {"ballast index gen keys.bidx --keys osm-like --count 1M",
                            "ballast index gen ops.bin --workload E --init keys.bidx --count 100K"});
  verb->add_option("FILE", options->file, "what to write: .bidx, .csv, .sosd, or an operation file")
      ->required();
  verb->add_option("--keys", options->keys, "uniform, wiki-like, osm-like, books-like, ipv4, words")
      ->capture_default_str();
  verb->add_option("--count", options->count, "keys, or operations")->capture_default_str();
  verb->add_option("--workload", options->workload,
                   "A to F, A' to E' (the paper's ordered variants), or a .properties file of YCSB");
  verb->add_option("--init", options->init, "the keys that a workload is about");
  verb->add_option("--pieces", options->pieces, "pieces of the key space (primed workloads)")
      ->capture_default_str();
  verb.run([options](const cli::Common& common) {
    cli::require_one_of("--keys", options->keys,
                        {"uniform", "wiki-like", "osm-like", "books-like", "ipv4", "words"});
    const std::uint64_t count = parse_count("--count", options->count);
    std::uint64_t written = 0;
    if (options->workload.empty()) {
      const auto entries = made_entries(options->keys, count, common.seed);
      write_entries(options->file, entries);
      written = entries.size();
    } else {
      const YcsbMix mix = ycsb_mix(options->workload);
      if (options->init.empty())
        throw InvalidInput("--workload needs --init FILE: the keys that it is about");
      if (key_file_of(options->file) != KeyFile::operations)
        throw InvalidInput("file of a workload", options->file,
                           "an operation file (no .bidx, .csv or .sosd)");
      if (options->pieces == 0) throw InvalidInput("--pieces", "0", "at least 1");
      const auto operations =
          ycsb_operations(mix, read_entries(options->init), count, options->pieces, common.seed);
      write_operations(options->file, operations);
      written = operations.size();
    }
    if (common.for_people()) fmt::print("{}: {} written\n", options->file, written);
    common.write_json({{"schema", "ballast.index.gen/1"}, {"file", options->file}, {"written", written}});
  });
}

void add_convert(cli::Program& program) {
  struct Options {
    std::string from, to;
  };
  auto options = std::make_shared<Options>();
  auto verb = program.verb(
      "convert", "turn a key file into another kind, by the names",
      {"ballast index convert wiki_ts_200M_uint64 wiki.bidx", "ballast index convert keys.bidx keys.csv"});
  verb->add_option("FROM", options->from, "snapshot, CSV, SOSD, string or operation file")->required();
  verb->add_option("TO", options->to, ".bidx, .csv, .sosd, or an operation file")->required();
  verb.run([options](const cli::Common& common) {
    const auto entries = read_entries(options->from);
    write_entries(options->to, entries);
    if (common.for_people())
      fmt::print("{} ({}) -> {} ({}): {} keys\n", options->from, to_string(key_file_of(options->from)),
                 options->to, to_string(key_file_of(options->to)), entries.size());
    common.write_json({{"schema", "ballast.index.convert/1"}, {"keys", entries.size()}});
  });
}

void add_info(cli::Program& program) {
  auto file = std::make_shared<std::string>();
  auto verb = program.verb("info", "what a key or operation file holds",
                           {"ballast index info keys.bidx", "ballast index info ops.bin --json"});
  verb->add_option("FILE", *file, "any file of this component")->required();
  verb.run([file](const cli::Common& common) {
    const KeyFile kind = key_file_of(*file);
    Table table(fmt::format("{}: {}", *file, to_string(kind)), {"what", "value"});
    Json json{{"schema", "ballast.index.info/1"}, {"kind", to_string(kind)}};
    const auto say = [&](const std::string& what, std::uint64_t value) {
      table.row({what, std::to_string(value)});
      json[what] = value;
    };
    if (kind == KeyFile::operations) {
      const char* names[] = {"nothing", "get", "update", "predecessor", "scan", "insert", "remove"};
      std::uint64_t counts[7] = {};
      for (const auto& operation : read_operations(data::InputStream::open(*file)))
        ++counts[static_cast<int>(operation.type)];
      for (int type = 0; type < 7; ++type) say(names[type], counts[type]);
    } else {
      const auto entries = read_entries(*file);
      say("distinct keys", entries.size());
      if (!entries.empty()) {
        say("smallest", entries.front().key);
        say("largest", entries.back().key);
      }
    }
    if (common.for_people()) table.print(stdout);
    common.write_json(json);
  });
}

void add_verify(cli::Program& program) {
  struct Options {
    std::string file;
    std::uint32_t modules = 64;
    bool tree = false;
  };
  auto options = std::make_shared<Options>();
  auto verb =
      program.verb("verify", "check every block, checksum and key of a snapshot",
                   {"ballast index verify keys.bidx", "ballast index verify keys.bidx --tree --modules 256"});
  verb->add_option("SNAPSHOT", options->file, ".bidx file")->required();
  verb->add_flag("--tree", options->tree,
                 "build a PIM-tree of it and follow every link and shadow of that too");
  verb->add_option("--modules", options->modules, "PIM modules for --tree")->capture_default_str();
  verb.run([options](const cli::Common& common) {
    std::uint64_t entries = 0;
    SnapshotReader reader(options->file);
    std::string key, value;
    while (reader.next(key, value)) ++entries;
    if (options->tree) {
      pim::Machine machine({.modules = options->modules});
      PimTree tree(machine, {.seed = common.seed});
      tree.bulk_load(read_entries(options->file));
      const std::string problem = tree.verify();
      if (!problem.empty()) {
        fmt::print(stderr, "ballast index: {}\n", problem);
        throw cli::Exit{static_cast<int>(ExitCode::failed)};
      }
    }
    if (common.for_people())
      fmt::print("{}: {} entries, whole{}\n", options->file, entries, options->tree ? "; tree sound" : "");
    common.write_json({{"schema", "ballast.index.verify/1"}, {"entries", entries}, {"tree", options->tree}});
  });
}

}  // namespace

void add_files(cli::Program& program) {
  add_gen(program);
  add_convert(program);
  add_info(program);
  add_verify(program);
}

}  // namespace ballast::index
