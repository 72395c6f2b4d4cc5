// Oracle 7 under a real mpirun: ranks end in the bits of threads (gRPC's are compared in
// net/deployment_test.cc).
#include <gtest/gtest.h>

#include <filesystem>

#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"

namespace ballast::federate {
namespace {

TEST(Mpi, RanksEndInTheBitsOfThreads) {
  if (run_command("command -v mpirun").code != 0) GTEST_SKIP() << "mpirun is not installed";
  const TemporaryFolder folder;
  const std::string program = std::string(BALLAST_BINARY_DIR) + "/bin/ballast-federate";
  const std::string arguments =
      " sim --data sine --pattern A --steps 4 --samples 80 --rounds 3 --local-steps 10 --seed 5 --strategy "
      "feddrift,oblivious";
  const auto threads = run_command(program + arguments + " --out " + folder.file("threads"));
  ASSERT_EQ(threads.code, 0) << threads.output;
  for (const char* ranks : {"1", "2"}) {
    const std::string out = folder.file(std::string("ranks") + ranks);
    const auto mpi = run_command(
        "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 120 mpirun --oversubscribe "
        "--bind-to none "
        "--mca btl_vader_single_copy_mechanism none --mca mpi_yield_when_idle 1 -n " +
        std::string(ranks) + " " + program + arguments + " --threads 1 --engine mpi --out " + out);
    if (mpi.code == 3 && mpi.output.find("without MPI") != std::string::npos)
      GTEST_SKIP() << "built without MPI";
    ASSERT_EQ(mpi.code, 0) << mpi.output;
    int compared = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.file("threads"))) {
      if (!entry.is_regular_file()) continue;
      const auto relative = std::filesystem::relative(entry.path(), folder.file("threads"));
      EXPECT_EQ(read_file(entry.path().string()), read_file(out + "/" + relative.string()))
          << relative << " with " << ranks << " ranks";
      ++compared;
    }
    EXPECT_GE(compared, 10);  // two strategies: assignment, bytes, events, run and at least one model each
  }
}

}  // namespace
}  // namespace ballast::federate
