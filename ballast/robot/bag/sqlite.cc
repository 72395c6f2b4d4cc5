// rosbag2's sqlite3 storage: tables `topics` and `messages`.
#include <fmt/format.h>
#include <sqlite3.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/robot/bag/bag.h"
#include "ballast/robot/bag/metadata.h"

namespace ballast::bag {
namespace {

class Database {
 public:
  Database(const std::string& path, int flags) : path_(path) {
    if (sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr) != SQLITE_OK) {
      const std::string problem = sqlite3_errmsg(handle_);
      sqlite3_close(handle_);
      throw Unavailable(fmt::format("{}: {}", path, problem));
    }
    sqlite3_busy_timeout(handle_, 2000);
  }
  ~Database() { sqlite3_close(handle_); }
  Database(const Database&) = delete;

  void run(const char* sql) {
    if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }
  [[noreturn]] void fail() const {
    const int code = sqlite3_errcode(handle_);
    const std::string problem = fmt::format("{}: {}", path_, sqlite3_errmsg(handle_));
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_FULL || code == SQLITE_IOERR)
      throw Unavailable(problem);
    throw InvalidInput(problem);
  }
  sqlite3* handle() { return handle_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  sqlite3* handle_ = nullptr;
};

class Statement {
 public:
  Statement(Database& database, const std::string& sql) : database_(database) {
    if (sqlite3_prepare_v2(database.handle(), sql.c_str(), -1, &handle_, nullptr) != SQLITE_OK)
      database.fail();
  }
  ~Statement() { sqlite3_finalize(handle_); }
  Statement(const Statement&) = delete;

  /// Whether there is a row. Throws for damaged files.
  bool step() {
    const int result = sqlite3_step(handle_);
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) database_.fail();
    return false;
  }
  void reset() { sqlite3_reset(handle_); }
  std::int64_t integer(int column) { return sqlite3_column_int64(handle_, column); }
  std::string text(int column) {
    const auto* value = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
    return value ? value : "";
  }
  ByteView blob(int column) {
    const auto* value = static_cast<const std::uint8_t*>(sqlite3_column_blob(handle_, column));
    return {value, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
  }
  sqlite3_stmt* handle() { return handle_; }

 private:
  Database& database_;
  sqlite3_stmt* handle_ = nullptr;
};

bool has_column(Database& database, const std::string& table, const std::string& column) {
  Statement info(database, fmt::format("SELECT name FROM pragma_table_info('{}')", table));
  while (info.step())
    if (info.text(0) == column) return true;
  return false;
}

class SqliteReader : public Reader {
 public:
  SqliteReader(const std::vector<std::string>& files, const std::string& message_compression, bool recover)
      : recover_(recover), packed_(!message_compression.empty()) {
    if (packed_ && message_compression != "zstd")
      throw InvalidInput("message compression", message_compression, "zstd");
    storage_ = "sqlite3";
    for (const auto& file : files) {
      const auto copy =
          file.ends_with(".zstd") ? internal::decompressed_copy(file) : std::make_shared<std::string>(file);
      parts_.push_back(std::make_unique<Part>(copy));
      try {
        read_topics(*parts_.back());
      } catch (const InvalidInput& error) {
        if (!recover) throw;
        warnings_.push_back(error.what());
        parts_.pop_back();
      }
    }
  }

  std::optional<Message> next() override {
    while (part_ < parts_.size()) {
      Part& part = *parts_[part_];
      try {
        while (part.messages && part.messages->step()) {
          const auto topic = part.topic_of.find(part.messages->integer(0));
          if (topic == part.topic_of.end()) {
            if (!recover_)
              throw InvalidInput(fmt::format("{}: a message of an undeclared topic", part.database.path()));
            warnings_.push_back("a message of an undeclared topic");
            continue;
          }
          return Message{topic->second, part.messages->integer(1), unpack(part.messages->blob(2))};
        }
      } catch (const InvalidInput& error) {
        if (!recover_) throw;
        warnings_.push_back(error.what());
      }
      ++part_;
    }
    return std::nullopt;
  }

  void rewind() override {
    part_ = 0;
    for (auto& part : parts_)
      if (part->messages) part->messages->reset();
  }

 private:
  struct Part {
    explicit Part(std::shared_ptr<std::string> path)
        : file(std::move(path)), database(*file, SQLITE_OPEN_READONLY) {}
    std::shared_ptr<std::string> file;
    Database database;
    std::unique_ptr<Statement> messages;
    std::map<std::int64_t, std::size_t> topic_of;
  };

  void read_topics(Part& part) {
    const bool qos = has_column(part.database, "topics", "offered_qos_profiles");
    const bool hash = has_column(part.database, "topics", "type_description_hash");
    Statement topics(
        part.database,
        fmt::format("SELECT t.id, t.name, t.type, t.serialization_format, {}, {}, (SELECT COUNT(*) FROM "
                    "messages m WHERE m.topic_id = t.id) FROM topics t ORDER BY t.id",
                    qos ? "t.offered_qos_profiles" : "''", hash ? "t.type_description_hash" : "''"));
    while (topics.step()) {
      const std::string name = topics.text(1);
      auto found = std::find_if(topics_.begin(), topics_.end(),
                                [&](const Topic& topic) { return topic.name == name; });
      if (found == topics_.end()) {
        topics_.push_back({.name = name,
                           .type = topics.text(2),
                           .serialization = topics.text(3),
                           .qos = topics.text(4),
                           .type_hash = topics.text(5)});
        found = topics_.end() - 1;
      }
      found->count += static_cast<std::uint64_t>(topics.integer(6));
      part.topic_of[topics.integer(0)] = static_cast<std::size_t>(found - topics_.begin());
    }
    if (has_column(part.database, "message_definitions", "topic_type")) {
      Statement definitions(
          part.database, "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions");
      while (definitions.step()) {
        try {
          if (definitions.text(1) == "ros2msg") types_.add_bundle(definitions.text(0), definitions.text(2));
          if (definitions.text(1) == "ros2idl")
            types_.add_idl_bundle(definitions.text(0), definitions.text(2));
        } catch (const InvalidInput& error) {
          warnings_.push_back(error.what());
        }
      }
    }
    part.messages = std::make_unique<Statement>(
        part.database, "SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp, id");
  }

  ByteView unpack(ByteView data) {
    if (!packed_) return data;
    const auto size = ZSTD_getFrameContentSize(data.data(), data.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > (std::uint64_t{1} << 30))
      throw InvalidInput("a message that is no zstd frame of known size");
    unpacked_.resize(size);
    const auto got = ZSTD_decompress(unpacked_.data(), size, data.data(), data.size());
    if (ZSTD_isError(got) || got != size) throw InvalidInput("a message that does not decompress");
    return unpacked_;
  }

  bool recover_, packed_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::size_t part_ = 0;
  std::vector<std::uint8_t> unpacked_;
};

}  // namespace

namespace internal {
std::unique_ptr<Reader> open_sqlite(const std::vector<std::string>& files,
                                    const std::string& message_compression, const OpenOptions& options) {
  return std::make_unique<SqliteReader>(files, message_compression, options.recover);
}
}  // namespace internal

namespace {

namespace fs = std::filesystem;

/// What both storages share: the folder, counts and metadata.yaml.
class FolderWriter : public Writer {
 public:
  FolderWriter(const std::string& folder, const std::string& storage) : folder_(folder) {
    if (fs::exists(folder)) throw InvalidInput("bag folder", folder, "one that does not exist yet");
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) throw Unavailable(fmt::format("{} cannot be made: {}", folder, error.message()));
    metadata_.storage = storage;
  }
  ~FolderWriter() override {
    std::error_code ignored;
    if (!finished_) fs::remove_all(folder_, ignored);
  }

 protected:
  std::string stem() const { return fs::path(folder_).filename().string() + "_0"; }
  std::size_t note_topic(Topic topic) {
    topic.count = 0;
    if (topic.qos.empty()) topic.qos = qos_to_yaml({});
    metadata_.topics.push_back(std::move(topic));
    return metadata_.topics.size() - 1;
  }
  void note_message(std::size_t topic, std::int64_t time_ns) {
    ++metadata_.topics.at(topic).count;
    if (metadata_.message_count++ == 0) first_ = last_ = time_ns;
    first_ = std::min(first_, time_ns);
    last_ = std::max(last_, time_ns);
    metadata_.start_ns = first_;
    metadata_.duration_ns = last_ - first_;
  }
  void finish_metadata(const std::string& file) {
    metadata_.files = {file};
    write_file(folder_ + "/metadata.yaml", to_yaml(metadata_));
    finished_ = true;
  }
  std::string folder_;
  Metadata metadata_;

 private:
  std::int64_t first_ = 0, last_ = 0;
  bool finished_ = false;
};

class SqliteWriter : public FolderWriter {
 public:
  SqliteWriter(const std::string& folder, Compression compression)
      : FolderWriter(folder, "sqlite3"),
        compression_(compression),
        database_(std::make_unique<Database>(folder + "/" + stem() + ".db3",
                                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)) {
    if (compression == Compression::lz4) throw InvalidInput("compression of sqlite3", "lz4", "none or zstd");
    database_->run(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
        "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);"
        "INSERT INTO schema VALUES(3, 'humble');"
        "CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT "
        "NULL);"
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
        "serialization_format "
        "TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT "
        "NULL, data "
        "BLOB NOT NULL); CREATE INDEX timestamp_idx ON messages (timestamp ASC); BEGIN;");
    insert_ = std::make_unique<Statement>(*database_,
                                          "INSERT INTO messages(topic_id, timestamp, data) VALUES(?, ?, ?)");
  }

  std::size_t add_topic(const Topic& topic, const ros::TypeLibrary&) override {
    const auto index = note_topic(topic);
    Statement insert(*database_, "INSERT INTO topics VALUES(?, ?, ?, ?, ?)");
    const auto& noted = metadata_.topics[index];
    sqlite3_bind_int64(insert.handle(), 1, static_cast<std::int64_t>(index) + 1);
    const std::string* texts[] = {&noted.name, &noted.type, &noted.serialization, &noted.qos};
    for (int i = 0; i < 4; ++i)
      sqlite3_bind_text(insert.handle(), i + 2, texts[i]->c_str(), -1, SQLITE_TRANSIENT);
    insert.step();
    return index;
  }

  void write(std::size_t topic, std::int64_t time_ns, ByteView data) override {
    note_message(topic, time_ns);
    sqlite3_bind_int64(insert_->handle(), 1, static_cast<std::int64_t>(topic) + 1);
    sqlite3_bind_int64(insert_->handle(), 2, time_ns);
    sqlite3_bind_blob64(insert_->handle(), 3, data.data(), data.size(), SQLITE_STATIC);
    insert_->step();
    insert_->reset();
  }

  void finish() override {
    database_->run("COMMIT");
    insert_.reset();
    database_.reset();
    std::string file = stem() + ".db3";
    if (compression_ == Compression::zstd) {
      const std::string plain = folder_ + "/" + file;
      const std::string bytes = read_file(plain);
      std::string packed(ZSTD_compressBound(bytes.size()), '\0');
      const auto size = ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 1);
      if (ZSTD_isError(size)) throw Unavailable("zstd cannot compress " + plain);
      packed.resize(size);
      file += ".zstd";
      write_file(folder_ + "/" + file, packed);
      fs::remove(plain);
      metadata_.compression_format = "zstd";
      metadata_.compression_mode = "FILE";
    }
    finish_metadata(file);
  }

 private:
  Compression compression_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Statement> insert_;
};

class McapFolderWriter : public FolderWriter {
 public:
  McapFolderWriter(const std::string& folder, Compression compression)
      : FolderWriter(folder, "mcap"), writer_(folder + "/" + stem() + ".mcap", compression) {}

  std::size_t add_topic(const Topic& topic, const ros::TypeLibrary& types) override {
    const auto index = note_topic(topic);
    const auto& noted = metadata_.topics[index];
    auto& schema = schemas_[noted.type];
    if (schema == 0) {
      const std::string text = types.find(noted.type) ? ros::to_msg_bundle(types, noted.type) : "";
      schema = writer_.add_schema(noted.type, text.empty() ? "" : "ros2msg", text);
    }
    channels_.push_back(
        writer_.add_channel(schema, noted.name, noted.serialization, {{"offered_qos_profiles", noted.qos}}));
    return index;
  }
  void write(std::size_t topic, std::int64_t time_ns, ByteView data) override {
    note_message(topic, time_ns);
    const auto time = static_cast<std::uint64_t>(time_ns);
    writer_.write(channels_.at(topic), static_cast<std::uint32_t>(metadata_.topics[topic].count), time, time,
                  data);
  }
  void finish() override {
    const std::string file = stem() + ".mcap";
    metadata_.files = {file};
    writer_.add_metadata("rosbag2", {{"serialized_metadata", to_yaml(metadata_)}});
    writer_.finish();
    finish_metadata(file);
  }

 private:
  McapWriter writer_;
  std::map<std::string, std::uint16_t> schemas_;
  std::vector<std::uint16_t> channels_;
};

}  // namespace

std::unique_ptr<Writer> create(const std::string& folder, Storage storage, Compression compression) {
  if (storage == Storage::sqlite3) return std::make_unique<SqliteWriter>(folder, compression);
  return std::make_unique<McapFolderWriter>(folder, compression);
}

}  // namespace ballast::bag
