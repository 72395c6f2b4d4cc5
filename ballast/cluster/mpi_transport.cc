// Machines as MPI ranks, or several machines in each rank. The thread that started MPI runs the rank's first
// machine and makes all MPI calls (MPI_THREAD_FUNNELED); the others meet it before and after.
//
// Every collective begins with one small MPI_Iallreduce in which the ranks agree what they are about to do,
// so that a failed machine, or a program whose ranks have gone different ways, is known to all before any of
// them waits for data. Sizes travel by MPI_Alltoall, or where partners are few by synchronous sends and
// MPI_Ibarrier (NBX: Hoefler, Siebert, Lumsdaine, "Scalable communication protocols for dynamic sparse data
// exchange", PPoPP 2010). Payloads travel by nonblocking sends in pieces of at most 1 MiB.
#include <fmt/format.h>
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <thread>

#include "ballast/cluster/rendezvous.h"
#include "ballast/cluster/transport.h"

namespace ballast::cluster {
namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;
constexpr int kSizeTag = 1, kDataTag = 2;
constexpr int kStreamTag = 3;  // plus the number of the run: what a failed run left behind is not taken

int start_mpi() {
  int started = 0, level = MPI_THREAD_SINGLE;
  MPI_Initialized(&started);
  if (started) {
    MPI_Query_thread(&level);
  } else {
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
      throw Unavailable("MPI does not start");
    std::atexit([] {
      int ended = 0;
      MPI_Finalized(&ended);
      if (!ended) MPI_Finalize();
    });
  }
  if (level < MPI_THREAD_FUNNELED)
    throw Unavailable("this MPI grants no threads beside the one that calls it (MPI_THREAD_FUNNELED)");
  return level;
}

// What a rank says before a collective; entries are combined by their maximum.
struct Intent {
  std::int64_t failed_machine = -1;
  std::int64_t kind = 0, minus_kind = 0;
  std::int64_t stage = 0, minus_stage = 0;
  std::int64_t superstep = 0, minus_superstep = 0;
  std::int64_t partners = 0;

  Intent(Meeting meeting, const Where& where, std::int64_t partner_count)
      : kind(static_cast<std::int64_t>(meeting)),
        minus_kind(-kind),
        stage(where.stage),
        minus_stage(-stage),
        superstep(where.superstep),
        minus_superstep(-superstep),
        partners(partner_count) {}
  bool agreed() const {
    return kind == -minus_kind && stage == -minus_stage && superstep == -minus_superstep;
  }
};
constexpr int kIntentWords = sizeof(Intent) / sizeof(std::int64_t);

struct Farewell {
  std::uint32_t stage = 0, superstep = 0;
  std::array<char, 504> reason{};
};

class MpiTransport : public Transport {
 public:
  MpiTransport(int machines_per_rank, double timeout_s)
      : per_rank_(machines_per_rank),
        timeout_s_(timeout_s),
        comm_(private_communicator()),
        rank_(rank_of(comm_)),
        ranks_(size_of(comm_)),
        rendezvous_(rank_ * machines_per_rank, machines_per_rank, timeout_s) {
    const auto k = static_cast<std::size_t>(per_rank_), p = static_cast<std::size_t>(machines());
    outgoing_.resize(k);
    incoming_.resize(k);
    for (auto& row : incoming_) row.resize(p);
    shared_.resize(k);
  }
  ~MpiTransport() override {
    int ended = 0;
    MPI_Finalized(&ended);
    if (!ended) MPI_Comm_free(&comm_);
  }

  std::string name() const override { return "mpi"; }
  int machines() const override { return ranks_ * per_rank_; }
  int first_local() const override { return rank_ * per_rank_; }
  int local_machines() const override { return per_rank_; }

  void run(const std::function<void(int)>& body) override {
    rendezvous_.reset();
    known_to_all_ = streaming_ = false;
    run_ = (run_ + 1) % 1024;
    for (auto& frame : leaving_) abandoned_.push_back(std::move(frame));
    leaving_.clear();
    for (auto& row : incoming_) {
      for (auto& buffer : row) buffer.clear();
    }
    std::vector<std::thread> threads;
    for (int i = 1; i < per_rank_; ++i) threads.emplace_back([&, i] { body(first_local() + i); });
    body(first_local());
    for (auto& thread : threads) thread.join();
  }

  void exchange(int machine, const Where& where, std::vector<Buffer>& out, std::vector<Buffer>& in,
                BufferPool& pool) override {
    const auto local = static_cast<std::size_t>(machine - first_local());
    outgoing_[local] = &out;
    rendezvous_.meet(machine, Meeting::exchange, where);
    if (local == 0) lead([&] { move_frames(where, pool); });
    rendezvous_.meet(machine, Meeting::exchange, where);
    in.resize(static_cast<std::size_t>(machines()));
    for (std::size_t s = 0; s < in.size(); ++s) {
      in[s].swap(incoming_[local][s]);
      incoming_[local][s] = Buffer();
    }
  }

  void allgather(int machine, const Where& where, std::span<const std::byte> mine,
                 std::vector<std::vector<std::byte>>& all) override {
    shared_[static_cast<std::size_t>(machine - first_local())] = mine;
    rendezvous_.meet(machine, Meeting::allgather, where);
    if (machine == first_local()) lead([&] { gather_all(where); });
    rendezvous_.meet(machine, Meeting::allgather, where);
    all = gathered_;
  }

  // Only the thread that may call MPI can stream: one machine a rank.
  bool can_stream() const override { return per_rank_ == 1; }
  bool stream_pays() const override { return per_rank_ == 1; }
  void stream_open(int machine, const Where& where) override {
    rendezvous_.meet(machine, Meeting::stream, where);
    lead([&] { agree(Intent(Meeting::stream, where, 0)); });
    streaming_ = true;
  }
  void stream_send(int, int to, Buffer& frame) override {
    auto& leaving = leaving_.emplace_back();
    leaving.frame.swap(frame);
    const auto bytes = leaving.frame.frame();
    // A frame without payload is control, as the sizes of an exchange are.
    const auto send = leaving.frame.empty() ? MPI_Issend : MPI_Isend;
    send(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, to, kStreamTag + run_, comm_,
         &leaving.request);
    while (!leaving_.empty() && has_left(leaving_.front())) {
      if (frame.capacity() == 0) frame.swap(leaving_.front().frame);
      leaving_.pop_front();
    }
    frame.clear();
  }
  bool stream_receive(int, const Where& where, bool wait, StreamFrame& arrived) override {
    int there = 0;
    MPI_Status status;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t turns = 1;; ++turns) {
      MPI_Iprobe(MPI_ANY_SOURCE, kStreamTag + run_, comm_, &there, &status);
      if (there) break;
      if (!wait) return false;
      if (turns > 64) sched_yield();
      if (turns % 1024 == 0 && seconds_since(start) > timeout_s_) give_up(where.stage, where.superstep);
    }
    int count = 0;
    MPI_Get_count(&status, MPI_BYTE, &count);
    const auto bytes = static_cast<std::size_t>(count);
    const auto into = bytes == 0 ? std::span<std::byte>() : arrived.frame.resize_frame(bytes);
    MPI_Recv(into.data(), count, MPI_BYTE, status.MPI_SOURCE, kStreamTag + run_, comm_, MPI_STATUS_IGNORE);
    if (bytes == 0) {  // a rank has failed: hear which
      lead([&] { agree(Intent(Meeting::stream, where, 0)); });
      throw Unavailable("a rank ended its stream without a reason");
    }
    arrived.source = status.MPI_SOURCE;
    return true;
  }
  void stream_close(int machine, const Where& where) override {
    rendezvous_.meet(machine, Meeting::stream, where);
    lead([&] { agree(Intent(Meeting::stream, where, 0)); });
    streaming_ = false;
    for (auto& leaving : leaving_) MPI_Wait(&leaving.request, MPI_STATUS_IGNORE);
    leaving_.clear();
  }

  void leave(int machine) noexcept override { rendezvous_.leave(machine); }

  void fail(int machine, const Where& where, const std::string& reason) noexcept override {
    rendezvous_.fail(machine, where, reason);
    // The thread that may call MPI tells the other ranks, at their next collective.
    if (machine != first_local() || known_to_all_) return;
    try {
      const auto first = rendezvous_.failure();
      if (streaming_) {  // who waits for frames learns that none will come
        for (int r = 0; r < ranks_; ++r) {
          if (r != rank_) MPI_Send(nullptr, 0, MPI_BYTE, r, kStreamTag + run_, comm_);
        }
      }
      Intent intent(Meeting::none, {first->stage, first->superstep, {}}, 0);
      intent.failed_machine = first->machine;
      agree(intent, first->reason);
    } catch (const std::exception&) {
      // All know now.
    }
  }

 private:
  static MPI_Comm private_communicator() {
    start_mpi();
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    return comm;
  }
  static int rank_of(MPI_Comm comm) {
    int rank = 0;
    MPI_Comm_rank(comm, &rank);
    return rank;
  }
  static int size_of(MPI_Comm comm) {
    int size = 0;
    MPI_Comm_size(comm, &size);
    return size;
  }

  struct Leaving {
    Buffer frame = {};
    MPI_Request request = MPI_REQUEST_NULL;
  };
  static bool has_left(Leaving& leaving) {
    int done = 0;
    MPI_Test(&leaving.request, &done, MPI_STATUS_IGNORE);
    return done != 0;
  }
  static double seconds_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  [[noreturn]] void give_up(std::int64_t stage, std::int64_t superstep) const {
    std::fprintf(
        stderr,
        "ballast: rank %d waits since %g s for other ranks in stage %lld, superstep %lld; the job ends\n",
        rank_, timeout_s_, static_cast<long long>(stage), static_cast<long long>(superstep));
    MPI_Abort(comm_, static_cast<int>(ExitCode::unavailable));
    std::abort();
  }

  // The leader's part of a collective; when it learns of a failure elsewhere, its own threads learn of the
  // same.
  template <typename Work>
  void lead(const Work& work) {
    try {
      work();
    } catch (const MachineLost& error) {
      rendezvous_.fail(error.machine(), {error.stage(), error.superstep(), {}}, lost_reason_);
      throw;
    }
  }

  // Returns what all ranks are about to do; throws when one has failed or they differ.
  Intent agree(Intent mine, const std::string& reason = {}) {
    Intent all = mine;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Iallreduce(&mine, &all, kIntentWords, MPI_INT64_T, MPI_MAX, comm_, &request);
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t turns = 1;; ++turns) {
      int done = 0;
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done) break;
      if (turns > 64) sched_yield();
      if (turns % 1024 == 0 && seconds_since(start) > timeout_s_) give_up(mine.stage, mine.superstep);
    }
    if (all.failed_machine >= 0) {
      known_to_all_ = true;
      const int speaker = static_cast<int>(all.failed_machine) / per_rank_;
      Farewell farewell;
      if (speaker == rank_) {
        farewell.stage = static_cast<std::uint32_t>(mine.stage);
        farewell.superstep = static_cast<std::uint32_t>(mine.superstep);
        std::memcpy(farewell.reason.data(), reason.data(),
                    std::min(reason.size(), farewell.reason.size() - 1));
      }
      MPI_Bcast(&farewell, sizeof farewell, MPI_BYTE, speaker, comm_);
      lost_reason_ = farewell.reason.data();
      throw MachineLost(static_cast<int>(all.failed_machine), farewell.stage, farewell.superstep,
                        lost_reason_);
    }
    if (!all.agreed()) {
      known_to_all_ = true;
      throw Unavailable(fmt::format("ranks do not agree where they are: rank {} is in stage {}, superstep {}",
                                    rank_, mine.stage, mine.superstep));
    }
    return all;
  }

  // What goes to one rank: with one machine a rank the frame itself, else all frames between both ranks, each
  // behind its local source, local destination and size.
  std::span<const std::byte> package_for(int rank) {
    const auto r = static_cast<std::size_t>(rank);
    if (per_rank_ == 1) {
      Buffer& frame = (*outgoing_[0])[r];
      return frame.empty() ? std::span<const std::byte>() : std::span<const std::byte>(frame.frame());
    }
    Buffer& package = packages_[r];
    package.clear();
    for (int s = 0; s < per_rank_; ++s) {
      for (int d = 0; d < per_rank_; ++d) {
        Buffer& frame =
            (*outgoing_[static_cast<std::size_t>(s)])[static_cast<std::size_t>(rank * per_rank_ + d)];
        if (frame.empty()) continue;
        package.put(static_cast<std::uint32_t>(s));
        package.put(static_cast<std::uint32_t>(d));
        package.put(std::uint64_t{frame.frame().size()});
        package.append(frame.frame());
      }
    }
    return package.bytes();
  }

  void open_package(int rank, std::span<const std::byte> package) {
    for (Reader reader(package); !reader.empty();) {
      const auto s = reader.get<std::uint32_t>(), d = reader.get<std::uint32_t>();
      const auto frame = reader.take(reader.get<std::uint64_t>());
      BALLAST_CHECK(s < static_cast<std::uint32_t>(per_rank_) && d < static_cast<std::uint32_t>(per_rank_));
      Buffer& in = incoming_[d][static_cast<std::size_t>(rank * per_rank_) + s];
      std::memcpy(in.resize_frame(frame.size()).data(), frame.data(), frame.size());
    }
  }

  std::vector<std::uint64_t> exchange_sizes(const std::vector<std::uint64_t>& sending, bool sparse) {
    std::vector<std::uint64_t> receiving(sending.size(), 0);
    if (!sparse) {
      MPI_Alltoall(sending.data(), 1, MPI_UINT64_T, receiving.data(), 1, MPI_UINT64_T, comm_);
      return receiving;
    }
    std::vector<MPI_Request> sends;
    for (std::size_t r = 0; r < sending.size(); ++r) {
      if (sending[r] == 0) continue;
      MPI_Issend(&sending[r], 1, MPI_UINT64_T, static_cast<int>(r), kSizeTag, comm_, &sends.emplace_back());
    }
    MPI_Request barrier = MPI_REQUEST_NULL;
    for (bool in_barrier = false;;) {
      int there = 0;
      MPI_Status status;
      MPI_Iprobe(MPI_ANY_SOURCE, kSizeTag, comm_, &there, &status);
      if (there) {
        MPI_Recv(&receiving[static_cast<std::size_t>(status.MPI_SOURCE)], 1, MPI_UINT64_T, status.MPI_SOURCE,
                 kSizeTag, comm_, MPI_STATUS_IGNORE);
        continue;
      }
      int done = 0;
      if (in_barrier) {
        MPI_Test(&barrier, &done, MPI_STATUS_IGNORE);
        if (done) return receiving;
      } else {
        MPI_Testall(static_cast<int>(sends.size()), sends.data(), &done, MPI_STATUSES_IGNORE);
        if (done) {
          MPI_Ibarrier(comm_, &barrier);
          in_barrier = true;
        }
      }
    }
  }

  void move_frames(const Where& where, BufferPool& pool) {
    const auto n = static_cast<std::size_t>(ranks_);
    packages_.resize(n);
    arrivals_.resize(n);
    std::vector<std::span<const std::byte>> sending(n);
    std::vector<std::uint64_t> sizes(n, 0);
    std::int64_t partners = 0;
    for (int r = 0; r < ranks_; ++r) {
      if (r == rank_) continue;
      const auto i = static_cast<std::size_t>(r);
      sending[i] = package_for(r);
      sizes[i] = sending[i].size();
      partners += sizes[i] > 0;
    }
    const Intent all = agree(Intent(Meeting::exchange, where, partners));
    const auto receiving = exchange_sizes(sizes, all.partners * 2 < ranks_);

    std::vector<MPI_Request> requests;
    std::vector<std::span<std::byte>> landing(n);
    for (int step = 1; step < ranks_; ++step) {  // everyone begins with another partner
      const auto s = static_cast<std::size_t>((rank_ - step + ranks_) % ranks_);
      if (receiving[s] == 0) continue;
      if (per_rank_ == 1) {
        Buffer& in = incoming_[0][s];
        if (in.capacity() == 0) in = pool.take();
        landing[s] = in.resize_frame(receiving[s]);
      } else {
        arrivals_[s].clear();
        landing[s] = {arrivals_[s].extend(receiving[s]), receiving[s]};
      }
      for (std::size_t at = 0; at < landing[s].size(); at += kPiece) {
        MPI_Irecv(landing[s].data() + at, static_cast<int>(std::min(kPiece, landing[s].size() - at)),
                  MPI_BYTE, static_cast<int>(s), kDataTag, comm_, &requests.emplace_back());
      }
    }
    for (int step = 1; step < ranks_; ++step) {
      const auto d = static_cast<std::size_t>((rank_ + step) % ranks_);
      for (std::size_t at = 0; at < sending[d].size(); at += kPiece) {
        MPI_Isend(sending[d].data() + at, static_cast<int>(std::min(kPiece, sending[d].size() - at)),
                  MPI_BYTE, static_cast<int>(d), kDataTag, comm_, &requests.emplace_back());
      }
    }
    // Frames that stay in this rank change hands without MPI.
    for (std::size_t s = 0; s < outgoing_.size(); ++s) {
      for (std::size_t d = 0; d < outgoing_.size(); ++d) {
        const auto base = static_cast<std::size_t>(first_local());
        incoming_[d][base + s].swap((*outgoing_[s])[base + d]);
      }
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
    if (per_rank_ == 1) return;
    for (int r = 0; r < ranks_; ++r) {
      if (receiving[static_cast<std::size_t>(r)] > 0) open_package(r, landing[static_cast<std::size_t>(r)]);
    }
  }

  void gather_all(const Where& where) {
    agree(Intent(Meeting::allgather, where, 0));
    std::vector<std::uint64_t> mine, sizes(static_cast<std::size_t>(machines()));
    std::vector<std::byte> bytes;
    for (const auto& part : shared_) {
      mine.push_back(part.size());
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    MPI_Allgather(mine.data(), per_rank_, MPI_UINT64_T, sizes.data(), per_rank_, MPI_UINT64_T, comm_);
    std::vector<int> counts(static_cast<std::size_t>(ranks_), 0), places(counts.size(), 0);
    std::uint64_t total = 0;
    for (std::size_t m = 0; m < sizes.size(); ++m) {
      const std::size_t r = m / static_cast<std::size_t>(per_rank_);
      if (counts[r] == 0) places[r] = static_cast<int>(total);
      counts[r] += static_cast<int>(sizes[m]);
      total += sizes[m];
    }
    if (total > (std::uint64_t{1} << 30)) {
      known_to_all_ = true;  // every rank sees the same total
      throw Unavailable(
          fmt::format("an allgather of {} bytes is too large for one collective; use exchange", total));
    }
    std::vector<std::byte> all(total);
    MPI_Allgatherv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, all.data(), counts.data(),
                   places.data(), MPI_BYTE, comm_);
    gathered_.resize(sizes.size());
    std::size_t at = 0;
    for (std::size_t m = 0; m < sizes.size(); ++m) {
      gathered_[m].assign(all.begin() + static_cast<std::ptrdiff_t>(at),
                          all.begin() + static_cast<std::ptrdiff_t>(at + sizes[m]));
      at += sizes[m];
    }
  }

  const int per_rank_;
  const double timeout_s_;
  MPI_Comm comm_;
  const int rank_, ranks_;
  Rendezvous rendezvous_;
  std::vector<std::vector<Buffer>*> outgoing_;      // [local source] -> its frames by destination
  std::vector<std::vector<Buffer>> incoming_;       // [local destination][source]
  std::vector<Buffer> packages_, arrivals_;         // [rank], several machines a rank
  std::vector<std::span<const std::byte>> shared_;  // [local machine]
  std::vector<std::vector<std::byte>> gathered_;    // [machine]
  bool known_to_all_ = false;
  bool streaming_ = false;
  int run_ = 0;
  std::deque<Leaving> leaving_;     // frames of the present stream that may not have left
  std::vector<Leaving> abandoned_;  // those of a run that failed: MPI may still look at them
  std::string lost_reason_;
};

}  // namespace

bool built_with_mpi() {
  return true;
}

std::string describe_mpi() {
  int length = 0;
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  MPI_Get_library_version(version, &length);
  std::string text(version, static_cast<std::size_t>(length));
  text = text.substr(0, text.find_first_of(",\n"));
  // Alone, MPI would start a daemon and listen on the network only to be described.
  const bool launched = std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr ||
                        std::getenv("PMI_SIZE") != nullptr || std::getenv("PMIX_RANK") != nullptr;
  if (!launched) return text + ", not started (no mpirun)";
  const int level = start_mpi();
  int ranks = 1;
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  static constexpr const char* kLevels[] = {"single", "funneled", "serialized", "multiple"};
  return fmt::format("{}, thread level {}, {} rank{}", text, kLevels[std::clamp(level, 0, 3)], ranks,
                     ranks == 1 ? "" : "s");
}

std::unique_ptr<Transport> make_mpi_transport(int machines_per_rank, double timeout_s) {
  return std::make_unique<MpiTransport>(machines_per_rank, timeout_s);
}

}  // namespace ballast::cluster
