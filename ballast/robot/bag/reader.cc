#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/robot/bag/bag.h"
#include "ballast/robot/bag/metadata.h"

namespace ballast::bag {
namespace {

namespace fs = std::filesystem;

/// A file's bytes without reading them all.
class Mapped {
 public:
  explicit Mapped(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw Unavailable::from_errno(path, "cannot be opened");
    struct stat state;
    ::fstat(descriptor, &state);
    size_ = static_cast<std::size_t>(state.st_size);
    if (size_ > 0) memory_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, descriptor, 0);
    ::close(descriptor);
    if (size_ > 0 && memory_ == MAP_FAILED) throw Unavailable::from_errno(path, "cannot be mapped");
  }
  ~Mapped() {
    if (size_ > 0) ::munmap(memory_, size_);
  }
  Mapped(const Mapped&) = delete;
  ByteView bytes() const { return {static_cast<const std::uint8_t*>(memory_), size_}; }

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

/// Several MCAP files as one bag, one after the other.
class McapReader : public Reader {
 public:
  McapReader(const std::vector<std::string>& files, const OpenOptions& options) {
    storage_ = "mcap";
    for (const auto& file : files) {
      const auto copy =
          file.ends_with(".zstd") ? internal::decompressed_copy(file) : std::make_shared<std::string>(file);
      parts_.push_back(std::make_unique<Part>(copy, McapOptions{.recover = options.recover}));
      Part& part = *parts_.back();
      for (const auto& text : part.file.damage()) warnings_.push_back(text);
      for (const auto& [id, schema] : part.file.schemas()) read_schema(schema);
      for (const auto& [id, channel] : part.file.channels()) {
        const auto schema = part.file.schemas().find(channel.schema);
        const std::string type = schema == part.file.schemas().end() ? "" : schema->second.name;
        auto found = std::find_if(topics_.begin(), topics_.end(),
                                  [&](const Topic& topic) { return topic.name == channel.topic; });
        if (found == topics_.end()) {
          const auto qos = channel.metadata.find("offered_qos_profiles");
          topics_.push_back({.name = channel.topic,
                             .type = type,
                             .serialization = channel.message_encoding,
                             .qos = qos == channel.metadata.end() ? "" : qos->second});
          found = topics_.end() - 1;
        }
        part.topic_of[id] = static_cast<std::size_t>(found - topics_.begin());
      }
      for (const auto& entry : part.file.messages()) ++topics_[part.topic_of.at(entry.channel)].count;
    }
  }

  std::optional<Message> next() override {
    while (part_ < parts_.size()) {
      Part& part = *parts_[part_];
      if (at_ < part.file.messages().size()) {
        const auto& entry = part.file.messages()[at_++];
        return Message{part.topic_of.at(entry.channel), static_cast<std::int64_t>(entry.log_time),
                       part.file.data(entry)};
      }
      ++part_;
      at_ = 0;
    }
    return std::nullopt;
  }
  void rewind() override { part_ = at_ = 0; }

 private:
  struct Part {
    Part(std::shared_ptr<std::string> file_path, const McapOptions& options)
        : path(std::move(file_path)), mapped(*path), file(mapped.bytes(), *path, options) {}
    std::shared_ptr<std::string> path;
    Mapped mapped;
    McapFile file;
    std::map<std::uint16_t, std::size_t> topic_of;
  };

  void read_schema(const mcap::Schema& schema) {
    try {
      if (schema.encoding == "ros2msg") types_.add_bundle(schema.name, schema.data);
      if (schema.encoding == "ros2idl") types_.add_idl_bundle(schema.name, schema.data);
    } catch (const InvalidInput& error) {
      warnings_.push_back(fmt::format("schema of {}: {}", schema.name, error.what()));
    }
  }

  std::vector<std::unique_ptr<Part>> parts_;
  std::size_t part_ = 0, at_ = 0;
};

enum class Content { mcap, sqlite, zstd, lfs, other };

Content content_of(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw Unavailable::from_errno(path, "cannot be opened");
  char head[32] = {};
  const auto got = ::read(descriptor, head, sizeof head);
  ::close(descriptor);
  const std::string_view start(head, got > 0 ? static_cast<std::size_t>(got) : 0);
  if (start.substr(0, 8) == std::string_view(reinterpret_cast<const char*>(mcap::kMagic), 8))
    return Content::mcap;
  if (start.starts_with("SQLite format 3")) return Content::sqlite;
  if (start.starts_with("\x28\xb5\x2f\xfd")) return Content::zstd;
  if (start.starts_with("version https://git-lfs")) return Content::lfs;
  return Content::other;
}

std::vector<std::string> files_without_metadata(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& item : fs::directory_iterator(folder)) {
    const auto name = item.path().filename().string();
    for (const char* end : {".mcap", ".db3", ".mcap.zstd", ".db3.zstd"})
      if (name.ends_with(end) && item.is_regular_file()) files.push_back(item.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

namespace internal {

std::shared_ptr<std::string> decompressed_copy(const std::string& file) {
  const Mapped packed(file);
  std::string pattern = (fs::temp_directory_path() / "ballast-bag-XXXXXX").string();
  const int descriptor = ::mkstemp(pattern.data());
  if (descriptor < 0) throw Unavailable::from_errno(pattern, "cannot be made");
  std::shared_ptr<std::string> path(new std::string(pattern), [](std::string* name) {
    ::unlink(name->c_str());
    delete name;
  });
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  ZSTD_DStream* stream = ZSTD_createDStream();
  std::vector<char> buffer(ZSTD_DStreamOutSize());
  ZSTD_inBuffer in{packed.bytes().data(), packed.bytes().size(), 0};
  std::size_t state = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{buffer.data(), buffer.size(), 0};
    state = ZSTD_decompressStream(stream, &out, &in);
    if (ZSTD_isError(state)) break;
    if (::write(descriptor, buffer.data(), out.pos) != static_cast<ssize_t>(out.pos)) {
      ZSTD_freeDStream(stream);
      throw Unavailable::from_errno(pattern, "cannot be written");
    }
  }
  ZSTD_freeDStream(stream);
  if (ZSTD_isError(state)) throw InvalidInput(file + " is no whole zstd file");
  return path;
}

std::unique_ptr<Reader> open_mcap(const std::vector<std::string>& files, const OpenOptions& options) {
  return std::make_unique<McapReader>(files, options);
}

}  // namespace internal

std::size_t Reader::topic_index(const std::string& name) const {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < topics_.size(); ++i) {
    if (topics_[i].name == name) return i;
    known.push_back(fmt::format("{} ({})", topics_[i].name, topics_[i].type));
  }
  throw InvalidInput("topic", name, fmt::format("one of the bag's: {}", fmt::join(known, ", ")));
}

std::unique_ptr<Reader> open(const std::string& path, const OpenOptions& options) {
  std::vector<std::string> files{path};
  std::string message_compression;
  if (!fs::exists(path)) throw Unavailable(path + " does not exist");
  std::vector<std::string> warnings;
  if (fs::is_directory(path)) {
    const std::string file = path + "/metadata.yaml";
    std::optional<Metadata> metadata;
    if (fs::exists(file)) {
      try {
        metadata = parse_metadata(read_file(file, 64 << 20), file);
      } catch (const InvalidInput& error) {
        if (!options.recover) throw;
        warnings.push_back(error.what());
      }
    }
    files.clear();
    if (metadata) {
      if (metadata->compression_mode == "MESSAGE") message_compression = metadata->compression_format;
      for (const auto& name : metadata->files) {
        std::string full = path + "/" + name;
        if (!fs::exists(full) && fs::exists(full + ".zstd")) full += ".zstd";
        if (!fs::exists(full)) {
          const std::string problem = fmt::format("{} names {}, which is not there", file, name);
          if (!options.recover) throw Unavailable(problem);
          warnings.push_back(problem);
          continue;
        }
        files.push_back(full);
      }
    }
    if (files.empty()) files = files_without_metadata(path);
    if (files.empty()) throw Unavailable(path + " holds no .mcap and no .db3 file");
  }
  Content content = content_of(files[0]);
  if (content == Content::zstd) {
    const auto copy = internal::decompressed_copy(files[0]);
    content = content_of(*copy);
  }
  switch (content) {
    case Content::mcap:
      return internal::open_mcap(files, options);
    case Content::sqlite:
      return internal::open_sqlite(files, message_compression, options);
    case Content::lfs:
      throw InvalidInput(files[0] + " is a git-LFS pointer, not the data: fetch it with `git lfs pull`");
    default:
      throw InvalidInput(files[0] + " is neither MCAP nor SQLite 3");
  }
}

Storage storage_from_string(const std::string& word) {
  cli::require_one_of("storage", word, {"sqlite3", "mcap"});
  return word == "mcap" ? Storage::mcap : Storage::sqlite3;
}

Compression compression_from_string(const std::string& word) {
  cli::require_one_of("compression", word, {"none", "zstd", "lz4"});
  return word == "none" ? Compression::none : word == "zstd" ? Compression::zstd : Compression::lz4;
}

}  // namespace ballast::bag
