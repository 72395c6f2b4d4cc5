// The files that keys come in, and go out to (specification 7, formats).
//
//   .bidx                snapshot (snapshot.h)
//   .csv                 header `key,value` (or `key` alone: then values are positions)
//   .sosd, *uint64*      SOSD: u64 count, then that many u64, little-endian, any order, duplicates allowed
//   *uint32*             SOSD with u32 keys
//   .strings             string keys of the Cuckoo-trie benchmark: u64 count, u64 total bytes, then of each
//   key
//                        u32 length and its bytes
//   anything else        operation file (operations_file.h): its inserts
//
// Every reader refuses what is damaged with file and byte (or line), and allocates no more than the file
// holds.
#pragma once

#include <string>
#include <vector>

#include "ballast/data/stream.h"
#include "ballast/index/types.h"

namespace ballast::index {

enum class KeyFile { snapshot, csv, sosd64, sosd32, strings, operations };
/// By the file's name.
KeyFile key_file_of(const std::string& path);
std::string to_string(KeyFile kind);

std::vector<Key> read_sosd(data::InputStream in, int width);
void write_sosd(const std::string& path, std::span<const Key> keys);
std::vector<std::string> read_strings(data::InputStream in);
void write_strings(const std::string& path, std::span<const std::string> keys);
std::vector<Entry> read_csv_entries(data::InputStream in);

/// Entries of any of these, ascending; duplicates are joined (the last of a CSV or operation file wins; of
/// SOSD keys and strings the first position stays). Strings give their first eight bytes, big-endian.
std::vector<Entry> read_entries(const std::string& path);
/// Throws InvalidInput for a kind that is only read (strings).
void write_entries(const std::string& path, std::span<const Entry> sorted);

}  // namespace ballast::index
