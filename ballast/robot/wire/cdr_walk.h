// Reads CDR payloads of any type whose description is known at run time: to JSON for `echo`, and to the place
// of one field for keys such as user:header.stamp.
#pragma once

#include <cstdint>
#include <string_view>

#include "ballast/base/json.h"
#include "ballast/robot/wire/cdr.h"
#include "ballast/robot/wire/type_description.h"

namespace ballast::ros {

struct WalkLimits {
  std::size_t elements = 16;  ///< at most so many elements of a sequence are shown, then its length
};

/// The message as JSON. Throws InvalidInput for damaged payloads; never reads past the end.
Json cdr_to_json(const TypeLibrary& library, std::string_view type, ByteView payload,
                 const WalkLimits& limits = {});

struct Place {
  std::size_t offset = 0;  ///< from the start of the payload
  FieldType type;
};
/// Where the field of this dotted path lies in this payload ("header.stamp.sec"). Throws InvalidInput when
/// the path names no field, or goes through a sequence.
Place locate(const TypeLibrary& library, std::string_view type, ByteView payload, std::string_view path);

/// Throws InvalidInput unless the payload is a whole message of this type (trailing padding allowed).
void check_payload(const TypeLibrary& library, std::string_view type, ByteView payload);

}  // namespace ballast::ros
