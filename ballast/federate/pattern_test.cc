#include "ballast/federate/pattern.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/federate/samples.h"

namespace ballast::federate {
namespace {

TEST(ConceptPattern, PublishedOnesHaveTheRightShape) {
  for (const char* name : {"A", "B", "C", "D", "E", "F", "W", "X", "Y", "Z", "R(3)"}) {
    const auto pattern = ConceptPattern::named(name);
    EXPECT_EQ(pattern.clients(), 10) << name;
    EXPECT_EQ(pattern.steps(), 10) << name;
  }
  EXPECT_EQ(ConceptPattern::named("A").concepts(), 2);
  EXPECT_EQ(ConceptPattern::named("B").concepts(), 4);
  EXPECT_TRUE(ConceptPattern::named("A").drifts(1, 1));
  EXPECT_FALSE(ConceptPattern::named("A").drifts(1, 0));
}

TEST(ConceptPattern, FilesRoundTripAndBadOnesAreNamedByLine) {
  const std::string path = testing::TempDir() + "ballast_pattern.cp";
  write_file(path, "# two clients\n0 0\n0 1\n");
  EXPECT_EQ(ConceptPattern::from(path).to_text(), "0 0\n0 1\n");
  const auto message = [&](const std::string& text) -> std::string {
    write_file(path, text);
    try {
      ConceptPattern::read(path);
    } catch (const InvalidInput& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_NE(message("0 0\n0\n").find(":2: 1 entries; accepted: 2 entries"), std::string::npos);
  EXPECT_NE(message("0 0\n0 -1\n").find(":2: entry '-1'"), std::string::npos);
  EXPECT_NE(message("0 x\n").find(":1: entry 'x'"), std::string::npos);
  EXPECT_NE(message("0 0\n").find("1 rows"), std::string::npos);
  EXPECT_THROW(ConceptPattern::named("AA"), InvalidInput);
}

TEST(Federation, SamplesFollowTheConceptAndMoreClientsChangeNothing) {
  const auto pattern = ConceptPattern::named("A");
  const auto small = make_federation({.name = "sine", .samples = 50, .seed = 5}, pattern);
  const auto large = make_federation({.name = "sine", .samples = 50, .seed = 5}, pattern.tiled(20));
  for (int c = 0; c < 10; ++c) EXPECT_EQ(small.batch(c, 3).x, large.batch(c, 3).x);
  const auto& batch = small.batch(1, 1);  // concept 1: labels reversed
  for (std::size_t i = 0; i < batch.size(); ++i) {
    EXPECT_EQ(batch.y[i], batch.row(i)[1] <= std::sin(batch.row(i)[0]) ? 0 : 1);
  }
  EXPECT_THROW(make_federation({.name = "sine"}, ConceptPattern::named("B")), InvalidInput);
}

}  // namespace
}  // namespace ballast::federate
