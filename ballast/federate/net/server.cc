#include "ballast/federate/net/server.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <filesystem>
#include <sstream>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/model_file.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/status_page.h"
#include "federate.grpc.pb.h"

namespace ballast::federate {
namespace {

/// Unpacks, authenticates, calls the desk.
class Handlers final : public v1::Federation::Service {
 public:
  Handlers(ServerDesk& desk, std::function<Json()> status) : desk_(desk), status_(std::move(status)) {}

  grpc::Status Register(grpc::ServerContext* context, const v1::NodeInfo* info, v1::Ticket* ticket) override {
    return as_client(context, [&](int client) {
      desk_.register_client(client, static_cast<int>(info->features()), static_cast<int>(info->classes()));
      ticket->set_run(desk_.run());
      ticket->set_client(static_cast<std::uint32_t>(client));
      ticket->set_settings(desk_.settings());
    });
  }
  grpc::Status NextTask(grpc::ServerContext* context, const v1::TaskRequest* request,
                        v1::Task* task) override {
    return as_client(context, [&](int client) {
      if (request->run() != desk_.run() || desk_.facts().registered.count(client) == 0) throw Forgotten();
      const auto wait = std::chrono::milliseconds(std::min(request->wait_ms(), 10'000u));
      const ServerDesk::Work work = desk_.next_task(client, wait);
      task->set_kind(static_cast<v1::Task::Kind>(work.kind));
      task->set_id(work.id);
      task->set_record(work.record);
      task->set_deadline_ms(static_cast<std::uint32_t>(work.deadline_ms));
      for (const auto& [slot, hash] : work.models) {
        auto* model = task->add_models();
        model->set_slot(slot);
        model->set_hash(hash);
      }
    });
  }
  grpc::Status FetchBlob(grpc::ServerContext* context, const v1::BlobRequest* request,
                         grpc::ServerWriter<v1::Chunk>* writer) override {
    return as_client(context, [&](int) {
      const auto blob = desk_.blob(request->hash());
      for (std::size_t at = 0; at < blob->size(); at += kChunkBytes) {
        v1::Chunk chunk;
        chunk.set_data(blob->substr(at, kChunkBytes));
        chunk.set_checksum(checksum64(chunk.data()));
        if (!writer->Write(chunk)) return;
      }
    });
  }
  grpc::Status PushResult(grpc::ServerContext* context, grpc::ServerReader<v1::Chunk>* reader,
                          v1::Ack* ack) override {
    return as_client(context, [&](int client) {
      v1::Chunk chunk;
      std::string record, reason;
      std::uint64_t task = 0;
      const std::size_t limit = desk_.result_limit(client);
      for (bool first = true; reader->Read(&chunk); first = false) {
        if (first) task = chunk.task();
        if (!reason.empty()) continue;
        if (checksum64(chunk.data()) != chunk.checksum()) reason = "wrong checksum";
        record += chunk.data();
        if (record.size() > limit) reason = "oversized";
      }
      // What is wrong on the way is pushed as an empty record, which the desk counts and refuses.
      const std::string answer = desk_.push(client, task, reason.empty() ? record : std::string());
      ack->set_accepted(answer.empty() || answer == "have");
      ack->set_reason(answer.empty() || reason.empty() ? answer : reason);
    });
  }
  grpc::Status Heartbeat(grpc::ServerContext* context, const v1::Ticket*, v1::Ack* ack) override {
    return as_client(context, [&](int) { ack->set_accepted(true); });
  }
  grpc::Status Leave(grpc::ServerContext* context, const v1::Ticket*, v1::Ack* ack) override {
    return as_client(context, [&](int client) {
      desk_.leave(client);
      ack->set_accepted(true);
    });
  }
  grpc::Status Status(grpc::ServerContext* context, const v1::StatusRequest*,
                      v1::StatusReply* reply) override {
    return as_client(context, [&](int) { reply->set_json(status_().dump()); });
  }

 private:
  struct Forgotten {};  // the server was started again: register anew

  static std::string metadata(const grpc::ServerContext* context, const char* key) {
    const auto found = context->client_metadata().find(key);
    return found == context->client_metadata().end()
               ? ""
               : std::string(found->second.data(), found->second.size());
  }
  grpc::Status as_client(const grpc::ServerContext* context, const std::function<void(int)>& body) {
    const std::string name = metadata(context, "ballast-client");
    const int client = desk_.roster().authenticate(name, metadata(context, "ballast-token"));
    if (client < 0) {
      log_refusal(context->peer());
      return {grpc::StatusCode::UNAUTHENTICATED, "unknown client or wrong token"};
    }
    try {
      body(client);
      return grpc::Status::OK;
    } catch (const Forgotten&) {
      return {grpc::StatusCode::FAILED_PRECONDITION, "register first"};
    } catch (const InvalidInput& error) {
      return {grpc::StatusCode::INVALID_ARGUMENT, error.what()};
    } catch (const std::exception& error) {
      return {grpc::StatusCode::INTERNAL, error.what()};
    }
  }
  // At most one line a second, however often somebody tries.
  void log_refusal(const std::string& peer) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    auto last = last_log_.load();
    if (now - last < 1'000'000'000 || !last_log_.compare_exchange_strong(last, now)) return;
    fmt::print(stderr, "a call from {} had no valid token\n", peer);
  }

  ServerDesk& desk_;
  std::function<Json()> status_;
  std::atomic<std::int64_t> last_log_{0};
};

Json described(const ServerOptions& options) {
  const RunConfig& c = options.config;
  return {{"strategy", options.strategy.name},
          {"delta", options.strategy.drift.delta},
          {"steps", options.steps},
          {"rounds", c.rounds},
          {"local_steps", c.local_steps},
          {"batch", c.batch},
          {"model", to_string(c.model)},
          {"hidden", c.hidden},
          {"secure", c.secure},
          {"learning_rate", c.optimizer.learning_rate},
          {"fraction", c.fraction},
          {"aggregator", static_cast<int>(c.aggregator.kind)},
          {"compression", c.compression.to_string()},
          {"clip", c.privacy.clip},
          {"noise", c.privacy.noise},
          {"local_noise", c.privacy.local_noise},
          {"seed", c.seed}};
}

void write_models(const std::string& folder, const RunLog& log, const ModelShape& shape) {
  std::filesystem::create_directories(folder);
  for (std::size_t slot = 0; slot < log.parameters.size(); ++slot) {
    if (!log.parameters[slot].empty())
      write_model(fmt::format("{}/{}.safetensors", folder, slot), shape, log.parameters[slot]);
  }
}

DeskOptions desk_options(const ServerOptions& options) {
  DeskOptions desk = options.desk;
  desk.min_reports = options.min_reports;
  desk.over_select = options.config.over_select;
  return desk;
}

}  // namespace

struct FederationServer::Parts {
  explicit Parts(const ServerOptions& given)
      : options(given),
        desk(Roster::read(given.tokens), desk_options(given)),
        handlers(desk, [this] { return status(); }) {}

  Json status() const {
    const std::lock_guard lock(mutex);
    return shown;
  }

  // What an operator left in the state folder.
  void heed_operator() {
    const std::string drain = options.state + "/drain", release = options.state + "/release";
    if (std::filesystem::exists(drain)) {
      drained = true;
      std::filesystem::remove(drain);
    }
    if (!std::filesystem::exists(release)) return;
    std::istringstream names(read_file(release, 1 << 16));
    std::filesystem::remove(release);
    for (std::string name; names >> name;) {
      if (!desk.release(name)) fmt::print(stderr, "release: no client is called '{}'\n", name);
    }
  }

  bool drained = false;
  ServerOptions options;
  ServerDesk desk;
  Handlers handlers;
  std::unique_ptr<grpc::Server> server;
  int port = 0;
  mutable std::mutex mutex;
  Json shown = {{"state", "waiting for clients"}};
};

FederationServer::FederationServer(const ServerOptions& options) {
  options.config.check();
  if (options.steps < 1) throw InvalidInput("--steps", std::to_string(options.steps), "at least 1");
  const bool loopback = options.listen.starts_with("127.") || options.listen.starts_with("localhost") ||
                        options.listen.starts_with("[::1]");
  if (options.insecure && !loopback)
    throw InvalidInput("--insecure listens on this machine only; give --cert and --key for other addresses");
  if (!options.insecure && (options.certificate.empty() || options.key.empty()))
    throw InvalidInput("a server needs --cert and --key, or --insecure for tries on one machine");
  std::error_code error;
  std::filesystem::create_directories(options.state, error);
  if (error) throw Unavailable(fmt::format("{}: cannot be created ({})", options.state, error.message()));
  parts_ = std::make_unique<Parts>(options);
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  if (!options.insecure) {
    grpc::SslServerCredentialsOptions tls(options.client_ca.empty()
                                              ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                              : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_key_cert_pairs.push_back({read_file(options.key), read_file(options.certificate)});
    if (!options.client_ca.empty()) tls.pem_root_certs = read_file(options.client_ca);
    credentials = grpc::SslServerCredentials(tls);
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.listen, credentials, &parts_->port);
  builder.RegisterService(&parts_->handlers);
  builder.SetMaxReceiveMessageSize(static_cast<int>(2 * kChunkBytes));
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  parts_->server = builder.BuildAndStart();
  if (!parts_->server || parts_->port == 0)
    throw Unavailable(
        fmt::format("cannot listen on {} (in use, or the certificate and key do not fit)", options.listen));
}

FederationServer::~FederationServer() {
  parts_->desk.stop();
  parts_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
}

int FederationServer::port() const {
  return parts_->port;
}
ServerDesk& FederationServer::desk() {
  return parts_->desk;
}
void FederationServer::stop() {
  parts_->desk.stop();
}
bool FederationServer::drained() const {
  return parts_->drained;
}
Json FederationServer::status() const {
  return parts_->status();
}

RunLog FederationServer::run() {
  Parts& p = *parts_;
  const ServerOptions& options = p.options;
  const std::string config_path = options.state + "/run.json";
  const auto checkpoint = newest_checkpoint(options.state);
  Json config = described(options);
  std::string run_id = new_token().substr(0, 16);
  WireSettings settings{.features = 0, .classes = 0, .config = options.config};
  if (checkpoint) {
    const Json before = read_json(config_path);
    run_id = before.at("run");
    settings.features = before.at("features");
    settings.classes = before.at("classes");
    std::string changed;
    for (const auto& [key, value] : config.items()) {
      if (before.value(key, Json()) != value)
        changed += fmt::format(" {}: {} -> {};", key, before.value(key, Json()).dump(), value.dump());
    }
    if (!changed.empty() && !options.accept_config_change) {
      throw InvalidInput(
          fmt::format("{}: the run was started with other settings ({} ); give "
                      "--accept-config-change to go on with the new ones",
                      config_path, changed));
    }
    p.desk.set_problem(settings, run_id);
  } else {
    if (!p.desk.wait_for_clients()) throw Interrupted();
    settings.features = p.desk.features();
    settings.classes = p.desk.classes();
    config["run"] = run_id;
    config["features"] = settings.features;
    config["classes"] = settings.classes;
    write_file(config_path, config.dump(2) + "\n");
    p.desk.set_problem(settings, run_id);
  }
  const int clients = static_cast<int>(p.desk.roster().clients.size());
  const auto strategy = make_strategy(options.strategy, ConceptPattern::stationary(clients, options.steps));
  RunConfig run_config = options.config;
  if (run_config.privacy.noise > 0) {  // noise that nobody can repeat, but the same after a restart
    const std::string path = options.state + "/noise-secret";
    if (!std::filesystem::exists(path)) write_file(path, new_token());
    run_config.privacy.secret = checksum64(read_file(path)) | 1;
  }
  Coordinator coordinator(*strategy, run_config,
                          {settings.features, settings.classes, clients, options.steps}, p.desk);
  coordinator.min_reports = options.min_reports;
  std::uint64_t number = 0;
  if (checkpoint) {
    Archive archive(checkpoint->record);
    coordinator.archive(archive);
    p.desk.archive(archive);
    archive.expect_end();
    number = checkpoint->number;
    if (!coordinator.ended()) p.desk.wait_for_return();
  }
  const auto show = [&] {
    Json status = status_of(coordinator, *strategy, p.desk);
    write_file(options.state + "/status.json", status.dump(2) + "\n");
    write_file(options.state + "/status.html", status_page(status));
    const std::lock_guard lock(p.mutex);
    p.shown = std::move(status);
  };
  show();
  while (coordinator.advance()) {
    Archive archive;
    coordinator.archive(archive);
    p.desk.archive(archive);
    write_checkpoint(options.state, ++number, archive.bytes());
    show();
    p.heed_operator();
    if (p.drained && coordinator.phase() == Phase::open) break;
  }
  RunLog log = coordinator.take_log();
  write_models(options.state + "/models", log, coordinator.shape());
  show();
  p.desk.end();
  p.desk.wait_until_told();
  return log;
}

}  // namespace ballast::federate
