// Users' files: any bytes as a CSV of one step, as a CSV with a time column, and as a concept pattern.
#include <cmath>
#include <cstdlib>

#include "ballast/base/errors.h"
#include "ballast/data/csv.h"
#include "ballast/federate/pattern.h"
#include "ballast/federate/user_data.h"

namespace {

template <typename Read>
void accepts(Read read) {
  try {
    read();
  } catch (const ballast::InvalidInput&) {
  }
}

void check(const ballast::federate::Samples& samples, int classes) {
  if (samples.x.size() != samples.size() * static_cast<std::size_t>(samples.features)) std::abort();
  for (const std::int32_t y : samples.y) {
    if (y < 0 || y >= classes) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast::federate;
  using ballast::data::CsvReader;
  using ballast::data::InputStream;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const UserDataOptions plain{.path = "fuzz", .time_column = {}, .classes = 3},
      timed{.path = "fuzz", .label = "y", .time_column = "t", .classes = 3};
  accepts([&] {
    CsvReader rows(InputStream::over("fuzz", bytes));
    check(read_step_rows(rows, plain), 3);
  });
  accepts([&] {
    CsvReader rows(InputStream::over("fuzz", bytes));
    for (const auto& [step, samples] : read_timed_rows(rows, timed)) check(samples, 3);
  });
  accepts([&] { (void)ConceptPattern::parse(std::string(bytes), "fuzz"); });
  return 0;
}
