#include "ballast/robot/wire/announcer.h"

#include <algorithm>

#include "ballast/robot/wire/names.h"

namespace ballast::ros {
namespace {

template <std::size_t kGidSize>
void write_gid(CdrWriter& writer, const Guid& guid) {
  std::array<std::uint8_t, kGidSize> gid{};
  std::copy(guid.begin(), guid.end(), gid.begin());
  writer.write(gid);
}

template <std::size_t kGidSize>
Guid read_gid(CdrReader& reader) {
  std::array<std::uint8_t, kGidSize> gid{};
  reader.read(gid);
  Guid guid;
  std::copy(gid.begin(), gid.begin() + guid.size(), guid.begin());
  return guid;
}

template <std::size_t kGidSize>
Bytes encode(const ParticipantNodes& record) {
  Bytes bytes;
  CdrWriter writer(bytes);
  write_gid<kGidSize>(writer, record.participant);
  writer.write(static_cast<std::uint32_t>(record.nodes.size()));
  for (const auto& node : record.nodes) {
    writer.write(node.name_space);
    writer.write(node.name);
    for (const auto* guids : {&node.readers, &node.writers}) {
      writer.write(static_cast<std::uint32_t>(guids->size()));
      for (const auto& guid : *guids) write_gid<kGidSize>(writer, guid);
    }
  }
  return bytes;
}

template <std::size_t kGidSize>
ParticipantNodes decode(ByteView payload) {
  CdrReader reader(payload);
  ParticipantNodes record{read_gid<kGidSize>(reader), {}};
  const auto nodes = reader.read_count(16);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    NodeEndpoints node;
    reader.read(node.name_space);
    reader.read(node.name);
    if (node.name_space.size() > 256 || node.name.size() > 256) reader.fail("a node name of over 256 bytes");
    for (auto* guids : {&node.readers, &node.writers}) {
      const auto count = reader.read_count(kGidSize);
      for (std::uint32_t k = 0; k < count; ++k) guids->push_back(read_gid<kGidSize>(reader));
    }
    record.nodes.push_back(std::move(node));
  }
  if (reader.left() > 3) reader.fail("bytes behind the end of the record");
  return record;
}

}  // namespace

Bytes encode_discovery(const ParticipantNodes& record, Dialect dialect) {
  return dialect == Dialect::humble ? encode<24>(record) : encode<16>(record);
}

ParticipantNodes decode_discovery(ByteView payload) {
  try {
    return decode<16>(payload);
  } catch (const InvalidInput&) {
    return decode<24>(payload);
  }
}

NodeAnnouncer::NodeAnnouncer(Context& context) : context_(context) {
  publisher_ =
      std::make_unique<RawPublisher>(context, kDiscoveryTopic, kDiscoveryType, QosProfile::transient_local(1),
                                     EndpointOptions{.plain_name = true});
}

NodeAnnouncer::~NodeAnnouncer() {
  publisher_->publish(encode_discovery({context_.guid(), {}}, context_.options().dialect));
}

template <typename Change>
void NodeAnnouncer::change(const std::string& node, Change apply) {
  const std::lock_guard lock(mutex_);
  auto found = nodes_.find(node);
  if (found == nodes_.end()) {
    check_full_name(node);
    const auto slash = node.rfind('/');
    found =
        nodes_
            .emplace(node,
                     NodeEndpoints{slash == 0 ? "/" : node.substr(0, slash), node.substr(slash + 1), {}, {}})
            .first;
  }
  apply(found->second);
  publish();
}

void NodeAnnouncer::add_node(const std::string& node) {
  change(node, [](NodeEndpoints&) {});
}
void NodeAnnouncer::remove_node(const std::string& node) {
  const std::lock_guard lock(mutex_);
  nodes_.erase(node);
  publish();
}
void NodeAnnouncer::add_reader(const std::string& node, const Guid& guid) {
  change(node, [&](NodeEndpoints& endpoints) { endpoints.readers.push_back(guid); });
}
void NodeAnnouncer::remove_reader(const std::string& node, const Guid& guid) {
  change(node, [&](NodeEndpoints& endpoints) { std::erase(endpoints.readers, guid); });
}
void NodeAnnouncer::add_writer(const std::string& node, const Guid& guid) {
  change(node, [&](NodeEndpoints& endpoints) { endpoints.writers.push_back(guid); });
}
void NodeAnnouncer::remove_writer(const std::string& node, const Guid& guid) {
  change(node, [&](NodeEndpoints& endpoints) { std::erase(endpoints.writers, guid); });
}

void NodeAnnouncer::publish() {
  ParticipantNodes record{context_.guid(), {}};
  for (const auto& [unused, node] : nodes_) record.nodes.push_back(node);
  publisher_->publish(encode_discovery(record, context_.options().dialect));
}

}  // namespace ballast::ros
