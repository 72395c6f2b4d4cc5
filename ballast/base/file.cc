#include "ballast/base/file.h"

#define XXH_INLINE_ALL
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/json.h"

namespace ballast {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

void write_all(int descriptor, const std::string& path, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(descriptor, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw Unavailable::from_errno(path, "cannot be written");
    }
    data += written;
    size -= static_cast<std::size_t>(written);
  }
}

}  // namespace

std::string read_file(const std::string& path, std::uint64_t limit_bytes) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Unavailable::from_errno(path, "cannot be opened");
  std::string content;
  char chunk[1 << 16];
  for (;;) {
    const ssize_t got = ::read(descriptor, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const auto error = Unavailable::from_errno(path, "cannot be read");
      ::close(descriptor);
      throw error;
    }
    if (got == 0) break;
    content.append(chunk, static_cast<std::size_t>(got));
    if (content.size() > limit_bytes) {
      ::close(descriptor);
      throw InvalidInput(fmt::format("{}: larger than the accepted {} bytes", path, limit_bytes));
    }
  }
  ::close(descriptor);
  return content;
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  // Two files of one process may have the same name: each has a temporary of its own.
  static std::atomic<unsigned> count{0};
  struct stat status {};
  const bool exists = ::stat(path_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) throw Unavailable(fmt::format("{}: is a directory", path_));
  if (exists && !S_ISREG(status.st_mode)) {
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    std::error_code error;
    target_ = exists ? std::filesystem::canonical(path_, error).string() : path_;
    if (target_.empty()) target_ = path_;
    temporary_ = fmt::format("{}.tmp-{}-{}", target_, ::getpid(), count++);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  if (descriptor_ < 0) throw Unavailable::from_errno(path_, "cannot be created");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (!target_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view text) {
  BALLAST_CHECK(descriptor_ >= 0, path_);
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void AtomicFile::flush() {
  write_all(descriptor_, path_, buffer_.data(), buffer_.size());
  buffer_.clear();
}

void AtomicFile::commit() {
  BALLAST_CHECK(descriptor_ >= 0, path_);
  flush();
  // A full disk may be reported only here.
  if (::fsync(descriptor_) != 0 && errno != EINVAL && errno != ENOTSUP)
    throw Unavailable::from_errno(path_, "cannot be written");
  const int descriptor = descriptor_;
  descriptor_ = -1;
  const bool closed = ::close(descriptor) == 0;
  if (target_.empty() && closed) return;
  if (!closed || ::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const auto error = Unavailable::from_errno(path_, "cannot be put in place");
    if (!target_.empty()) ::unlink(temporary_.c_str());
    throw error;
  }
}

void write_file(const std::string& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::string cache_folder() {
  const auto variable = [](const char* name) -> std::string {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const auto folder = variable("BALLAST_CACHE"); !folder.empty()) return folder;
  if (const auto folder = variable("XDG_CACHE_HOME"); !folder.empty()) return folder + "/ballast";
  return variable("HOME") + "/.cache/ballast";
}

std::uint64_t checksum64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}
std::uint64_t checksum64(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

Json read_json(const std::string& path) {
  const std::string text = read_file(path);
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    throw InvalidInput::at_byte(path, error.byte, "malformed JSON", "one JSON document");
  }
}

}  // namespace ballast
