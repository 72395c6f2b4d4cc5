// Histograms as an independent implementation writes them: PyPI hdrhistogram 0.10.8 (HdrHistogram_py), run
// once.
#pragma once

#include <cstdint>
#include <vector>

namespace ballast::vectors {

struct Vector {
  const char* name;
  std::int64_t lowest, highest;
  int digits;
  std::int64_t count, min, max;
  double mean, standard_deviation;
  std::int64_t p25, p50, p75, p100;
  const char* text;
};

// few:     1, 2, 2047, 2048, 4095, 10^6 and 3599999999, once each
// lcg:     100 + x % 9000000 for the next 100 states x = (1103515245 x + 12345) mod 2^31 from 12345
// low1000: 1000 seven times, 5 * 10^9 123456789 times
// co:      100000 and 1000, both corrected for an expected interval of 10000
// wide:    123456789012345, 2^40 times
inline const std::vector<Vector> kVectors = {
    {"empty", 1, 3600000000, 3, 0, 0, 0, 0.0, 0.0, 0, 0, 0, 0,
     "HISTFAAAABx4nJNpmSzMgADMUJoRRFybvITB/gNEAABQ2gSH"},
    {"few", 1, 3600000000, 3, 7, 1, 3600809983, 514395684.85714287, 1259595329.0491917, 2, 2049, 4095,
     3600809983, "HISTFAAAADF4nJNpmSzMwMAgyAABzFCaEURcm7yEwf4DVICJ6bs8E9NvfqaDdUyL9zAyAQDIIwlm"},
    {"lcg", 1, 3600000000, 3, 100, 132096, 8994815, 4859186.56, 2630846.697989529, 2457599, 5201919, 6860799,
     8994815,
     "HISTFAAAAM54nC2MsWoCQRRF553ZzbIuEsIisphFRCQEvyBVCGJhYWll4TeIpAyk0EIsRGT/wC5f4CdY2NqJtZ2QH8"
     "g1Om/eHea8d+/zdJ065w7udvz9tasc1hv3frmB5bexCDiGrCI67D1FxCqgCBnwW6LGK0dj9sATheeLMTujzUjjSCyh"
     "wQtv9DgbOXsj5SdgCzEZQzzzK+/Qoipg9DUoy5zJGvOBbouKcJlQ1VV75eXK9bJl0lSsKYVPJvon2q2JnIxqkP0vxT"
     "wq36gjifgDhtwe1w=="},
    {"lcg", 1, 3600000000, 1, 100, 131072, 9437183, 4869857.28, 2650529.0536207976, 2490367, 5242879, 7077887,
     9437183,
     "HISTFAAAAFN4nE2JwRGAIAwEk+OIEfHFl1KcsTk7oAX7sAvrsAQZ+bif27mtRysisslA/3u3U/ZnHFdAxISVEctnKA"
     "RmIKBDNyi1x2BkMqclTxlO9ewvwkQGqg=="},
    {"low1000", 1000, 60000000000, 2, 123456796, 512, 5033164799, 5016387299.570881, 1194490.0172788668,
     5033164799, 5033164799, 5033164799, 5033164799,
     "HISTFAAAACp4nJNpmSzMwMDAwQABTBCK+QWQ4P3hHsFg/wEiwsi3VGnVlnulAJG6CJY="},
    {"co", 1, 3600000000, 3, 11, 1000, 100031, 50098.545454545456, 31482.080572240215, 20015, 50015, 70015,
     100031,
     "HISTFAAAAD94nJNpmSzMwMCgyAABzFCaEURcm7yEwf4DROA8P9NHY6a//Ez3OZlmszG9ZWF6z8L0kJlpOxPTVjACAK"
     "SfDkQ="},
    {"wide", 1, 4611686018427387904, 5, 1099511627776, 123456687439872, 123457224310783, 123456955875328.0,
     0.0, 123457224310783, 123457224310783, 123457224310783, 123457224310783,
     "HISTFAAAACR4nJNpmSzMwMDAxQABrFCa0QHKsP8Aods73zA3gIADAHcdB4U="},
};

}  // namespace ballast::vectors
