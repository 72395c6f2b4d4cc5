#include "ballast/federate/torch_trainer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"

extern char** environ;

namespace ballast::federate {
namespace {

// The worker lies beside the program; tests and examples find it from their own folder too.
std::string worker_path() {
  const auto self = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  return (self / "ballast-federate-torch").string();
}

}  // namespace

void TorchRequest::archive(Archive& a) {
  a& kind& shape.features& shape.hidden& shape.classes& shape.kind& params& state& config.adam& config
      .learning_rate& config.beta1& config.beta2& config.epsilon& config.weight_decay& config.amsgrad& config
      .momentum& config.prox& batch& x& y;
}

bool read_record(int fd, std::string& record) {
  const auto fill = [&](char* to, std::size_t size) {
    for (std::size_t at = 0; at < size;) {
      const ssize_t got = ::read(fd, to + at, size - at);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) {
        if (at == 0) return false;
        throw Unavailable("the pipe to libtorch's worker broke in the middle of a record");
      }
      at += static_cast<std::size_t>(got);
    }
    return true;
  };
  std::uint64_t size = 0;
  if (!fill(reinterpret_cast<char*>(&size), sizeof size)) return false;
  record.resize(size);
  if (size > 0 && !fill(record.data(), size)) throw Unavailable("the pipe to libtorch's worker broke");
  return true;
}

void write_record(int fd, const std::string& record) {
  const std::uint64_t size = record.size();
  std::string bytes(reinterpret_cast<const char*>(&size), sizeof size);
  bytes += record;
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t put = ::write(fd, bytes.data() + at, bytes.size() - at);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) throw Unavailable("libtorch's worker has ended");
    at += static_cast<std::size_t>(put);
  }
}

TorchTrainer::TorchTrainer(const ModelShape& shape) : shape_(shape) {
  const std::string path = worker_path();
  if (!std::filesystem::exists(path))
    throw Unavailable(
        fmt::format("--model {} needs {}, which is built where libtorch is installed (libtorch-dev)",
                    to_string(shape.kind), path));
  int down[2], up[2];
  if (::pipe2(down, O_CLOEXEC) != 0 || ::pipe2(up, O_CLOEXEC) != 0)
    throw Unavailable("no pipe to libtorch's worker");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, down[0], 0);
  posix_spawn_file_actions_adddup2(&actions, up[1], 1);
  std::string name = path;
  char* arguments[] = {name.data(), nullptr};
  ::signal(SIGPIPE, SIG_IGN);
  const int problem = ::posix_spawn(&child_, path.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(down[0]);
  ::close(up[1]);
  to_ = down[1];
  from_ = up[0];
  if (problem != 0) throw Unavailable(fmt::format("{} cannot be started", path));
}

TorchTrainer::~TorchTrainer() {
  ::close(to_);  // the worker ends at the end of its input
  ::close(from_);
  if (child_ > 0) ::waitpid(child_, nullptr, 0);
}

TorchReply TorchTrainer::ask(TorchRequest& request) {
  request.shape = shape_;
  Archive archive;
  archive& request;
  write_record(to_, archive.bytes());
  std::string record;
  if (!read_record(from_, record)) throw Unavailable("libtorch's worker has ended");
  TorchReply reply = from_bytes<TorchReply>(record);
  if (!reply.refusal.empty()) throw InvalidInput(reply.refusal);
  return reply;
}

void TorchTrainer::train(Params& params, OptimizerState& state, const OptimizerConfig& config,
                         const DrawTable& table, int steps, int batch, std::uint64_t key) {
  TorchRequest request;
  request.kind = TorchRequest::Kind::train;
  request.params = params;
  request.state = state;
  request.config = config;
  request.batch = batch;
  DrawSequence draws(table, key);
  for (int i = 0; i < steps * batch; ++i) {
    const DrawTable::Pick pick = draws.next();
    request.x.insert(request.x.end(), pick.x, pick.x + shape_.features);
    request.y.push_back(pick.y);
  }
  TorchReply reply = ask(request);
  params = std::move(reply.params);
  state = std::move(reply.state);
}

ScoreStat TorchTrainer::score(const Params& params, const Samples& samples) {
  if (samples.size() == 0) return {};
  TorchRequest request;
  request.params = params;
  request.x = samples.x;
  request.y = samples.y;
  return ask(request).stat;
}

ScoreStat TorchTrainer::score_drawn(const Params& params, const Samples& samples, std::uint64_t count,
                                    std::uint64_t key) {
  if (count >= samples.size()) return score(params, samples);
  Samples drawn{.features = samples.features, .x = {}, .y = {}};
  for (const std::uint32_t index : drawn_indices(samples.size(), count, key)) {
    drawn.x.insert(drawn.x.end(), samples.row(index), samples.row(index) + samples.features);
    drawn.y.push_back(samples.y[index]);
  }
  return score(params, drawn);
}

std::vector<std::int32_t> TorchTrainer::predict(const Params& params, const Samples& samples) {
  if (samples.size() == 0) return {};
  TorchRequest request;
  request.kind = TorchRequest::Kind::predict;
  request.params = params;
  request.x = samples.x;
  request.y = samples.y;
  return ask(request).answers;
}

void export_torchscript(const std::string& model, const std::string& out) {
  const std::string path = worker_path();
  if (!std::filesystem::exists(path))
    throw Unavailable(fmt::format("--format torchscript needs {} (built where libtorch is installed)", path));
  std::string words[] = {path, "script", model, out};
  char* arguments[] = {words[0].data(), words[1].data(), words[2].data(), words[3].data(), nullptr};
  pid_t child = -1;
  int status = -1;
  if (::posix_spawn(&child, path.c_str(), nullptr, nullptr, arguments, environ) != 0 ||
      ::waitpid(child, &status, 0) != child || status != 0)
    throw Unavailable(fmt::format("{} could not write {}", path, out));
}

std::unique_ptr<LocalTrainer> make_trainer(const ModelShape& shape) {
  if (shape.kind == ModelKind::mlp) return std::make_unique<Trainer>(shape);
  return std::make_unique<TorchTrainer>(shape);
}

}  // namespace ballast::federate
