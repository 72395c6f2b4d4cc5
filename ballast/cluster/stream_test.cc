// Streams against the exchange: the same records whatever the chunks, the same counters whether chunks travel
// or leave together, order within a source, and a machine that fails in the middle.
#include "ballast/cluster/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>

#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/cluster/cluster.h"

namespace ballast::cluster {
namespace {

constexpr std::uint64_t kSeed = 20;

// A network so fast that tests do not wait for it, by which chunks really travel.
std::string fast_network(const TemporaryFolder& folder) {
  const std::string path = folder.file("fast.yaml");
  write_file(path, "bytes_per_s: 1e9\nper_message_s: 1e-7\nlatency_s: 1e-6\n");
  return path;
}

// Numbered records of random sizes from every machine to every other, some to none; three streams in a row.
void number_streams(Machine& me, std::size_t chunk, bool overlap) {
  me.begin_stage("streams");
  for (int round = 0; round < 3; ++round) {
    const auto records = [&](int s, int d) {
      return Random(kSeed, mix64(static_cast<std::uint64_t>(round * 10'000 + s * 100 + d))).below(4) *
             static_cast<std::uint64_t>(40 + round);
    };
    std::vector<std::uint32_t> next(static_cast<std::size_t>(me.machines()), 0);
    me.stream(
        [&](Stream& out) {
          for (std::uint64_t i = 0; i < 200; ++i) {
            for (int d = 0; d < me.machines(); ++d) {
              if (i >= records(me.id(), d)) continue;
              Buffer& buffer = out.to(d);
              buffer.put(static_cast<std::uint32_t>(i));
              buffer.put_varint(i % 17);
              buffer.extend(i % 17);
            }
          }
        },
        [&](int source, Reader reader) {
          ASSERT_FALSE(reader.empty());
          while (!reader.empty()) {
            ASSERT_EQ(reader.get<std::uint32_t>(), next[static_cast<std::size_t>(source)]++);
            reader.take(reader.get_varint());
          }
        },
        {.chunk_bytes = chunk, .overlap = overlap});
    for (int s = 0; s < me.machines(); ++s)
      EXPECT_EQ(next[static_cast<std::size_t>(s)], records(s, me.id())) << s << " to " << me.id();
  }
}

std::string counters(const Cluster& cluster) {
  std::vector<Account> copy(cluster.accounts().begin(), cluster.accounts().end());
  for (auto& account : copy) {
    for (auto& s : account.supersteps) s.cpu_ns = s.wall_ns = s.wait_ns = 0;
  }
  return to_csv(copy);
}

TEST(Stream, EveryRecordArrivesInOrderAndCountersDoNotDependOnTravelling) {
  const TemporaryFolder folder;
  for (int machines : {1, 2, 5}) {
    for (std::size_t chunk : {std::size_t{1}, std::size_t{100}, std::size_t{1} << 20}) {
      SCOPED_TRACE(testing::Message() << "P=" << machines << " chunk=" << chunk << " seed=" << kSeed);
      auto plain = Cluster::open({.machines = machines});
      plain.run([&](Machine& me) { number_streams(me, chunk, true); });
      auto shaped = Cluster::open(
          {.machines = machines, .transport = "shaped", .net = fast_network(folder), .checksum = true});
      for (bool overlap : {true, false}) {
        shaped.run([&](Machine& me) { number_streams(me, chunk, overlap); });
        EXPECT_EQ(counters(shaped), counters(plain)) << "overlap " << overlap;
      }
      if (machines == 5) {
        std::uint64_t messages = 0;
        for (const auto& account : plain.accounts()) messages += account.total().messages_out;
        EXPECT_GT(messages, chunk == 1 ? 1000u : 0u) << "small chunks are many messages";
      }
    }
  }
}

TEST(Stream, ChunksAreTakenWhileTheirSenderStillWorks) {
  const TemporaryFolder folder;
  auto cluster = Cluster::open({.machines = 2, .transport = "shaped", .net = fast_network(folder)});
  // Machine 0 goes on only when machine 1 has taken what it sent: with an exchange this would never end.
  std::atomic<bool> taken{false};
  cluster.run([&](Machine& me) {
    me.begin_stage("overlap");
    me.stream(
        [&](Stream& out) {
          if (me.id() == 1) return;
          out.to(1).put(1);
          out.to(1).put(2);  // the first chunk leaves
          const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(30);
          while (!taken && std::chrono::steady_clock::now() < patience) std::this_thread::yield();
          EXPECT_TRUE(taken);
        },
        [&](int, Reader) { taken = true; }, {.chunk_bytes = 1});
  });
}

TEST(Stream, BeforeLeavingMayHeadEveryChunk) {
  Cluster::run(3, [](Machine& me) {
    me.begin_stage("heads");
    std::vector<std::uint32_t> count(3, 0);
    std::uint32_t records = 0;
    me.stream(
        [&](Stream& out) {
          out.before_leaving = [&](int d, std::span<std::byte> chunk) {
            std::memcpy(chunk.data(), &count[static_cast<std::size_t>(d)], sizeof(std::uint32_t));
            count[static_cast<std::size_t>(d)] = 0;
          };
          for (int i = 0; i < 1000; ++i) {
            Buffer& buffer = out.to(i % 3);
            if (out.begins(i % 3)) buffer.put(std::uint32_t{0});
            buffer.put(i);
            ++count[static_cast<std::size_t>(i % 3)];
          }
        },
        [&](int, Reader reader) {
          const auto announced = reader.get<std::uint32_t>();
          EXPECT_EQ(reader.left(), announced * sizeof(int));
          records += announced;
        },
        {.chunk_bytes = 256});
    EXPECT_EQ(me.allreduce(records, std::plus<>()), 3000u);
  });
}

TEST(Stream, AMachineThatFailsInTheMiddleIsNamedToAllOthers) {
  const TemporaryFolder folder;
  for (const char* transport : {"threads", "shaped"}) {
    auto cluster = Cluster::open({.machines = 4,
                                  .transport = transport,
                                  .net = std::string(transport) == "shaped" ? fast_network(folder) : ""});
    std::atomic<int> told{0};
    const auto body = [&](Machine& me) {
      me.begin_stage("failing");
      try {
        me.stream(
            [&](Stream& out) {
              for (int i = 0; i < 100; ++i) {
                out.to((me.id() + i) % 4).put(i);
                if (me.id() == 2 && i == 50) throw Unavailable("disk full");
              }
            },
            [](int, Reader) {}, {.chunk_bytes = 1});
      } catch (const MachineLost& lost) {
        EXPECT_EQ(lost.machine(), 2);
        ++told;
        throw;
      }
    };
    EXPECT_THROW(cluster.run(body), Unavailable);
    EXPECT_EQ(told, 3) << transport;
    EXPECT_NO_THROW(cluster.run([](Machine& me) { number_streams(me, 100, true); }));
  }
}

}  // namespace
}  // namespace ballast::cluster
