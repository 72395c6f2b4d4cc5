#include "ballast/federate/net/client.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <thread>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/net/checkpoint.h"
#include "ballast/federate/net/wire.h"
#include "federate.grpc.pb.h"

namespace ballast::federate {
namespace {

using Clock = std::chrono::steady_clock;

std::unique_ptr<v1::Federation::Stub> connect(const ClientOptions& options) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!options.insecure) {
    grpc::SslCredentialsOptions tls;
    if (options.ca.empty())
      throw InvalidInput("a client needs --ca, the certificate that signed the server's (or --insecure)");
    tls.pem_root_certs = read_file(options.ca);
    if (!options.certificate.empty()) {
      tls.pem_cert_chain = read_file(options.certificate);
      tls.pem_private_key = read_file(options.key);
    }
    credentials = grpc::SslCredentials(tls);
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::Federation::NewStub(grpc::CreateCustomChannel(options.server, credentials, arguments));
}

class Client {
 public:
  Client(const ClientOptions& options, ClientStore& store, const std::function<bool()>& stop)
      : options_(options), store_(store), stop_(stop), stub_(connect(options)) {}

  ClientTraffic run() {
    enlist();
    for (;;) {
      v1::TaskRequest request;
      request.set_run(run_);
      request.set_wait_ms(2000);
      v1::Task task;
      const bool known =
          call([&](grpc::ClientContext& context) { return stub_->NextTask(&context, request, &task); });
      if (!known) {
        enlist();
        continue;
      }
      if (task.kind() == v1::Task::END) return traffic_;
      if (task.kind() == v1::Task::WORK) work(task);
    }
  }

  std::string status() {
    v1::StatusReply reply;
    call([&](grpc::ClientContext& context) { return stub_->Status(&context, {}, &reply); });
    return reply.json();
  }

 private:
  void check_stop() const {
    if (stop_ && stop_()) throw Interrupted();
  }

  // False: the server does not know us any more. A server that is away is asked again until patience ends.
  bool call(const std::function<grpc::Status(grpc::ClientContext&)>& body) {
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(options_.patience_s));
    for (;;) {
      check_stop();
      grpc::ClientContext context;
      context.AddMetadata("ballast-client", options_.name);
      context.AddMetadata("ballast-token", options_.token);
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
      const grpc::Status status = body(context);
      switch (status.error_code()) {
        case grpc::StatusCode::OK:
          return true;
        case grpc::StatusCode::FAILED_PRECONDITION:
          return false;
        case grpc::StatusCode::UNAUTHENTICATED:
          throw InvalidInput(
              fmt::format("{} does not know client '{}' with this token", options_.server, options_.name));
        case grpc::StatusCode::INVALID_ARGUMENT:
          throw InvalidInput(fmt::format("{} refuses: {}", options_.server, status.error_message()));
        default:
          if (Clock::now() > until) {
            throw Unavailable(fmt::format(
                "{} cannot be reached: it is down, or the TLS handshake fails (a certificate that is "
                "expired, missing, for another name or of another authority; or one side without TLS)",
                options_.server));
          }
          std::this_thread::sleep_for(std::chrono::milliseconds(100));
      }
    }
  }

  void enlist() {
    v1::NodeInfo info;
    info.set_features(static_cast<std::uint32_t>(options_.features));
    info.set_classes(static_cast<std::uint32_t>(options_.classes));
    v1::Ticket ticket;
    call([&](grpc::ClientContext& context) { return stub_->Register(&context, info, &ticket); });
    if (runtime_ && ticket.run() == run_) return;
    run_ = ticket.run();
    settings_ = from_bytes<WireSettings>(ticket.settings());
    const RunConfig& config = settings_.config;
    shape_ = config.shape(settings_.features, settings_.classes);
    runtime_ = std::make_unique<ClientRuntime>(shape_, config, store_);
    trainer_ = make_trainer(shape_);
    runtime_->set_noise_secret(noise_secret());
    models_.clear();
    if (options_.state.empty()) return;
    const auto saved = newest_checkpoint(options_.state);
    if (!saved) return;
    Archive archive(saved->record);
    std::string run;
    archive& run;
    if (run != run_) return;  // of an earlier run
    runtime_->archive(archive);
    number_ = saved->number;
  }

  // Noise that nobody else can repeat, and that a repeated round repeats.
  std::uint64_t noise_secret() {
    if (secret_ != 0) return secret_;
    const std::string path = options_.state + "/noise-secret";
    std::string text = new_token();
    if (!options_.state.empty()) {
      if (std::filesystem::exists(path)) {
        text = read_file(path);
      } else {
        write_file(path, text);
      }
    }
    return secret_ = checksum64(text) | 1;
  }

  void save() {
    if (options_.state.empty()) return;
    Archive archive;
    archive& run_;
    runtime_->archive(archive);
    write_checkpoint(options_.state, ++number_, archive.bytes());
  }

  bool fetch(const std::string& hash) {
    if (models_.count(hash) > 0) return true;
    v1::BlobRequest request;
    request.set_hash(hash);
    std::string bytes;
    bool damaged = false;
    try {
      if (!call([&](grpc::ClientContext& context) {
            bytes.clear();
            auto reader = stub_->FetchBlob(&context, request);
            for (v1::Chunk chunk; reader->Read(&chunk);) {
              damaged = damaged || checksum64(chunk.data()) != chunk.checksum();
              bytes += chunk.data();
            }
            return reader->Finish();
          }))
        return false;
    } catch (const InvalidInput&) {
      return false;  // the task is over, its models are gone
    }
    Params params(shape_.size());
    if (damaged || bytes.size() != params.size() * sizeof(float)) return false;
    std::memcpy(params.data(), bytes.data(), bytes.size());
    if (model_hash(shape_, params) != hash) return false;
    traffic_.down += bytes.size();
    models_.emplace(hash, std::move(params));
    return true;
  }

  void work(const v1::Task& task) {
    const auto record = from_bytes<ClientTask>(task.record());
    std::map<SlotId, std::string> hashes;
    if (models_.size() > 64) models_.clear();
    for (const auto& model : task.models()) hashes[model.slot()] = model.hash();
    for (const auto& [slot, hash] : hashes) {
      if (!fetch(hash)) return;
    }
    if (record.phase == Phase::open) {  // the batch may still be on its way
      const auto until = Clock::now() + std::chrono::milliseconds(task.deadline_ms() * 3 / 4);
      while (store_.batch(record.step) == nullptr && Clock::now() < until) {
        check_stop();
        std::this_thread::sleep_for(std::chrono::duration<double>(options_.poll_s));
      }
    }
    const Params none(shape_.size(), 0.0f);
    const ClientResult result = runtime_->perform(
        record,
        [&](SlotId slot) -> const Params& {
          const auto found = hashes.find(slot);
          return found == hashes.end() ? none : models_.at(found->second);
        },
        *trainer_);
    if (record.phase == Phase::train || !record.detector.empty()) save();
    push(task.id(), to_bytes(result));
  }

  void push(std::uint64_t id, const std::string& record) {
    v1::Ack ack;
    call([&](grpc::ClientContext& context) {
      auto writer = stub_->PushResult(&context, &ack);
      for (std::size_t at = 0; at < record.size(); at += kChunkBytes) {
        v1::Chunk chunk;
        chunk.set_task(id);
        chunk.set_data(record.substr(at, kChunkBytes));
        chunk.set_checksum(checksum64(chunk.data()));
        if (!writer->Write(chunk)) break;
      }
      writer->WritesDone();
      return writer->Finish();
    });
    traffic_.up += record.size();
    ++traffic_.tasks;
    if (!ack.accepted()) {
      ++traffic_.refused;
      if (ack.reason() == "quarantined")
        throw InvalidInput(fmt::format("{} has quarantined this client", options_.server));
    }
  }

  const ClientOptions options_;
  ClientStore& store_;
  std::function<bool()> stop_;
  std::unique_ptr<v1::Federation::Stub> stub_;
  std::string run_;
  WireSettings settings_;
  ModelShape shape_;
  std::unique_ptr<ClientRuntime> runtime_;
  std::unique_ptr<LocalTrainer> trainer_;
  std::map<std::string, Params> models_;
  std::uint64_t number_ = 0, secret_ = 0;
  ClientTraffic traffic_;
};

}  // namespace

ClientTraffic run_client(const ClientOptions& options, ClientStore& store,
                         const std::function<bool()>& stop) {
  if (!options.state.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.state, error);
    if (error) throw Unavailable(fmt::format("{}: cannot be created ({})", options.state, error.message()));
  }
  return Client(options, store, stop).run();
}

std::string fetch_status(const ClientOptions& options) {
  struct Nothing : ClientStore {
    const Samples* batch(int) override { return nullptr; }
  } nothing;
  return Client(options, nothing, {}).status();
}

}  // namespace ballast::federate
