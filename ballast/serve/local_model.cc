#include "ballast/serve/local_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "ballast/base/bench.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/llama/weights.h"

namespace ballast::serve {
namespace fs = std::filesystem;
namespace {

// What a cached file belongs to: the weights (name, size, time) and this machine.
std::string stamp(const std::string& path, const std::string& more) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  const auto time = fs::last_write_time(path, error).time_since_epoch().count();
  const Json facts = machine_facts();
  return fmt::format("{:016x}",
                     checksum64(fmt::format("{}|{}|{}|{}|{}|{}", path, size, time, facts.value("cpu", ""),
                                            facts.contains("cores") ? facts.at("cores").dump() : "", more)));
}

std::string converted(const std::string& path, const std::string& format) {
  const fs::path folder = fs::path(cache_folder()) / "weights";
  fs::create_directories(folder);
  const fs::path to =
      folder / fmt::format("{}-{}-{}.gguf", fs::path(path).stem().string(), format, stamp(path, format));
  if (!fs::exists(to)) llama::requantize(path, to.string(), llama::number_format_from_string(format), 2);
  return to.string();
}

}  // namespace

PerfModel profile_executor(LlamaExecutor& executor, const ExecutorOptions& options, bool force, bool quick,
                           bool quiet, bool lines) {
  ProfileOptions settings;
  settings.force = force;
  settings.quick = quick;
  if (quick) settings.repeats = 3;
  settings.longest_context = quick ? 256 : std::min(2048, executor.slot_tokens() - executor.batch() / 8 - 2);
  if (!quiet && ::isatty(2) != 0)
    settings.progress = [](std::size_t done, std::size_t total) {
      fmt::print(stderr, "\rprofiling: {} of {} points{}", done, total, done == total ? "\n" : "");
    };
  const Profile profile = measure_profile(executor, options.threads, settings);
  FitOptions fit;
  fit.force = force;
  fit.table = !lines;
  PerfModel perf = fit_perf_model(profile.points, fit);
  perf.device = machine_facts().value("cpu", "this machine");
  perf.model = executor.model().description();
  perf.name = fs::path(executor.model().path()).stem().string();
  perf.kv_tokens = executor.slots() * executor.slot_tokens();
  perf.max_batch_tokens = executor.batch();
  perf.max_sequences = executor.slots();
  perf.statistics["spread"] = profile.spread;
  perf.statistics["cpu_share"] = profile.cpu_share;
  perf.statistics["kv_pool"] = "streams";
  perf.statistics["threads"] = options.threads;
  return perf;
}

LocalModel open_local_model(const LocalModelOptions& options) {
  LocalModel local;
  local.path = options.model.empty() ? llama::shipped_model() : options.model;
  if (options.weights != "as-is") local.path = converted(local.path, options.weights);
  local.model = std::make_unique<llama::Model>(local.path);
  local.name = fs::path(options.model.empty() ? llama::shipped_model() : options.model).stem().string();
  if (!options.perf.empty()) {
    local.perf = PerfModel::load(options.perf);
    local.note = "profile " + options.perf;
    return local;
  }
  const std::string key = fmt::format("{}|{}|{}|{}", options.executor.slots, options.executor.slot_tokens,
                                      options.executor.batch, options.executor.threads);
  const fs::path folder = fs::path(cache_folder()) / "perf";
  const fs::path file =
      folder / fmt::format("{}-{}.json", fs::path(local.path).stem().string(), stamp(local.path, key));
  if (fs::exists(file)) {
    local.perf = PerfModel::load(file.string());
    local.note = "profile " + file.string();
    return local;
  }
  LlamaExecutor executor(*local.model, options.executor);
  local.perf = profile_executor(executor, options.executor, options.force, true, options.quiet);
  if (options.force) {  // perhaps taken on a noisy machine: good for now, not for later
    local.note = "profiled now, not kept (--force)";
    return local;
  }
  fs::create_directories(folder);
  write_file(file.string(), local.perf.to_json().dump(2) + "\n");
  local.note = "profiled now, kept as " + file.string();
  return local;
}

}  // namespace ballast::serve
