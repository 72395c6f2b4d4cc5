// Any bytes as an account, a fault script, a profile of a network or a message: read or refused, never more.
// What was read as an account is written and read again as the same.
#include <cstdlib>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/cluster/account.h"
#include "ballast/cluster/fault.h"
#include "ballast/cluster/message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  using namespace ballast::cluster;
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    switch (data[0] % 3) {
      case 0: {
        const auto accounts = accounts_from_csv(text, "input");
        const std::string written = to_csv(accounts);
        if (to_csv(accounts_from_csv(written, "again")) != written) std::abort();
        break;
      }
      case 1:
        FaultScript::parse(text);
        break;
      default: {
        Reader reader(std::as_bytes(std::span(text.data(), text.size())));
        Account::decode(reader);
      }
    }
  } catch (const InvalidInput&) {
  }
  return 0;
}
