#include "ballast/codesign/runtimes.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/base/testing.h"

namespace ballast::codesign {
namespace {

// Reads MODEL NAME INPUT OUTPUT; tensors are files of: rank, extents (i64), f32 values.
constexpr const char* kOnnxruntime = R"py(
import sys, struct, time
import numpy as np
try:
    import onnxruntime as ort
except ImportError:
    sys.exit(4)
model, name, source, target = sys.argv[1:]
data = open(source, 'rb').read()
rank, = struct.unpack_from('<q', data)
shape = struct.unpack_from('<%dq' % rank, data, 8)
x = np.frombuffer(data, '<f4', offset=8 + 8 * rank).reshape(shape)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 3
session = ort.InferenceSession(model, options, providers=['CPUExecutionProvider'])
name = name or session.get_inputs()[0].name
start = time.perf_counter()
y = np.ascontiguousarray(session.run(None, {name: x})[0], '<f4')
took = (time.perf_counter() - start) * 1e3
with open(target, 'wb') as out:
    out.write(struct.pack('<q', y.ndim) + struct.pack('<%dq' % y.ndim, *y.shape) + y.tobytes())
print(ort.__version__, took)
)py";

void write_tensor(const std::string& path, const RawTensor& tensor) {
  std::string bytes;
  const auto put = [&](const void* data, std::size_t size) {
    bytes.append(static_cast<const char*>(data), size);
  };
  const auto rank = static_cast<std::int64_t>(tensor.shape.size());
  put(&rank, sizeof rank);
  put(tensor.shape.data(), tensor.shape.size() * sizeof(std::int64_t));
  put(tensor.values.data(), tensor.values.size() * sizeof(float));
  write_file(path, bytes);
}

RawTensor read_tensor(const std::string& path) {
  const std::string bytes = read_file(path);
  RawTensor tensor;
  std::int64_t rank = 0;
  std::memcpy(&rank, bytes.data(), std::min(bytes.size(), sizeof rank));
  const std::size_t head = sizeof rank * (1 + static_cast<std::size_t>(std::clamp<std::int64_t>(rank, 0, 8)));
  if (rank < 0 || rank > 8 || bytes.size() < head)
    throw Unavailable(path + ": the runtime's answer is cut short");
  tensor.shape.resize(static_cast<std::size_t>(rank));
  std::memcpy(tensor.shape.data(), bytes.data() + sizeof rank, head - sizeof rank);
  tensor.values.resize((bytes.size() - head) / sizeof(float));
  std::memcpy(tensor.values.data(), bytes.data() + head, tensor.values.size() * sizeof(float));
  return tensor;
}

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// Version and milliseconds stand on the last line; a failure's last line is the problem.
RuntimeAnswer ask(const std::string& command, const std::string& output) {
  const CommandResult result = run_command(command);
  RuntimeAnswer answer;
  answer.installed = result.code != 4 && result.code != 127;
  if (!answer.installed) return answer;
  std::string text = result.output;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const std::string last = text.substr(text.rfind('\n') + 1);
  if (result.code != 0) {
    answer.problem = last.empty() ? fmt::format("ended with code {}", result.code) : last;
    return answer;
  }
  const auto space = last.find(' ');
  answer.version = last.substr(0, space);
  answer.milliseconds = space == std::string::npos ? 0 : std::strtod(last.c_str() + space, nullptr);
  answer.output = read_tensor(output);
  return answer;
}

}  // namespace

RuntimeAnswer run_onnxruntime(const std::string& model, const std::string& input_name,
                              const RawTensor& input) {
  const std::string python = cache_folder() + "/venv/bin/python";
  if (!std::filesystem::exists(python)) return {};
  const TemporaryFolder folder;
  write_tensor(folder.file("in"), input);
  write_file(folder.file("run.py"), kOnnxruntime);
  return ask(fmt::format("{} {} {} {} {} {}", quoted(python), quoted(folder.file("run.py")), quoted(model),
                         quoted(input_name), quoted(folder.file("in")), quoted(folder.file("out"))),
             folder.file("out"));
}

RuntimeAnswer run_opencv(const std::string& model, const RawTensor& input, const std::string& helper) {
  std::error_code error;
  const std::string program =
      !helper.empty()
          ? helper
          : (std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "ballast-codesign-opencv")
                .string();
  if (!std::filesystem::exists(program)) return {};
  const TemporaryFolder folder;
  write_tensor(folder.file("in"), input);
  return ask(fmt::format("{} {} {} {}", quoted(program), quoted(model), quoted(folder.file("in")),
                         quoted(folder.file("out"))),
             folder.file("out"));
}

Agreement agreement(const RawTensor& a, const RawTensor& b) {
  if (a.shape != b.shape || a.values.size() != b.values.size() || a.shape.empty())
    throw InvalidInput("two answers of different shapes cannot be compared");
  Agreement result;
  const auto width = static_cast<std::size_t>(a.shape.back());
  for (std::size_t at = 0; at + width <= a.values.size() && width > 0; at += width) {
    const auto top = [&](const std::vector<float>& v) {
      const auto begin = v.begin() + static_cast<std::ptrdiff_t>(at);
      return std::max_element(begin, begin + static_cast<std::ptrdiff_t>(width)) - begin;
    };
    ++result.rows;
    result.same_top1 += top(a.values) == top(b.values) ? 1 : 0;
    for (std::size_t i = at; i < at + width; ++i)
      result.largest_difference =
          std::max(result.largest_difference, static_cast<double>(std::abs(a.values[i] - b.values[i])));
  }
  return result;
}

}  // namespace ballast::codesign
