// What happens when the disk is full, a folder is missing, a word is wrong, or a file is damaged: the exit
// code, the sentence, and that nothing half-written is left behind.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/histogram_log.h"
#include "ballast/base/json.h"
#include "ballast/base/report.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/trace.h"

namespace ballast {
namespace {

class BadInput : public testing::Test {
 protected:
  std::size_t files() const {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  // `ballast base WORDS` in the folder, behind a prefix for the shell; its output goes to a file elsewhere.
  int run(const std::string& words, const std::string& prefix = "") {
    const std::string out = folder_ + ".out";
    const int status = std::system(("cd " + folder_ + " && { " + prefix +
                                    BALLAST_BINARY_DIR "/bin/ballast-base " + words + "; } >" + out + " 2>&1")
                                       .c_str());
    output_ = read_file(out);
    std::filesystem::remove(out);
    return WEXITSTATUS(status);
  }
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  std::string output_;
};

// While it lives, no file of this process may grow beyond so many bytes: what a full disk looks like to a
// write.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(BadInput, FullDiskLeavesTheOldFileAndNothingElse) {
  const std::string path = folder_ + "/page.html";
  write_file(path, "old");
  Report report("r");
  report.section("s").text(std::string(100'000, 'x'));
  {
    FullDisk full(10'000);
    EXPECT_THROW(report.write_html(path), Unavailable);
    Trace trace(folder_ + "/t.json");  // fills its buffers on the way: told at the end
    for (int i = 0; i < 50'000; ++i) trace.track("p", "t").instant("x", i);
    EXPECT_THROW(trace.commit(), Unavailable);
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(files(), 1u);
}

TEST_F(BadInput, FullDiskIsToldByThePrograms) {
  EXPECT_EQ(run("bench --quick --report page.html", "ulimit -f 8; "), 3) << output_;
  EXPECT_NE(output_.find("cannot be written"), std::string::npos) << output_;
  EXPECT_EQ(files(), 0u);
  HistogramLog log;
  log.intervals.push_back({});
  log.write(folder_ + "/a.hlog");
  EXPECT_EQ(run("histogram a.hlog >/dev/full"), 3) << output_;
  EXPECT_EQ(run("histogram a.hlog --report no/such/folder/page.html"), 3) << output_;
  EXPECT_NE(output_.find("no/such/folder/page.html: cannot be created"), std::string::npos) << output_;
}

TEST_F(BadInput, WrongWordsNameTheRightOnes) {
  EXPECT_EQ(run("histgram x"), 2);
  EXPECT_NE(output_.find("did you mean 'histogram'?"), std::string::npos) << output_;
  EXPECT_EQ(run("bench --quik"), 2);
  EXPECT_NE(output_.find("did you mean '--quick'?"), std::string::npos) << output_;
  EXPECT_EQ(run("histogram"), 2);
  EXPECT_EQ(run("histogram x --percentiles 101"), 2);
  EXPECT_EQ(run("bench --seed -1"), 2);  // and not 2^64 - 1
  EXPECT_NE(output_.find("'-1'"), std::string::npos) << output_;
  EXPECT_EQ(run("bench --seed=-3"), 2);
  EXPECT_EQ(run("bench --seed"), 2);
  EXPECT_EQ(run(""), 2);
  EXPECT_EQ(run("--help"), 0);
  EXPECT_EQ(run("--version"), 0);
  EXPECT_EQ(run("bench --help"), 0);
}

TEST_F(BadInput, DamagedFilesAreNamedWithTheirPlace) {
  EXPECT_EQ(run("histogram nothing.hlog"), 3);
  write_file(folder_ + "/empty.hlog", "");
  EXPECT_EQ(run("histogram empty.hlog"), 2);
  EXPECT_EQ(run("histogram ."), 3);
  write_file(folder_ + "/bad.hlog", "#[StartTime: 1 (s)]\n0,1,1,HISTFAAA\n");
  EXPECT_EQ(run("histogram bad.hlog"), 2);
  EXPECT_NE(output_.find("bad.hlog:2"), std::string::npos) << output_;
  write_file(folder_ + "/binary.hlog", std::string("\x00\xff\x00\n\x01", 5));
  EXPECT_EQ(run("histogram binary.hlog"), 2);
  write_file(folder_ + "/bad.json", "{\"a\": [1, 2}");
  EXPECT_THROW(read_json(folder_ + "/bad.json"), InvalidInput);
  EXPECT_THROW(read_file(folder_ + "/bad.json", 3), InvalidInput);
  for (const char* text :
       {"{}", "[]", "{\"title\": 1}",
        "{\"title\":\"t\",\"uneven\":\"\",\"today\":\"\",\"ballast\":\"\",\"blocks\":[{\"table\":{}}]}"})
    EXPECT_THROW(Section::from_json(Json::parse(text)), InvalidInput) << text;
}

// And the good case of the same program: logs of two machines, merged and told.
TEST_F(BadInput, GoodLogsAreMerged) {
  for (const char* name : {"a", "b"}) {
    HistogramLog log;
    for (int second = 0; second < 3; ++second) {
      HistogramInterval interval{.tag = "ttft", .start_s = 1.0 * second, .length_s = 1};
      for (int v = 1; v <= 100; ++v) interval.histogram.record(v);
      log.intervals.push_back(interval);
    }
    log.write(folder_ + "/" + name + ".hlog");
  }
  ASSERT_EQ(run("histogram a.hlog b.hlog --percentiles 25,99 --merge-to all.hlog --json all.json --report "
                "all.html"),
            0)
      << output_;
  const Json json = read_json(folder_ + "/all.json");
  EXPECT_EQ(json["tags"][0]["count"], 600);
  EXPECT_EQ(json["tags"][0]["percentiles"]["25"], 25);
  EXPECT_EQ(HistogramLog::read(folder_ + "/all.hlog").total("ttft").percentile(99), 99);
  EXPECT_NE(read_file(folder_ + "/all.html").find("ttft"), std::string::npos);
}

TEST_F(BadInput, FilesThatAreMoreThanFiles) {
  EXPECT_THROW(AtomicFile{folder_}, Unavailable);
  write_file(folder_ + "/real", "old");
  std::filesystem::create_symlink("real", folder_ + "/link");
  write_file(folder_ + "/link", "new");  // what the link names is replaced, the link stays
  EXPECT_TRUE(std::filesystem::is_symlink(folder_ + "/link"));
  EXPECT_EQ(read_file(folder_ + "/real"), "new");
  write_file("/dev/null", "gone");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_THROW(write_file("/dev/full", "x"), Unavailable);
  ASSERT_EQ(::mkfifo((folder_ + "/pipe").c_str(), 0600), 0);
  std::string got;
  std::thread reader([&] { got = read_file(folder_ + "/pipe"); });
  write_file(folder_ + "/pipe", "through");
  reader.join();
  EXPECT_EQ(got, "through");
}

TEST_F(BadInput, TwoWritersOfOneNameDoNotMix) {
  std::vector<std::thread> writers;
  for (char c = 'a'; c < 'e'; ++c)
    writers.emplace_back([this, c] {
      for (int i = 0; i < 20; ++i) write_file(folder_ + "/x", std::string(100'000, c));
    });
  for (auto& writer : writers) writer.join();
  const std::string content = read_file(folder_ + "/x");
  EXPECT_EQ(content, std::string(100'000, content[0]));
  EXPECT_EQ(files(), 1u);
}

// `base histogram` has no trace: success without the file would be a lie.
TEST_F(BadInput, AFileThatTheVerbDoesNotWriteIsRefused) {
  HistogramLog log;
  log.intervals.push_back({.length_s = 1});
  log.intervals[0].histogram.record(7);
  log.write(folder_ + "/a.hlog");
  EXPECT_EQ(run("histogram a.hlog --trace t.json"), 2) << output_;
  EXPECT_NE(output_.find("ballast base histogram"), std::string::npos) << output_;
  EXPECT_EQ(run("histogram a.hlog --report page.html"), 0) << output_;
  EXPECT_EQ(files(), 2u);
}

}  // namespace
}  // namespace ballast
