#include "ballast/base/basis.h"

#include "ballast/base/errors.h"

namespace ballast {

std::string to_string(Basis basis) {
  switch (basis) {
    case Basis::measured:
      return "measured";
    case Basis::modelled:
      return "modelled";
    case Basis::counted:
      return "counted";
  }
  return "measured";
}

Basis basis_from_string(const std::string& word) {
  if (word == "measured") return Basis::measured;
  if (word == "modelled") return Basis::modelled;
  if (word == "counted") return Basis::counted;
  throw InvalidInput("basis", word, "measured, modelled or counted");
}

}  // namespace ballast
