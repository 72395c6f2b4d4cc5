#include "ballast/serve/local_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "ballast/base/bench.h"
#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/statistics.h"
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

// Candidates of at least the file's precision, by the bits of a weight.
std::vector<std::string> formats_for(const llama::Model& model) {
  const double bits = 8.0 * static_cast<double>(model.bytes()) / static_cast<double>(model.parameters());
  std::vector<std::string> formats;
  if (bits < 6.5) formats.emplace_back("q4_0");
  if (bits < 9.5) formats.emplace_back("q8_0");
  if (bits < 18) formats.emplace_back("bf16");
  return formats;
}

// Times the file itself and each candidate, and leaves the quickest in place. The verdict is kept in the
// cache.
void choose_weights(LocalModel& local, int threads) {
  const fs::path folder = fs::path(cache_folder()) / "weights";
  fs::create_directories(folder);
  const fs::path verdict = folder / fmt::format("{}-auto-{}.json", fs::path(local.path).stem().string(),
                                                stamp(local.path, fmt::format("auto|{}", threads)));
  Json document;
  if (fs::exists(verdict)) {
    document = read_json(verdict.string());
  } else {
    std::string best = "as-is";
    double highest = serving_speed(*local.model, threads);
    document["as-is"] = highest;
    for (const std::string& format : formats_for(*local.model)) {
      const llama::Model candidate(converted(local.path, format));
      const double speed = serving_speed(candidate, threads);
      document[format] = speed;
      if (speed > highest * 1.03) best = format, highest = speed;
    }
    document["taken"] = best;
    write_file(verdict.string(), document.dump(2) + "\n");
  }
  const std::string taken = document.value("taken", "as-is");
  std::string figures;
  for (const auto& [format, speed] : document.items()) {
    if (speed.is_number())
      figures += fmt::format("{}{} {:.2f}", figures.empty() ? "" : ", ", format,
                             speed.get<double>() / document.at("as-is").get<double>());
  }
  local.note = fmt::format("weights {} (speed over the file's: {}); ", taken, figures);
  if (taken == "as-is") return;
  local.path = converted(local.path, taken);
  local.model = std::make_unique<llama::Model>(local.path);
}

}  // namespace

std::string model_file(const std::string& model) {
  if (model.empty()) return llama::shipped_model();
  std::error_code error;
  if (!fs::is_directory(model, error)) return model;
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(model)) {
    if (entry.path().extension() == ".gguf") found.push_back(entry.path().string());
  }
  if (found.size() != 1)
    throw InvalidInput(fmt::format("{}: holds {} GGUF files; a folder must hold exactly one to be served",
                                   model, found.size()));
  return found.front();
}

double serving_speed(const llama::Model& model, int threads) {
  llama::Context context(model,
                         {.cells = 8 * 256, .sequences = 8, .batch = 128, .outputs = 8, .threads = threads});
  llama::Batch batch(context.batch_capacity());
  const auto token = static_cast<llama::Token>(model.vocabulary() / 2);
  double seconds_per_token = 0;
  for (const auto& [sequences, tokens] : {std::pair{1, 1}, {8, 1}, {1, 64}}) {
    std::vector<double> times;
    for (int repeat = 0; repeat < 6; ++repeat) {
      context.clear();
      batch.clear();
      for (int s = 0; s < sequences; ++s) {
        for (int t = 0; t < tokens; ++t) batch.add(token, t, s, t + 1 == tokens);
      }
      const double spent = time_of([&] {
        if (context.decode(batch) != llama::DecodeStatus::ok) throw Unavailable("a trial step failed");
        context.greedy(batch.size() - 1);
      });
      if (repeat > 0) times.push_back(spent);
    }
    seconds_per_token += median(times) / (sequences * tokens) / 3;
  }
  return 1 / seconds_per_token;
}

int quickest_threads(const llama::Model& model) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  std::vector<std::pair<int, double>> speeds;
  for (int threads = 1; threads <= cores; threads *= 2)
    speeds.emplace_back(threads, serving_speed(model, threads));
  double highest = 0;
  for (const auto& [threads, speed] : speeds) highest = std::max(highest, speed);
  for (const auto& [threads, speed] : speeds) {
    if (speed >= 0.95 * highest) return threads;
  }
  return 1;
}

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
  perf.statistics["kv_pool"] = options.pool == llama::KvPool::unified ? "unified" : "streams";
  perf.statistics["threads"] = options.threads;
  return perf;
}

LocalModel open_local_model(const LocalModelOptions& options) {
  cli::require_one_of("--weights", options.weights, {"as-is", "auto", "q4_0", "q4_1", "q8_0", "bf16", "f32"});
  LocalModel local;
  local.executor = options.executor;
  local.path = model_file(options.model);
  local.name = fs::path(local.path).stem().string();
  if (options.weights != "as-is" && options.weights != "auto")
    local.path = converted(local.path, options.weights);
  local.model = std::make_unique<llama::Model>(local.path);
  if (local.executor.threads == 0) local.executor.threads = quickest_threads(*local.model);
  if (options.weights == "auto") choose_weights(local, local.executor.threads);
  if (!options.perf.empty()) {
    local.perf = PerfModel::load(options.perf);
    if (local.perf.origin == "measured" && !local.perf.model.empty() &&
        local.perf.model != local.model->description())
      throw InvalidInput(fmt::format("{}: a profile of '{}', not of '{}'", options.perf, local.perf.model,
                                     local.model->description()));
    local.note += "profile " + options.perf;
    return local;
  }
  const std::string key = fmt::format("{}|{}|{}|{}|{}", local.executor.slots, local.executor.slot_tokens,
                                      local.executor.batch, local.executor.threads,
                                      local.executor.pool == llama::KvPool::unified ? "unified" : "streams");
  const fs::path folder = fs::path(cache_folder()) / "perf";
  const fs::path file =
      folder / fmt::format("{}-{}.json", fs::path(local.path).stem().string(), stamp(local.path, key));
  if (fs::exists(file)) {
    local.perf = PerfModel::load(file.string());
    local.note += "profile " + file.string();
    return local;
  }
  LlamaExecutor executor(*local.model, local.executor);
  local.perf = profile_executor(executor, local.executor, options.force, true, options.quiet);
  if (options.force) {  // perhaps taken on a noisy machine: good for now, not for later
    local.note += "profiled now, not kept (--force)";
    return local;
  }
  fs::create_directories(folder);
  write_file(file.string(), local.perf.to_json().dump(2) + "\n");
  local.note += "profiled now, kept as " + file.string();
  return local;
}

}  // namespace ballast::serve
