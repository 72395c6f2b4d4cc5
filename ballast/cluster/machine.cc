#include "ballast/cluster/machine.h"

#include <fmt/format.h>
#include <time.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "ballast/base/cli.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"

namespace ballast::cluster {
namespace {

std::uint64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace

Machine::Machine(int id, Transport& transport, MachineSettings settings)
    : id_(id),
      transport_(transport),
      settings_(std::move(settings)),
      own_seed_(mix64(settings_.seed ^ mix64(static_cast<std::uint64_t>(id) + 1))),
      last_cpu_ns_(now_ns(CLOCK_THREAD_CPUTIME_ID)),
      last_wall_ns_(now_ns(CLOCK_MONOTONIC)) {}

void Machine::begin_stage(std::string_view name) {
  stage_name_ = name;
  account_.stages.emplace_back(name);
  ++stage_;
  superstep_ = 0;
}

// Carries out what the fault script has for this machine at this place. `out`: nullptr in a stream that
// travels, whose messages are not damaged.
void Machine::strike(std::vector<Buffer>* out) {
  const auto message = [&](int to) -> Buffer& { return (*out)[static_cast<std::size_t>(to)]; };
  for (auto fault = settings_.faults.begin(); fault != settings_.faults.end();) {
    const bool here = (fault->stage.empty() || fault->stage == stage_name_) &&
                      (fault->superstep < 0 || static_cast<std::uint32_t>(fault->superstep) == superstep_);
    int to = fault->to;
    const bool damages = fault->kind == Fault::Kind::drop || fault->kind == Fault::Kind::corrupt;
    for (int d = 0; damages && out != nullptr && to < 0 && d < machines(); ++d) {
      if (d != id_ && !message(d).empty()) to = d;
    }
    if (!here || (damages && (out == nullptr || to < 0 || to >= machines() || message(to).empty()))) {
      ++fault;
      continue;
    }
    switch (fault->kind) {
      case Fault::Kind::kill:
        throw MachineLost(id_, stage_, superstep_, "killed by the fault script");
      case Fault::Kind::die:
        std::raise(SIGKILL);
        break;
      case Fault::Kind::delay:
        std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(fault->delay_ms));
        break;
      case Fault::Kind::drop:
        message(to).resize(1);
        break;
      case Fault::Kind::corrupt:
        *message(to).data() ^= std::byte{1};
        break;
    }
    fault = settings_.faults.erase(fault);
  }
}

std::uint32_t Machine::open_frame(int source, const Buffer& buffer) const {
  FrameHeader header;
  std::memcpy(&header, buffer.data() - kFrameHeaderBytes, kFrameHeaderBytes);
  std::string problem;
  if (header.magic != FrameHeader::kMagic) {
    problem = "it does not start with the frame's magic number";
  } else if (header.source != static_cast<std::uint32_t>(source) ||
             header.destination != static_cast<std::uint32_t>(id_)) {
    problem = fmt::format("it goes from {} to {}", header.source, header.destination);
  } else if (header.stage != stage_ || header.superstep != superstep_) {
    problem = fmt::format("it belongs to stage {}, superstep {}", header.stage, header.superstep);
  } else if (header.length != buffer.size()) {
    problem = fmt::format("{} of {} bytes arrived", buffer.size(), header.length);
  } else if ((header.flags & 1u) != 0 && header.checksum != checksum64(buffer.bytes())) {
    problem = "its checksum does not fit its content";
  }
  if (problem.empty()) return header.flags;
  throw Unavailable(
      fmt::format("a frame from machine {} to machine {} in stage '{}', superstep {} is damaged: {}", source,
                  id_, stage_name_, superstep_, problem));
}

void Machine::head_frame(int destination, Buffer& buffer, std::uint32_t flags) const {
  FrameHeader header;
  header.source = static_cast<std::uint32_t>(id_);
  header.destination = static_cast<std::uint32_t>(destination);
  header.stage = stage_;
  header.superstep = superstep_;
  header.flags = flags;
  header.length = buffer.size();
  if (settings_.checksum) {
    header.flags |= 1;
    header.checksum = checksum64(buffer.bytes());
  }
  std::memcpy(buffer.frame().data(), &header, kFrameHeaderBytes);
}

Inbox Machine::exchange(Outbox out) {
  cli::stop_if_interrupted();
  SuperstepCount count;
  count.stage = stage_;
  count.superstep = superstep_;
  auto& buffers = out.buffers();
  for (int d = 0; d < machines(); ++d) {
    Buffer& buffer = buffers[static_cast<std::size_t>(d)];
    if (buffer.empty()) continue;
    head_frame(d, buffer, 0);
    if (d == id_) {
      count.self_bytes += buffer.size();
      ++count.self_messages;
    } else {
      count.bytes_out += buffer.size();
      ++count.messages_out;
    }
  }
  if (!settings_.faults.empty()) strike(&buffers);

  std::vector<Buffer> in;
  const std::uint64_t before = now_ns(CLOCK_MONOTONIC);
  transport_.exchange(id_, where(), buffers, in, pool_);
  count.wait_ns = now_ns(CLOCK_MONOTONIC) - before;
  for (auto& buffer : buffers) pool_.give(std::move(buffer));

  for (int s = 0; s < machines(); ++s) {
    const Buffer& buffer = in[static_cast<std::size_t>(s)];
    if (buffer.empty()) continue;
    open_frame(s, buffer);
    count.inbox_bytes += buffer.size();
    if (s != id_) {
      count.bytes_in += buffer.size();
      ++count.messages_in;
    }
  }
  if (settings_.inbox_limit_bytes != 0 && count.inbox_bytes > settings_.inbox_limit_bytes) {
    throw Unavailable(
        fmt::format("the inbox of machine {} holds {} bytes in stage '{}', superstep {}: over its limit "
                    "of {} bytes",
                    id_, count.inbox_bytes, stage_name_, superstep_, settings_.inbox_limit_bytes));
  }
  end_superstep(count);
  return Inbox(std::move(in), &pool_);
}

void Machine::end_superstep(SuperstepCount& count) {
  const std::uint64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC);
  count.cpu_ns = cpu - last_cpu_ns_ + helper_cpu_ns_;
  count.wall_ns = wall - last_wall_ns_;
  helper_cpu_ns_ = 0;
  last_cpu_ns_ = cpu;
  last_wall_ns_ = wall;
  account_.supersteps.push_back(count);
  ++superstep_;
}

std::vector<std::vector<std::byte>> Machine::gather(std::span<const std::byte> mine) {
  cli::stop_if_interrupted();
  ++account_.collectives;
  account_.collective_bytes += mine.size();
  std::vector<std::vector<std::byte>> all;
  transport_.allgather(id_, where(), mine, all);
  return all;
}

std::vector<std::byte> Machine::broadcast_bytes(std::span<const std::byte> value, int root) {
  auto all = gather(id_ == root ? value : std::span<const std::byte>());
  return std::move(all[static_cast<std::size_t>(root)]);
}

}  // namespace ballast::cluster
