// Whole files, written so that no reader ever sees half of one.
//
//   AtomicFile file("report.html");     // writes report.html.tmp-PID beside it
//   file.write(text);
//   file.commit();                      // fsync, then rename; without it the temporary is removed
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ballast {

/// The whole content of a file. Throws Unavailable (missing, unreadable) or InvalidInput (larger than
/// `limit_bytes`).
std::string read_file(const std::string& path, std::uint64_t limit_bytes = std::uint64_t{1} << 33);

/// A file that appears under its name complete or not at all. Every failure (missing directory, full disk)
/// throws Unavailable naming the path, and leaves nothing behind. A link is followed: the file that it names
/// is replaced. What is no regular file (/dev/stdout, a pipe) is written to as it is, at once.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view text);
  void write(std::span<const std::byte> bytes);
  /// Must be called once, last.
  void commit();

 private:
  void flush();
  std::string path_;       // as it was given
  std::string target_;     // what is replaced; empty: written to directly
  std::string temporary_;  // beside the target
  std::string buffer_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file(const std::string& path, std::string_view content);

/// Where set-up keeps what it fetches, shared by all clones: $BALLAST_CACHE, or ~/.cache/ballast (see
/// setup/setup.sh). Without a trailing slash; it need not exist.
std::string cache_folder();

/// XXH3-64 of the bytes: the checksum of every frame and file that Ballast writes.
std::uint64_t checksum64(std::span<const std::byte> bytes);
std::uint64_t checksum64(std::string_view text);

}  // namespace ballast
