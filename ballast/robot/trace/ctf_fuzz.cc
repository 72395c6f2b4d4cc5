// A CTF trace whose metadata or stream is any bytes is read or refused; so is our own text form of traces.
#include <cstdint>
#include <filesystem>
#include <string>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/robot/trace/ctf_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ballast;
  if (size < 2) return 0;
  static const TemporaryFolder folder;
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    if (data[0] % 2 == 0) {
      write_file(folder.path() + "/trace.txt", text);
      trace::read_text_trace(folder.path() + "/trace.txt");
    } else {
      // The first zero byte parts the metadata from the only stream.
      const auto cut = std::min(text.find('\0'), text.size());
      std::filesystem::create_directories(folder.path() + "/ctf");
      write_file(folder.path() + "/ctf/metadata", "/* CTF 1.8 */\n" + text.substr(0, cut));
      write_file(folder.path() + "/ctf/stream", text.substr(std::min(cut + 1, text.size())));
      trace::read_ctf(folder.path() + "/ctf");
    }
  } catch (const InvalidInput&) {
  } catch (const Unavailable&) {
  }
  return 0;
}
