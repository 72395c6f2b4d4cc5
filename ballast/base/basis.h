// How a figure came about. Everything that Ballast prints carries one of these three words.
#pragma once

#include <string>

namespace ballast {

/// A clock or meter read it, a model computed it, or an exact counter counted it.
enum class Basis { measured, modelled, counted };

std::string to_string(Basis basis);
/// Throws InvalidInput for any other word.
Basis basis_from_string(const std::string& word);

}  // namespace ballast
