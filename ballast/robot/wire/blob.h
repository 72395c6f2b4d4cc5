// The "blob" type of Cyclone DDS: samples stay the serialized bytes that they were on the wire, so that one
// kind of endpoint carries every ROS 2 type, those unknown at build time too. Keyless, CDR version 1, no
// XTypes information, exactly as ROS 2's own endpoints announce themselves.
//
// The only file of the house that sees Cyclone's internal headers is blob.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>

struct ddsi_serdata;
struct ddsi_sertype;

namespace ballast::ros::internal {

/// A new sertype of this DDS type name; ownership goes to dds_create_topic_sertype.
ddsi_sertype* new_blob_type(const std::string& dds_type);
/// A sample holding a copy of the payload (encapsulation included), with one reference for the caller; padded
/// up to four bytes with the padding counted in the option bits, as Cyclone itself does.
ddsi_serdata* new_blob(const ddsi_sertype* type, std::span<const std::uint8_t> payload);
/// The bytes of a sample, valid while the caller holds its reference.
std::span<const std::uint8_t> blob_bytes(const ddsi_serdata* blob);
/// The source timestamp with which dds_forwardcdr sends it (CLOCK_REALTIME, nanoseconds).
void set_timestamp(ddsi_serdata* blob, std::int64_t nanoseconds);
void release_blob(ddsi_serdata* blob);

}  // namespace ballast::ros::internal
