#include "ballast/data/datasets.h"

#include <fmt/format.h>

#include <filesystem>

#include "ballast/base/cli.h"
#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::data {

std::vector<Dataset> known_datasets() {
  const std::string cache = cache_folder() + "/data/";
  return {
      {.name = "fashion-mnist",
       .what = "70 000 grey 28x28 pictures of clothes in 10 classes (IDX)",
       .package = "dataset-fashion-mnist",
       .licence = "MIT",
       .command = "apt-get install dataset-fashion-mnist",
       .folders = {"/usr/share/datasets/fashion-mnist"},
       .probe = "train-images-idx3-ubyte.gz"},
      {.name = "graph-collection",
       .what = "19 real graphs of 34 to 39 796 vertices (graph-tool's gt format)",
       .package = "python3-graph-tool",
       .licence = "LGPL-3 and the citations in its __init__.py; data only",
       .command = "setup/setup.sh --only graph",
       .folders = {cache + "graph-collection", "/usr/lib/python3/dist-packages/graph_tool/collection"},
       .probe = "karate.gt.gz"},
      {.name = "words",
       .what = "the largest American English word list, about 650 000 words, one a line",
       .package = "wamerican-insane",
       .licence = "public domain and BSD-like (SCOWL)",
       .command = "setup/setup.sh --only index",
       .folders = {cache + "words", "/usr/share/dict"},
       .probe = "american-english-insane"},
      {.name = "geoip",
       .what = "IPv4 and IPv6 address ranges by country (GeoIP legacy binary)",
       .package = "geoip-database",
       .licence = "CC-BY-SA 4.0 (MaxMind GeoLite)",
       .command = "setup/setup.sh --only index",
       .folders = {cache + "geoip", "/usr/share/GeoIP"},
       .probe = "GeoIP.dat"},
      {.name = "opencv-samples",
       .what = "OpenCV's sample images: 13 calibrated chessboard stereo pairs, stereo scenes, short clips",
       .package = "opencv-doc",
       .licence = "Apache-2.0 and BSD (OpenCV)",
       .command = "setup/setup.sh --only robot",
       .folders = {cache + "opencv-samples", "/usr/share/doc/opencv-doc/examples/data"},
       .probe = "left01.jpg"},
      {.name = "stereo-motorcycle",
       .what = "scikit-image's pictures, among them a Middlebury stereo pair with its true disparity",
       .package = "python3-skimage",
       .licence = "per picture, see its README.txt; Middlebury data free for research",
       .command = "setup/setup.sh --only robot",
       .folders = {cache + "stereo-motorcycle", "/usr/lib/python3/dist-packages/skimage/data"},
       .probe = "motorcycle_disp.npz"},
      {.name = "castle-rgbd",
       .what = "40 grey and depth frames 640x480 of a simulated castle with true camera poses",
       .package = "visp-images-data",
       .licence = "GPL-2+ data of ViSP; read from the cache, never copied here",
       .command = "setup/setup.sh --only robot",
       .folders = {cache + "castle-rgbd", "/usr/share/visp-images-data/ViSP-images/mbt-depth/Castle-simu"},
       .probe = "CameraPose/Camera_001.txt"},
      {.name = "apriltag-images",
       .what = "AprilTag pictures of 8 families in two sizes with true poses",
       .package = "visp-images-data",
       .licence = "GPL-2+ data of ViSP; read from the cache, never copied here",
       .command = "setup/setup.sh --only robot",
       .folders = {cache + "apriltag-images", "/usr/share/visp-images-data/ViSP-images/AprilTag/benchmark"},
       .probe = "640x480/cMo_0.txt"},
      {.name = "jargon",
       .what = "the Jargon File, a dictionary of hackers' words (dictd)",
       .package = "dict-jargon",
       .licence = "public domain",
       .command = "setup/setup.sh --only tune",
       .folders = {cache + "jargon", "/usr/share/dictd"},
       .probe = "jargon.dict.dz"},
      {.name = "wordnet",
       .what = "WordNet 3.0: nouns, verbs, glosses and their relations",
       .package = "wordnet-base",
       .licence = "WordNet 3.0 (BSD-like)",
       .command = "setup/setup.sh --only tune",
       .folders = {cache + "wordnet", "/usr/share/wordnet"},
       .probe = "data.noun"},
      {.name = "fortunes",
       .what = "short sayings in files by subject",
       .package = "fortunes",
       .licence = "as fortunes-mod's",
       .command = "setup/setup.sh --only tune",
       .folders = {cache + "fortunes", "/usr/share/games/fortunes"},
       .probe = "science"},
      {.name = "foldoc",
       .what = "the Free On-line Dictionary of Computing (dictd)",
       .package = "dict-foldoc",
       .licence = "GFDL-1.3 or later",
       .command = "setup/setup.sh --only tune",
       .folders = {cache + "foldoc", "/usr/share/dictd"},
       .probe = "foldoc.dict.dz"},
  };
}

namespace {

const Dataset& by_name(const std::vector<Dataset>& all, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& dataset : all) {
    if (dataset.name == name) return dataset;
    names.push_back(dataset.name);
  }
  cli::require_one_of("data set", name, names);
  throw InvalidInput("data set", name, "a known name");
}

std::string folder_of(const Dataset& dataset) {
  std::error_code ignored;
  for (const auto& folder : dataset.folders)
    if (std::filesystem::exists(folder + "/" + dataset.probe, ignored)) return folder;
  return {};
}

}  // namespace

std::string try_dataset(const std::string& name) {
  return folder_of(by_name(known_datasets(), name));
}

std::string find_dataset(const std::string& name) {
  const auto all = known_datasets();
  const Dataset& dataset = by_name(all, name);
  const std::string folder = folder_of(dataset);
  if (folder.empty())
    throw Unavailable(fmt::format("data set '{}' (Debian package {}) is not on this machine; run: {}", name,
                                  dataset.package, dataset.command));
  return folder;
}

}  // namespace ballast::data
