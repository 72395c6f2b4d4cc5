#include "ballast/robot/wire/blob.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <dds/dds.h>
#include <dds/ddsi/ddsi_serdata.h>
#include <dds/ddsi/ddsi_sertype.h>
#include <dds/ddsi/q_radmin.h>
#pragma GCC diagnostic pop

namespace ballast::ros::internal {
namespace {

struct Blob {
  ddsi_serdata header;  // must be first: Cyclone sees only this
  std::uint8_t* bytes;
  std::uint32_t size;      ///< payload with encapsulation
  std::uint32_t capacity;  ///< rounded up to four bytes
};

Blob* as_blob(const ddsi_serdata* data) {
  return reinterpret_cast<Blob*>(const_cast<ddsi_serdata*>(data));
}

Blob* allocate(const ddsi_sertype* type, ddsi_serdata_kind kind, std::size_t size) {
  auto* blob = static_cast<Blob*>(std::malloc(sizeof(Blob)));
  if (!blob) return nullptr;
  std::memset(static_cast<void*>(blob), 0, sizeof(Blob));
  blob->capacity = static_cast<std::uint32_t>((size + 3) & ~std::size_t{3});
  blob->size = static_cast<std::uint32_t>(size);
  blob->bytes = static_cast<std::uint8_t*>(std::malloc(blob->capacity ? blob->capacity : 4));
  if (!blob->bytes) {
    std::free(blob);
    return nullptr;
  }
  std::memset(blob->bytes + size, 0, blob->capacity - size);
  ddsi_serdata_init(&blob->header, type, kind);
  return blob;
}

bool serdata_equal_key(const ddsi_serdata*, const ddsi_serdata*) {
  return true;  // keyless
}
std::uint32_t serdata_size(const ddsi_serdata* data) {
  return as_blob(data)->size;
}

ddsi_serdata* serdata_from_fragments(const ddsi_sertype* type, ddsi_serdata_kind kind,
                                     const nn_rdata* fragments, std::size_t size) {
  Blob* blob = allocate(type, kind, size);
  if (!blob) return nullptr;
  std::uint32_t filled = 0;
  for (; fragments; fragments = fragments->nextfrag) {
    if (fragments->maxp1 <= filled || fragments->maxp1 > size) continue;
    const unsigned char* payload =
        NN_RMSG_PAYLOADOFF(fragments->rmsg, NN_RDATA_PAYLOAD_OFF(fragments)) + (filled - fragments->min);
    std::memcpy(blob->bytes + filled, payload, fragments->maxp1 - filled);
    filled = fragments->maxp1;
  }
  return &blob->header;
}

ddsi_serdata* serdata_from_pieces(const ddsi_sertype* type, ddsi_serdata_kind kind, ddsrt_msg_iovlen_t count,
                                  const ddsrt_iovec_t* pieces, std::size_t size) {
  Blob* blob = allocate(type, kind, size);
  if (!blob) return nullptr;
  std::size_t filled = 0;
  for (ddsrt_msg_iovlen_t i = 0; i < count && filled < size; ++i) {
    const std::size_t part = pieces[i].iov_len < size - filled ? pieces[i].iov_len : size - filled;
    std::memcpy(blob->bytes + filled, pieces[i].iov_base, part);
    filled += part;
  }
  return &blob->header;
}

ddsi_serdata* serdata_from_key_hash(const ddsi_sertype* type, const ddsi_keyhash*) {
  Blob* blob = allocate(type, SDK_KEY, 4);
  return blob ? &blob->header : nullptr;
}
ddsi_serdata* serdata_from_sample(const ddsi_sertype* type, ddsi_serdata_kind kind, const void*) {
  Blob* blob = allocate(type, kind, 4);  // a keyless key: nothing
  return blob ? &blob->header : nullptr;
}

void serdata_to_ser(const ddsi_serdata* data, std::size_t offset, std::size_t size, void* buffer) {
  std::memcpy(buffer, as_blob(data)->bytes + offset, size);
}
ddsi_serdata* serdata_to_ser_ref(const ddsi_serdata* data, std::size_t offset, std::size_t size,
                                 ddsrt_iovec_t* piece) {
  piece->iov_base = as_blob(data)->bytes + offset;
  piece->iov_len = size;
  return ddsi_serdata_ref(data);
}
void serdata_to_ser_unref(ddsi_serdata* data, const ddsrt_iovec_t*) {
  ddsi_serdata_unref(data);
}
bool serdata_to_sample(const ddsi_serdata*, void*, void**, void*) {
  return false;
}
ddsi_serdata* serdata_to_untyped(const ddsi_serdata* data) {
  Blob* blob = allocate(data->type, SDK_KEY, 4);
  if (!blob) return nullptr;
  blob->header.type = nullptr;
  return &blob->header;
}
bool serdata_untyped_to_sample(const ddsi_sertype*, const ddsi_serdata*, void*, void**, void*) {
  return true;
}
void serdata_free(ddsi_serdata* data) {
  std::free(as_blob(data)->bytes);
  std::free(data);
}
std::size_t serdata_print(const ddsi_sertype*, const ddsi_serdata* data, char* buffer, std::size_t size) {
  return static_cast<std::size_t>(std::snprintf(buffer, size, "blob(%u)", as_blob(data)->size));
}
void serdata_key_hash(const ddsi_serdata*, ddsi_keyhash* hash, bool) {
  std::memset(hash->value, 0, sizeof hash->value);
}
std::uint32_t serdata_shared_size(const ddsi_serdata*) {
  return 0;
}
ddsi_serdata* serdata_from_shared(const ddsi_sertype*, ddsi_serdata_kind, void*, void*) {
  return nullptr;
}

constexpr ddsi_serdata_ops kSerdataOps = {
    .eqkey = serdata_equal_key,
    .get_size = serdata_size,
    .from_ser = serdata_from_fragments,
    .from_ser_iov = serdata_from_pieces,
    .from_keyhash = serdata_from_key_hash,
    .from_sample = serdata_from_sample,
    .to_ser = serdata_to_ser,
    .to_ser_ref = serdata_to_ser_ref,
    .to_ser_unref = serdata_to_ser_unref,
    .to_sample = serdata_to_sample,
    .to_untyped = serdata_to_untyped,
    .untyped_to_sample = serdata_untyped_to_sample,
    .free = serdata_free,
    .print = serdata_print,
    .get_keyhash = serdata_key_hash,
    .get_sample_size = serdata_shared_size,
    .from_iox_buffer = serdata_from_shared,
};

void sertype_free(ddsi_sertype* type) {
  ddsi_sertype_fini(type);
  std::free(type);
}
void sertype_zero(const ddsi_sertype*, void*, std::size_t) {}
void sertype_realloc(void** pointers, const ddsi_sertype*, void*, std::size_t, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) pointers[i] = nullptr;
}
void sertype_free_samples(const ddsi_sertype*, void**, std::size_t, dds_free_op_t) {}
bool sertype_equal(const ddsi_sertype*, const ddsi_sertype*) {
  return true;  // the type name is compared before
}
std::uint32_t sertype_hash(const ddsi_sertype*) {
  return 0;
}
std::size_t sertype_serialized_size(const ddsi_sertype*, const void*) {
  return SIZE_MAX;
}
bool sertype_serialize_into(const ddsi_sertype*, const void*, void*, std::size_t) {
  return false;
}
ddsi_sertype* sertype_derive(const ddsi_sertype* base, dds_data_representation_id_t,
                             dds_type_consistency_enforcement_qospolicy_t);

const ddsi_sertype_ops kSertypeOps = {
    .version = ddsi_sertype_v0,
    .arg = nullptr,
    .free = sertype_free,
    .zero_samples = sertype_zero,
    .realloc_samples = sertype_realloc,
    .free_samples = sertype_free_samples,
    .equal = sertype_equal,
    .hash = sertype_hash,
    .type_id = nullptr,
    .type_map = nullptr,
    .type_info = nullptr,
    .derive_sertype = sertype_derive,
    .get_serialized_size = sertype_serialized_size,
    .serialize_into = sertype_serialize_into,
};

ddsi_sertype* sertype_derive(const ddsi_sertype* base, dds_data_representation_id_t,
                             dds_type_consistency_enforcement_qospolicy_t) {
  return const_cast<ddsi_sertype*>(base);  // one representation only: the type itself serves
}

}  // namespace

ddsi_sertype* new_blob_type(const std::string& dds_type) {
  auto* type = static_cast<ddsi_sertype*>(std::calloc(1, sizeof(ddsi_sertype)));
  if (!type) throw std::bad_alloc();
  ddsi_sertype_init_flags(type, dds_type.c_str(), &kSertypeOps, &kSerdataOps,
                          DDSI_SERTYPE_FLAG_TOPICKIND_NO_KEY);
  type->allowed_data_representation = DDS_DATA_REPRESENTATION_FLAG_XCDR1;
  return type;
}

ddsi_serdata* new_blob(const ddsi_sertype* type, std::span<const std::uint8_t> payload) {
  Blob* blob = allocate(type, SDK_DATA, payload.size());
  if (!blob) throw std::bad_alloc();
  std::memcpy(blob->bytes, payload.data(), payload.size());
  blob->bytes[3] = static_cast<std::uint8_t>((blob->bytes[3] & ~3u) | (blob->capacity - blob->size));
  blob->size = blob->capacity;
  return &blob->header;
}

std::span<const std::uint8_t> blob_bytes(const ddsi_serdata* blob) {
  return {as_blob(blob)->bytes, as_blob(blob)->size};
}

void set_timestamp(ddsi_serdata* blob, std::int64_t nanoseconds) {
  blob->timestamp.v = nanoseconds;
  blob->statusinfo = 0;
}

void release_blob(ddsi_serdata* blob) {
  ddsi_serdata_unref(blob);
}

}  // namespace ballast::ros::internal
