#include "ballast/kv/resp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ballast/base/random.h"
#include "ballast/kv/commands.h"

namespace ballast::kv {
namespace {

using Requests = std::vector<RespParser::Request>;

Requests parse(RespParser& parser, const std::string& bytes, std::size_t piece) {
  Requests requests;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    parser.feed(std::string_view(bytes).substr(at, piece));
    while (auto request = parser.next()) requests.push_back(std::move(*request));
  }
  return requests;
}

TEST(Resp, RequestsAreTheSameHoweverTheyAreCut) {
  const std::string bytes =
      "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nb\n\r\n"
      "PING\r\n\r\n  get  \"a key\" 'x'\n*0\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n";
  const Requests expected{{"SET", "k", "a\r\nb\n"}, {"PING"}, {"get", "a key", "x"}, {"PING"}, {"GET", ""}};
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    RespParser parser;
    EXPECT_EQ(parse(parser, bytes, piece), expected) << piece;
    EXPECT_EQ(parser.error(), "");
    EXPECT_EQ(parser.held(), 0u);
  }
}

TEST(Resp, WhatIsNoRequestIsAnErrorInRedisWords) {
  const std::pair<std::string, std::string> cases[] = {
      {"*1\r\n:5\r\n", "expected '$', got ':'"},
      {"*x\r\n", "invalid multibulk length"},
      {"*99999999\r\n", "invalid multibulk length"},
      {"*1\r\n$-1\r\n", "invalid bulk length"},
      {"*1\r\n$999999999999\r\n", "invalid bulk length"},
      {"*1\r\n$3\r\nabcde\r\n", "argument without its end of line"},
      {"get \"open\r\n", "unbalanced quotes"},
      {std::string(70'000, 'a'), "too big inline request"},
  };
  for (const auto& [bytes, text] : cases) {
    RespParser parser;
    EXPECT_TRUE(parse(parser, bytes, 7).empty()) << text;
    EXPECT_THAT(parser.error(), testing::HasSubstr(text));
    parser.feed("PING\r\n");
    EXPECT_FALSE(parser.next()) << "after an error nothing is parsed";
  }
}

TEST(Resp, AHugeLengthHoldsNoMemoryBeforeItsBytesCome) {
  RespParser parser;
  EXPECT_TRUE(parse(parser, "*2\r\n$3\r\nGET\r\n$16777216\r\nabc", 100).empty());
  EXPECT_EQ(parser.error(), "");
  EXPECT_LT(parser.held(), 100u);
}

TEST(Resp, RandomBytesNeverBreakTheParser) {
  Random random(1);
  const std::string alphabet = "*$\r\n0123:+-PING\"' ";
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string bytes(random.below(60), ' ');
    for (char& c : bytes) c = alphabet[random.below(alphabet.size())];
    RespParser whole, cut;
    const auto first = parse(whole, bytes, 1000), second = parse(cut, bytes, 1 + random.below(5));
    EXPECT_EQ(first, second) << "trial " << trial;
    EXPECT_EQ(whole.error(), cut.error());
  }
}

std::string say(const RespParser::Request& request, Session& session) {
  return understand(request, session).reply;
}

TEST(Commands, WrongOnesAreAnsweredNotObeyed) {
  Session session;
  EXPECT_EQ(say({"PING"}, session), "+PONG\r\n");
  EXPECT_EQ(say({"FLY"}, session), "-ERR unknown command 'FLY'\r\n");
  EXPECT_THAT(say({"GET"}, session), testing::StartsWith("-ERR wrong number of arguments"));
  EXPECT_THAT(say({"MSET", "a"}, session), testing::StartsWith("-ERR wrong number"));
  EXPECT_THAT(say({"MSET", "a", "1", "b"}, session), testing::StartsWith("-ERR wrong number"));
  EXPECT_THAT(say({"SET", "a", "1", "EX", "5"}, session), testing::StartsWith("-ERR syntax"));
  EXPECT_THAT(say({"INCRBY", "a", "1.5"}, session), testing::StartsWith("-ERR value is not an integer"));
  EXPECT_THAT(say({"DECRBY", "a", "-9223372036854775808"}, session),
              testing::StartsWith("-ERR value is not an integer"));
  EXPECT_THAT(say({"GET", std::string(256, 'k')}, session), testing::StartsWith("-ERR key is longer"));
  EXPECT_THAT(say({"GE\r\nT"}, session), testing::Not(testing::HasSubstr("GE\r\nT")));
}

TEST(Commands, APasswordIsAskedForAndHidden) {
  Session session{.password = "secret"};
  EXPECT_THAT(say({"GET", "a"}, session), testing::StartsWith("-NOAUTH"));
  EXPECT_THAT(say({"INFO"}, session), testing::StartsWith("-NOAUTH"));
  EXPECT_THAT(say({"AUTH", "guess"}, session), testing::StartsWith("-WRONGPASS"));
  EXPECT_THAT(say({"AUTH", ""}, session), testing::StartsWith("-WRONGPASS"));
  EXPECT_EQ(say({"AUTH", "secret"}, session), "+OK\r\n");
  EXPECT_EQ(understand({"GET", "a"}, session).operations.size(), 1u);
}

TEST(Commands, RepliesArePutTogetherFromAnswers) {
  Session session;
  const auto reply = [&](const RespParser::Request& request, const std::vector<Answer>& answers) {
    const auto command = understand(request, session);
    EXPECT_EQ(command.operations.size(), answers.size());
    return reply_of(command, answers);
  };
  EXPECT_EQ(reply({"get", "a"}, {{Status::found, "x"}}), "$1\r\nx\r\n");
  EXPECT_EQ(reply({"get", "a"}, {{Status::absent}}), "$-1\r\n");
  EXPECT_EQ(reply({"mget", "a", "b"}, {{Status::found, "1"}, {Status::absent}}), "*2\r\n$1\r\n1\r\n$-1\r\n");
  EXPECT_EQ(reply({"del", "a", "b"}, {{Status::found}, {Status::absent}}), ":1\r\n");
  EXPECT_EQ(reply({"incr", "a"}, {{Status::found, "8"}}), ":8\r\n");
  EXPECT_THAT(reply({"incr", "a"}, {{Status::not_a_number}}), testing::StartsWith("-ERR value is not"));
}

}  // namespace
}  // namespace ballast::kv
