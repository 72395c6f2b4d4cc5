// Data sets that the distribution's packages carry: found where the package or setup/setup.sh puts them, or
// named with the command that brings them. Nothing is downloaded here.
//
//   std::string folder = find_dataset("graph-collection");    // .../graph-tool's real graphs, *.gt.gz
//   std::string images = find_dataset("fashion-mnist") + "/train-images-idx3-ubyte.gz";
#pragma once

#include <string>
#include <vector>

namespace ballast::data {

struct Dataset {
  std::string name;     ///< as given to find_dataset
  std::string what;     ///< one line for people
  std::string package;  ///< the Debian package that carries it
  std::string licence;
  std::string command;               ///< what brings it to this machine
  std::vector<std::string> folders;  ///< where it may lie, first match wins
  std::string probe;                 ///< a file that must be in the folder
};

/// All data sets that Ballast knows by name.
std::vector<Dataset> known_datasets();

/// The folder of the data set. Throws InvalidInput for an unknown name (naming the nearest), Unavailable with
/// the command that brings it when it is not on this machine.
std::string find_dataset(const std::string& name);

/// The folder or, when it is not there, an empty string.
std::string try_dataset(const std::string& name);

}  // namespace ballast::data
