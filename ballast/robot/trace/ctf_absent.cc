#include "ballast/base/errors.h"
#include "ballast/robot/trace/ctf_reader.h"

namespace ballast::trace {

bool has_babeltrace() {
  return false;
}

Trace read_ctf(const std::string&) {
  throw Unavailable("this program was built without libbabeltrace2 (libbabeltrace2-dev): CTF cannot be read");
}

}  // namespace ballast::trace
