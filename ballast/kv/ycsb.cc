#include "ballast/kv/ycsb.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ballast/base/errors.h"
#include "ballast/data/ycsb_properties.h"
#include "ballast/orch/orch.h"
#include "ballast/orch/workload.h"

namespace ballast::kv {
namespace {

using cluster::Buffer;
using cluster::Reader;

// A record, held as the version of each field: its bytes follow from key and versions. On the wire it has its
// full size.
struct Record {
  static constexpr std::uint32_t kMostFields = 16;
  std::uint32_t fields = 10, field_bytes = 100;
  std::array<std::uint64_t, kMostFields> version{};

  std::size_t encoded_size() const { return 8 + std::size_t{fields} * field_bytes; }
  void encode(Buffer& out) const {
    out.put(fields);
    out.put(field_bytes);
    std::byte* place = out.extend(std::size_t{fields} * field_bytes);
    for (std::uint32_t f = 0; f < fields; ++f, place += field_bytes) {
      std::memcpy(place, &version[f], 8);
      std::memset(place + 8, 'x', field_bytes - 8);
    }
  }
  static Record decode(Reader& in) {
    Record record{in.get<std::uint32_t>(), in.get<std::uint32_t>()};
    if (record.fields > kMostFields || record.field_bytes < 8)
      throw InvalidInput("a record of an impossible shape arrived");
    for (std::uint32_t f = 0; f < record.fields; ++f)
      std::memcpy(&record.version[f], in.take(record.field_bytes).data(), 8);
    return record;
  }
};

struct Written {
  std::uint32_t field_bytes = 0, field = 0;
  orch::TaskId id = 0;
  std::uint64_t version = 0;
  auto operator<=>(const Written&) const = default;
};

// The writes of one key: the last of each field; an insert writes all fields.
struct Writes {
  std::uint32_t fields = 0, field_bytes = 0;
  std::vector<Written> list;

  std::size_t encoded_size() const { return 9 + list.size() * (12 + std::size_t{field_bytes}); }
  void encode(Buffer& out) const {
    out.put(fields);
    out.put(field_bytes);
    out.put(static_cast<std::uint8_t>(list.size()));
    for (const auto& written : list) {
      out.put(written.id);
      out.put(written.field);
      std::byte* place = out.extend(field_bytes);
      std::memcpy(place, &written.version, 8);
      std::memset(place + 8, 'x', field_bytes - 8);
    }
  }
  static Writes decode(Reader& in) {
    Writes writes{in.get<std::uint32_t>(), in.get<std::uint32_t>(), {}};
    if (writes.field_bytes < 8) throw InvalidInput("a field of an impossible size arrived");
    for (auto n = in.get<std::uint8_t>(); n > 0; --n) {
      Written written{.field_bytes = writes.field_bytes};
      written.id = in.get<orch::TaskId>();
      written.field = in.get<std::uint32_t>();
      std::memcpy(&written.version, in.take(writes.field_bytes).data(), 8);
      writes.list.push_back(written);
    }
    return writes;
  }
};

enum class Verb : std::uint8_t { read, update, insert, read_modify_write };

struct Request {
  Verb verb = Verb::read;
  bool all_fields = true;
  std::uint32_t fields = 10, field_bytes = 100, field = 0;
  std::uint64_t version = 0;

  // A read carries its verb and field; what writes carries the bytes it writes.
  std::size_t payload() const {
    return verb == Verb::read ? 0 : verb == Verb::insert ? std::size_t{fields} * field_bytes : field_bytes;
  }
  std::size_t encoded_size() const { return 10 + 8 + payload(); }
  void encode(Buffer& out) const {
    out.put(verb);
    out.put(all_fields);
    out.put(static_cast<std::uint16_t>(field));
    out.put(static_cast<std::uint16_t>(fields));
    out.put(field_bytes);
    out.put(version);
    if (payload() > 0) std::memset(out.extend(payload()), 'x', payload());
  }
  static Request decode(Reader& in) {
    Request request;
    request.verb = in.get<Verb>();
    request.all_fields = in.get<bool>();
    request.field = in.get<std::uint16_t>();
    request.fields = in.get<std::uint16_t>();
    request.field_bytes = in.get<std::uint32_t>();
    request.version = in.get<std::uint64_t>();
    in.take(request.payload());
    return request;
  }
};

// What a read gives: the record or a field, as a digest that travels at full size.
struct Content {
  std::uint32_t bytes = 0;
  std::uint64_t digest = 0;

  std::size_t encoded_size() const { return 4 + (bytes == 0 ? 0 : std::max<std::size_t>(8, bytes)); }
  void encode(Buffer& out) const {
    out.put(bytes);
    if (bytes == 0) return;
    std::byte* place = out.extend(std::max<std::size_t>(8, bytes));
    std::memcpy(place, &digest, 8);
    std::memset(place + 8, 'x', std::max<std::size_t>(8, bytes) - 8);
  }
  static Content decode(Reader& in) {
    Content content{in.get<std::uint32_t>()};
    if (content.bytes > 0)
      std::memcpy(&content.digest, in.take(std::max<std::size_t>(8, content.bytes)).data(), 8);
    return content;
  }
};

struct Ycsb {
  using Key = std::uint64_t;
  using Context = Request;
  using Item = Record;
  using Update = Writes;
  using Reply = Content;
  static constexpr orch::Absent kAbsent = orch::Absent::create;

  static Content run(const Request& request, const Record* record, orch::Emit<Ycsb>& out) {
    Content content;
    if (request.verb != Verb::update && request.verb != Verb::insert && record != nullptr) {
      content.bytes = request.all_fields ? record->fields * record->field_bytes : record->field_bytes;
      for (std::uint32_t f = 0; f < record->fields; ++f) {
        if (request.all_fields || f == request.field)
          content.digest = mix64(content.digest ^ record->version[f]);
      }
    }
    if (request.verb == Verb::read) return content;
    Writes writes{request.fields, request.field_bytes, {}};
    for (std::uint32_t f = 0; f < request.fields; ++f) {
      if (request.verb == Verb::insert || f == request.field)
        writes.list.push_back({request.field_bytes, f, out.id(), mix64(request.version + f)});
    }
    out.self(std::move(writes));
    return content;
  }
  static double reply_bytes(const Request& request, double) {
    if (request.verb == Verb::update || request.verb == Verb::insert) return 4;
    return 4 + (request.all_fields ? request.fields : 1) * static_cast<double>(request.field_bytes);
  }
  static Writes merge(Writes a, Writes b) {
    for (const auto& written : b.list) {
      const auto same = std::find_if(a.list.begin(), a.list.end(),
                                     [&](const Written& w) { return w.field == written.field; });
      if (same == a.list.end()) {
        a.list.push_back(written);
      } else if (same->id < written.id) {
        *same = written;
      }
    }
    return a;
  }
  static bool same(const Writes& x, const Writes& y) {  // the order of fields does not matter
    return x.list.size() == y.list.size() &&
           std::is_permutation(x.list.begin(), x.list.end(), y.list.begin());
  }
  static void apply(Record& record, const Writes& writes) {
    record.fields = writes.fields;
    record.field_bytes = writes.field_bytes;
    for (const auto& written : writes.list) record.version.at(written.field) = written.version;
  }
};

void check(const Workload& workload, const std::string& where) {
  const double sum =
      workload.read + workload.update + workload.insert + workload.read_modify_write + workload.scan;
  if (sum < 0.999 || sum > 1.001)
    throw InvalidInput(fmt::format("{}: the shares of operations add up to {}", where, sum), "",
                       "shares that add up to 1");
  if (workload.fields < 1 || workload.fields > Record::kMostFields || workload.field_bytes < 8)
    throw InvalidInput(fmt::format("{}: {} fields of {} bytes", where, workload.fields, workload.field_bytes),
                       "", "1 to 16 fields of at least 8 bytes");
  if (workload.scan > 0 &&
      (workload.read_modify_write > 0 || workload.max_scan < 1 || workload.max_scan > 10'000))
    throw InvalidInput(where + ": a workload with scans", "",
                       "no read-modify-write, and maxscanlength 1 to 10000");
  if (workload.records < 2)
    throw InvalidInput(where + ": recordcount", std::to_string(workload.records), "at least 2");
}

}  // namespace

Workload Workload::named(const std::string& letter) {
  Workload w{.name = letter};
  if (letter == "A") return w;
  if (letter == "B") return w.read = 0.95, w.update = 0.05, w;
  if (letter == "C") return w.read = 1, w.update = 0, w;
  if (letter == "D") return w.read = 0.95, w.update = 0, w.insert = 0.05, w.law = data::KeyLaw::latest, w;
  if (letter == "F") return w.update = 0, w.read_modify_write = 0.5, w;
  if (letter == "E") return w.read = 0, w.update = 0, w.insert = 0.05, w.scan = 0.95, w;
  throw InvalidInput("--workload", letter, "A to F or a .properties file");
}

Workload Workload::from_properties(const std::string& path) {
  const data::YcsbProperties p = data::read_ycsb_properties(path);
  const Workload w{.name = path,
                   .read = p.read,
                   .update = p.update,
                   .insert = p.insert,
                   .read_modify_write = p.read_modify_write,
                   .scan = p.scan,
                   .law = p.law,
                   .exponent = p.exponent,
                   .records = p.records,
                   .fields = p.fields,
                   .field_bytes = p.field_bytes,
                   .read_all_fields = p.read_all_fields,
                   .max_scan = p.max_scan};
  check(w, path);
  return w;
}

void set_shares(WorkloadResult& result, const std::map<std::uint64_t, std::uint64_t>& drawn) {
  std::vector<std::uint64_t> counts;
  std::uint64_t all = 0;
  for (const auto& [key, count] : drawn) {
    counts.push_back(count);
    all += count;
  }
  std::sort(counts.rbegin(), counts.rend());
  std::uint64_t top = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(100, counts.size()); ++i) top += counts[i];
  if (all == 0) return;
  result.hottest_share = static_cast<double>(counts[0]) / static_cast<double>(all);
  result.top100_share = static_cast<double>(top) / static_cast<double>(all);
}

void require_equal_digests(const std::vector<WorkloadResult>& results) {
  for (const auto& result : results) {
    if (result.digest != results[0].digest)
      throw orch::StageFailed(result.method + " and " + results[0].method +
                              " leave different stores or replies");
  }
}

std::vector<WorkloadResult> run_workload(cluster::Cluster& cluster, const Workload& workload,
                                         const std::vector<std::string>& methods, std::uint64_t batch_size,
                                         int rounds, std::uint64_t seed) {
  check(workload, workload.name);
  if (workload.scan > 0) return run_scan_workload(cluster, workload, methods, batch_size, rounds, seed);
  std::vector<orch::Options> options;
  for (const auto& name : methods) options.push_back(orch::options_from_name(name));
  const double exponent =
      workload.law == data::KeyLaw::latest ? std::min(workload.exponent, 0.99) : workload.exponent;
  const data::KeyChooser keys({.law = workload.law, .records = workload.records, .exponent = exponent}, seed);
  std::vector<WorkloadResult> results;
  cluster.run([&](cluster::Machine& me) {
    for (std::size_t m = 0; m < methods.size(); ++m) {
      orch::Store<Ycsb> store(me);
      for (std::uint64_t key = 0; key < workload.records; ++key) {
        if (!store.owns(key)) continue;
        Record record{workload.fields, workload.field_bytes};
        for (std::uint32_t f = 0; f < workload.fields; ++f) record.version[f] = mix64(key * 31 + f);
        store.put(key, record);
      }
      WorkloadResult result{.method = methods[m]};
      std::map<std::uint64_t, std::uint64_t> drawn;
      std::uint64_t digest = 0;
      for (int round = 0; round < rounds; ++round) {
        orch::Batch<Ycsb> batch;
        batch.reserve(batch_size);
        Random random(seed,
                      mix64(static_cast<std::uint64_t>(round) << 32 | static_cast<std::uint64_t>(me.id())));
        for (std::uint64_t i = 0; i < batch_size; ++i) {
          const double u = random.uniform();
          Request request{.all_fields = workload.read_all_fields,
                          .fields = workload.fields,
                          .field_bytes = workload.field_bytes,
                          .field = static_cast<std::uint32_t>(random.below(workload.fields)),
                          .version = random()};
          std::uint64_t key = keys.at(static_cast<std::uint64_t>(me.id()),
                                      static_cast<std::uint64_t>(round) * batch_size + i);
          if (u < workload.read) {
            request.verb = Verb::read;
          } else if (u < workload.read + workload.update) {
            request.verb = Verb::update;
          } else if (u < workload.read + workload.update + workload.insert) {
            request.verb = Verb::insert;
            key = workload.records + ((static_cast<std::uint64_t>(round) * batch_size + i) *
                                          static_cast<std::uint64_t>(me.machines()) +
                                      static_cast<std::uint64_t>(me.id()));
          } else {
            request.verb = Verb::read_modify_write;
          }
          if (m == 0 && request.verb != Verb::insert) ++drawn[key];
          batch.add(key, request);
        }
        me.barrier();
        result.report = orch::run(me, store, batch, options[m]);
        result.seconds += result.report.seconds();
        result.busiest_bytes += result.report.busiest_bytes();
        result.operations += batch_size * static_cast<std::uint64_t>(me.machines());
        for (std::size_t i = 0; i < batch.size(); ++i) digest += mix64(batch.reply(i).digest + i);
      }
      for (const auto& [key, record] : store.all()) {
        std::uint64_t content = key;
        for (std::uint32_t f = 0; f < record.fields; ++f) content = mix64(content ^ record.version[f]);
        digest += mix64(content);
      }
      result.digest = me.allreduce(digest, std::plus<>());
      if (m == 0) set_shares(result, drawn);
      if (me.is_first()) results.push_back(std::move(result));
    }
  });
  require_equal_digests(results);
  return results;
}

}  // namespace ballast::kv
