// Compiled models as files: what is loaded runs without compiling and gives the same bits; what does not fit
// is refused with its reason.
#include "ballast/dynamic/compiler/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/dynamic/instances.h"
#include "ballast/dynamic/models.h"
#include "ballast/dynamic/runtime/session.h"

namespace ballast::dynamic {
namespace {

auto refuses(const char* sentence) {
  return testing::ThrowsMessage<InvalidInput>(
      testing::AllOf(testing::HasSubstr(sentence), testing::HasSubstr("compile the model again")));
}

/// A container with the header changed and its checksum right again.
std::string with_header(const std::string& bytes, const std::function<void(Json&)>& change) {
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data() + 5, 8);
  Json header = Json::parse(bytes.substr(13, length));
  change(header);
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::string out = bytes.substr(0, 5) + std::string(reinterpret_cast<const char*>(&size), 8) + text +
                    bytes.substr(13 + length, bytes.size() - 8 - 13 - length);
  const std::uint64_t sum = checksum64(out);
  return out + std::string(reinterpret_cast<const char*>(&sum), 8);
}

TEST(DynamicContainer, GivesTheSameBitsAndKeepsSwitchesAndParameters) {
  const TemporaryFolder folder;
  for (const char* name : {"treelstm", "nestedrnn"}) {
    const Module module = load_model(name, {{"H", 8}});
    const Parameters parameters = initial_parameters(module, 9);
    const Executable exe = compile(module, {.hoist = false});
    save_executable(exe, parameters, folder.file("m.bdx"));
    const Container c = load_executable(folder.file("m.bdx"));
    EXPECT_FALSE(c.exe.options.hoist);
    EXPECT_TRUE(c.exe.options.reuse);
    EXPECT_EQ(c.parameters, parameters);
    const std::vector<Instance> batch = draw_instances(module, 6, 3);
    Session a(exe, parameters), b(c.exe, c.parameters);
    EXPECT_EQ(a.run(batch), b.run(batch)) << name;
    EXPECT_EQ(b.kernels_compiled(), 0) << name << ": code generated although the file brings it";
  }
}

TEST(DynamicContainer, WhatDoesNotFitIsRefused) {
  const TemporaryFolder folder;
  const Module module = load_model("birnn", {{"H", 4}, {"V", 10}});
  save_executable(compile(module), initial_parameters(module, 1), folder.file("m.bdx"));
  const std::string bytes = read_file(folder.file("m.bdx"));
  const auto load = [&](const std::string& content) {
    write_file(folder.file("x.bdx"), content);
    load_executable(folder.file("x.bdx"));
  };
  load(bytes);
  EXPECT_THAT([&] { load("@entry fn main"); }, refuses("no compiled model"));
  EXPECT_THAT([&] { load("BDX2\n" + bytes.substr(5)); }, refuses("another version"));
  for (const std::size_t cut : {std::size_t{8}, std::size_t{40}, bytes.size() / 2, bytes.size() - 1})
    EXPECT_THAT([&] { load(bytes.substr(0, cut)); }, refuses("truncated"));
  std::string damaged = bytes;
  damaged[bytes.size() / 2] ^= 1;
  EXPECT_THAT([&] { load(damaged); }, refuses("checksum"));
  EXPECT_THAT([&] { load(with_header(bytes, [](Json& h) { h["cpu"] = "pentium"; })); },
              refuses("compiled for the processor pentium"));
  EXPECT_THAT([&] { load(with_header(bytes, [](Json& h) { h["version"] = 7; })); },
              refuses("another version"));
  EXPECT_THAT([&] { load(with_header(bytes, [](Json& h) { h["objects"][0]["bytes"] = 1; })); },
              refuses("parts do not cover"));
  EXPECT_THAT([&] { load(with_header(bytes, [](Json& h) { h["objects"][0]["name"] = "../x"; })); },
              refuses("object's name"));
  EXPECT_THAT([&] { load(with_header(bytes, [](Json& h) { h["types"][0] = "other"; })); },
              refuses("another version of the compiler"));
}

TEST(DynamicContainer, ParametersTravelAsSafetensorsAndJson) {
  const TemporaryFolder folder;
  const Module module = load_model("birnn", {{"H", 4}, {"V", 10}});
  const Parameters parameters = initial_parameters(module, 5);
  for (const char* name : {"p.safetensors", "p.json"}) {
    write_parameters(module, parameters, folder.file(name));
    EXPECT_EQ(read_parameters(folder.file(name)), parameters) << name;
  }
  write_file(folder.file("bad.json"), R"({"parameters": {"Wf": [1, "x"]}})");
  EXPECT_THAT([&] { read_parameters(folder.file("bad.json")); },
              testing::ThrowsMessage<InvalidInput>(testing::HasSubstr("parameter 'Wf' holds \"x\"")));
}

}  // namespace
}  // namespace ballast::dynamic
