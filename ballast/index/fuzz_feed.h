// What takes any bytes: the modules' task handlers, which must refuse malformed tasks by a fault, and the
// readers of files and messages, which must refuse by InvalidInput. The fuzz targets and the mutation tests
// share these.
#pragma once

#include <cstring>
#include <string_view>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/index/distributed/chunk.h"
#include "ballast/index/dpu/layout.h"
#include "ballast/index/dpu/tasks.h"
#include "ballast/index/key_files.h"
#include "ballast/index/operations_file.h"
#include "ballast/index/pim/profiles.h"
#include "ballast/index/snapshot.h"

namespace ballast::index {

/// Runs the words as a module's buffer; returns the fault. Memory is small, so that offsets hit.
inline std::uint32_t feed_tasks(std::string_view bytes) {
  constexpr std::uint32_t kBytes = 1 << 16;
  std::vector<std::uint64_t> words(bytes.size() / 8), memory(kBytes / 8), replies(1 << 14);
  if (!words.empty()) std::memcpy(words.data(), bytes.data(), words.size() * 8);
  module m{};
  m.memory = reinterpret_cast<std::uint8_t*>(memory.data());
  m.bytes = kBytes;
  layout_reset(&m);
  reply out{replies.data(), 0, replies.size()};
  module_run(&m, words.data(), words.size(), &out);
  return m.fault;
}

inline bool feed_operations(std::string_view bytes) {
  try {
    (void)read_operations(data::InputStream::over("fuzz", bytes));
    return true;
  } catch (const InvalidInput&) {
    return false;
  }
}

/// The first byte chooses the reader of key files.
inline bool feed_key_files(std::string_view bytes) {
  if (bytes.empty()) return false;
  try {
    auto in = data::InputStream::over("fuzz", bytes.substr(1));
    switch (bytes[0] & 3) {
      case 0:
        (void)read_snapshot(std::move(in));
        break;
      case 1:
        (void)read_sosd(std::move(in), bytes[0] & 4 ? 8 : 4);
        break;
      case 2:
        (void)read_strings(std::move(in));
        break;
      default:
        (void)read_csv_entries(std::move(in));
    }
    return true;
  } catch (const InvalidInput&) {
    return false;
  }
}

/// The first byte chooses: profiles in YAML, or measured rounds in CSV.
inline bool feed_profiles(std::string_view bytes) {
  if (bytes.empty()) return false;
  try {
    if (bytes[0] & 1) {
      (void)pim::read_profiles(bytes.substr(1), "fuzz");
    } else {
      (void)pim::rounds_from_csv(bytes.substr(1), "fuzz");
    }
    return true;
  } catch (const InvalidInput&) {
    return false;
  }
}

/// What machines of the cluster engine send each other: chunks, questions, answers. What is taken must encode
/// to the same bytes' worth again.
inline bool feed_messages(std::string_view bytes) {
  if (bytes.empty()) return false;
  const auto decode = [&]<typename Message>(Message) {
    cluster::Reader reader(std::as_bytes(std::span(bytes.data() + 1, bytes.size() - 1)));
    const Message message = Message::decode(reader);
    cluster::Buffer again;
    message.encode(again);
    BALLAST_CHECK(again.bytes().size() == message.encoded_size());
  };
  try {
    switch (bytes[0] % 6) {
      case 0:
        decode(Chunk<std::uint64_t>{});
        break;
      case 1:
        decode(Chunk<std::string>{});
        break;
      case 2:
        decode(Question<std::uint64_t>{});
        break;
      case 3:
        decode(Question<std::string>{});
        break;
      case 4:
        decode(Found<std::uint64_t>{});
        break;
      default:
        decode(Found<std::string>{});
    }
    return true;
  } catch (const InvalidInput&) {
    return false;
  }
}

}  // namespace ballast::index
