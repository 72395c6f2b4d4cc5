#include "ballast/index/pim_tree.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ballast/base/errors.h"
#include "ballast/index/oracle.h"
#include "ballast/index/program_generator.h"

namespace ballast::index {
namespace {

struct Shape {
  std::uint32_t modules, chunk, levels;
  PimTreeOptions options = {};
};
void PrintTo(const Shape& shape, std::ostream* out) {
  *out << "P=" << shape.modules << " B=" << shape.chunk << " H=" << shape.levels;
}

class PimTreeProgram : public testing::TestWithParam<Shape> {};

// Random programs of all operations against std::map, the structure verified after every batch that changes
// it.
TEST_P(PimTreeProgram, EqualsTheOracle) {
  const Shape shape = GetParam();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    pim::Machine machine({.modules = shape.modules, .memory = Bytes::mib(8)});
    PimTreeOptions options = shape.options;
    options.chunk = shape.chunk;
    options.levels = shape.levels;
    options.seed = seed;
    PimTree tree(machine, options);
    Oracle oracle;
    ProgramGenerator program(seed, seed % 2 == 0 ? KeySpace::dense : KeySpace::wide);
    for (int step = 0; step < 40; ++step) {
      const auto difference = program.step(tree, oracle);
      ASSERT_EQ(difference, "") << "step " << step;
      ASSERT_EQ(tree.verify(), "") << "step " << step << " after " << program.last();
      ASSERT_EQ(tree.size(), oracle.size());
    }
  }
}

PimTreeOptions with(auto change) {
  PimTreeOptions options;
  change(options);
  return options;
}

INSTANTIATE_TEST_SUITE_P(Shapes, PimTreeProgram,
                         testing::Values(Shape{1, 4, 3}, Shape{2, 2, 3}, Shape{3, 4, 2}, Shape{7, 2, 1},
                                         Shape{16, 8, 3}, Shape{64, 16, 2},
                                         Shape{5, 4, 3, with([](auto& o) { o.shadow = false; })},
                                         Shape{5, 4, 3, with([](auto& o) { o.search = Search::push; })},
                                         Shape{5, 4, 3, with([](auto& o) { o.search = Search::pull; })},
                                         Shape{5, 4, 3, with([](auto& o) {
                                                 o.plan = Plan::paper;
                                                 o.limit = 1;
                                               })},
                                         Shape{5, 4, 3, with([](auto& o) { o.dedup = false; })},
                                         Shape{8, 4, 3, with([](auto& o) {
                                                 o.four_choices = false;
                                                 o.hash_bits = 1;
                                               })}));

}  // namespace
}  // namespace ballast::index
