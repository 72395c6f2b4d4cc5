// For tests: starts a test of the running program as an MPI job and tells how it ended.
//
//   TEST(DISABLED_MpiJob, Traffic) { ... write_file(std::getenv("BALLAST_TEST_OUT"), ...); }
//   TEST(Mpi, ...) { const MpiJob job = run_mpi_job(2, "Traffic", "BALLAST_TEST_FAULTS='die 1'"); ... }
#pragma once

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"

namespace ballast::cluster {

struct MpiJob {
  int code = 0;
  std::string result;  ///< what the job wrote to $BALLAST_TEST_OUT
  std::string log;
};

inline bool mpirun_is_there() {
  return run_command("mpirun --version").code == 0;
}

/// Runs DISABLED_MpiJob.`test` of this program on `ranks` ranks. `environment`: further NAME=value words.
inline MpiJob run_mpi_job(int ranks, const std::string& test, const std::string& environment = "") {
  const TemporaryFolder folder;
  const std::string out = folder.file("out");
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  // What Open MPI itself keeps until the end is no leak of ours, nor is the order of its locks.
  const auto ended = run_command(
      "env -u BALLAST_LEFT_OUT OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
      "ASAN_OPTIONS=detect_leaks=0 TSAN_OPTIONS=detect_deadlocks=0 BALLAST_TEST_OUT=" +
      out + " " + environment + " mpirun --oversubscribe --bind-to none -n " + std::to_string(ranks) + " " +
      self + " --gtest_also_run_disabled_tests --gtest_filter=DISABLED_MpiJob." + test);
  return {ended.code, std::filesystem::exists(out) ? read_file(out) : "", ended.output};
}

}  // namespace ballast::cluster
