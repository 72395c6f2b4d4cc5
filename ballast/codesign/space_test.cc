#include "ballast/codesign/space.h"

#include <gtest/gtest.h>

#include <set>

#include "ballast/base/errors.h"
#include "ballast/codesign/plan.h"

namespace ballast::codesign {
namespace {

// The numbers of the specification, worked out by hand from the lists of choices.
TEST(Space, CountsAreExact) {
  const Space space = load_space("h4h-28");
  EXPECT_EQ(count(space, Blocks::hybrid), 78'805'485'299'520u);
  EXPECT_EQ(count(space, Blocks::conv_only), 1'407'617'725'248u);
}

// A space small enough to enumerate: as many different draws as it says there are.
TEST(Space, CountEqualsEnumeration) {
  Space space = load_space("h4h-28");
  space.stem_widths = {8};
  space.last_widths = {96};
  space.stages.resize(3);
  for (auto& stage : space.stages) {
    stage.widths.resize(1);
    stage.depths = {1};
    stage.kernels = {3};
    stage.expansions = {1, 2};
  }
  space.stages[2].depths = {1, 2};
  space.stages[2].attention.head_dims = {8};
  space.stages[2].attention.mlp_ratios = {1};
  const std::uint64_t expected = count(space, Blocks::hybrid);
  EXPECT_EQ(expected, 2u * 2 * (2 + 2 * (2 + 2)));
  std::set<std::string> seen;
  std::set<std::uint64_t> hashes;
  Random random(3);
  for (int i = 0; i < 4000; ++i) {
    const Genotype g = sample(space, random, Blocks::hybrid);
    seen.insert(to_string(g));
    hashes.insert(g.hash());
  }
  EXPECT_EQ(seen.size(), expected);
  EXPECT_EQ(hashes.size(), expected);
}

// The largest and the smallest network bound the arithmetic of random ones, in both spaces.
TEST(Space, ExtremesBoundTheMacs) {
  for (const char* name : {"h4h-28", "h4h-224"}) {
    const Space space = load_space(name);
    const auto macs = [&](const Genotype& g) { return plan_macs(plan_network(space, g)); };
    const auto least = macs(smallest(space, Blocks::hybrid)), most = macs(largest(space, Blocks::hybrid));
    Random random(5);
    for (int i = 0; i < 2000; ++i) {
      const Genotype g = sample(space, random, Blocks::hybrid);
      const auto m = macs(g);
      ASSERT_GE(m, least) << name << ": " << to_string(g);
      ASSERT_LE(m, most) << name << ": " << to_string(g);
    }
  }
}

TEST(Space, OperatorsStayInside) {
  for (const char* name : {"h4h-28", "h4h-224"}) {
    const Space space = load_space(name);
    Random random(7);
    Genotype a = sample(space, random, Blocks::hybrid);
    for (int i = 0; i < 500; ++i) {
      const Genotype b = mutate(space, a, random, 0.3), c = cross(space, a, b, random);
      ASSERT_NO_THROW(check_member(space, b));
      ASSERT_NO_THROW(check_member(space, c));
      EXPECT_EQ(genotype_from_json(to_json(space, c)), c);
      a = b;
    }
    EXPECT_EQ(mutate(space, a, random, 0, 0), a);
    EXPECT_EQ(cross(space, a, a, random), a);
    Genotype conv = smallest(space, Blocks::conv_only);
    for (int i = 0; i < 200; ++i) {
      conv = mutate(space, conv, random, 0.5, 0.5, Blocks::conv_only);
      EXPECT_FALSE(conv.hybrid());
    }
  }
}

TEST(Space, BadInputIsNamed) {
  const Space space = load_space("h4h-28");
  Genotype g = smallest(space, Blocks::hybrid);
  g.stages[2].width = 33;
  try {
    check_member(space, g);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_NE(std::string(error.what()).find("s3.width of space h4h-28 is 33; accepted: 32, 40, 48"),
              std::string::npos)
        << error.what();
  }
  EXPECT_THROW(load_space("h4h-27"), InvalidInput);
  EXPECT_THROW(parse_space("name: x\n", "s.yaml"), InvalidInput);
  EXPECT_THROW(parse_space("name: [", "s.yaml"), InvalidInput);
  for (const char* bad : {"{}", "[]", R"({"schema":"ballast.genotype/1","stages":[{}]})",
                          R"({"schema":"ballast.genotype/1","resolution":"x","stages":[]})"})
    EXPECT_THROW(genotype_from_json(Json::parse(bad)), InvalidInput) << bad;
}

}  // namespace
}  // namespace ballast::codesign
