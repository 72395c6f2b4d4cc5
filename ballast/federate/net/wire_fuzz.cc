// What comes over the wire: any bytes as a protocol message, as a record, and as a client's result for an
// open training task. The desk accepts nothing that is not finite or not of its layout.
#include <cmath>
#include <cstdlib>
#include <memory>
#include <thread>

#include "ballast/federate/net/server_core.h"
#include "federate.pb.h"

namespace {

using namespace ballast::federate;

constexpr int kFeatures = 2, kClasses = 2;

/// A desk with an open task for client 0 that client 1 keeps open by its silence.
class OpenDesk {
 public:
  OpenDesk()
      : desk_(Roster{{{"a", std::string(64, '0')}, {"b", std::string(64, '1')}}},
              {.min_clients = 2, .open_deadline_s = 1e6, .round_deadline_s = 1e6}) {
    desk_.set_problem({.features = kFeatures, .classes = kClasses, .config = {}}, "run");
    for (int c : {0, 1}) desk_.register_client(c, kFeatures, kClasses);
    models_.set(0) = Params(ModelShape{kFeatures, 2 * kFeatures, kClasses}.size(), 0.5f);
    server_ = std::thread([this] {
      ClientTask first, second;
      second.client = 1;
      for (ClientTask* task : {&first, &second}) {
        task->phase = Phase::train;
        task->trains = {{.slot = 0, .batches = {{0, 1.0}}}};
      }
      try {
        desk_.perform({first, second}, models_, false, [](ClientResult&) {});
      } catch (const std::exception&) {  // stopped
      }
    });
    while (desk_.next_task(0, std::chrono::milliseconds(100)).id == 0) {
    }
    id_ = desk_.next_task(0, std::chrono::milliseconds(100)).id;
  }
  ~OpenDesk() {
    desk_.stop();
    server_.join();
  }
  bool push(const std::string& record) {
    const std::string answer = desk_.push(0, id_, record);
    desk_.release("a");
    return answer.empty();
  }

 private:
  ServerDesk desk_;
  ModelStore models_;
  std::thread server_;
  std::uint64_t id_ = 0;
};

template <typename T>
void record(std::string_view bytes) {
  try {
    (void)from_bytes<T>(bytes);
  } catch (const ballast::InvalidInput&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  record<ClientTask>(bytes);
  record<ClientResult>(bytes);
  record<WireSettings>(bytes);
  v1::Chunk chunk;
  (void)chunk.ParseFromString(bytes);
  v1::Task task;
  if (task.ParseFromString(bytes)) record<ClientTask>(task.record());
  v1::Ticket ticket;
  (void)ticket.ParseFromString(bytes);
  for (const auto kind :
       {Compression::Kind::none, Compression::Kind::fp16, Compression::Kind::int8, Compression::Kind::topk}) {
    const Params start(22, 0.5f);
    try {
      if (Compression{.kind = kind}.decode(bytes, start).size() != start.size()) std::abort();
    } catch (const ballast::InvalidInput&) {
    }
  }
  static std::unique_ptr<OpenDesk> desk = std::make_unique<OpenDesk>();
  if (desk->push(bytes)) {  // accepted: it must be what the task asked for
    const auto result = from_bytes<ClientResult>(bytes);
    for (const Trained& trained : result.trained) {
      for (const float value : Compression{}.decode(trained.payload, Params(22))) {
        if (!std::isfinite(value)) std::abort();
      }
    }
    desk = std::make_unique<OpenDesk>();
  }
  return 0;
}
