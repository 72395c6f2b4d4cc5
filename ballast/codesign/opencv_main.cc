// MODEL.onnx INPUT OUTPUT: runs a model in OpenCV's dnn, a process of its own so that OpenCV and libtorch
// never meet. The tensors' form is that of runtimes.cc. The last line printed is the version and the
// milliseconds, or the problem.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/dnn.hpp>

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fputs("usage: ballast-codesign-opencv MODEL.onnx INPUT OUTPUT\n", stderr);
    return 2;
  }
  try {
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    cv::setNumThreads(1);
    std::ifstream in(argv[2], std::ios::binary);
    std::int64_t rank = 0;
    in.read(reinterpret_cast<char*>(&rank), sizeof rank);
    if (!in || rank < 1 || rank > 8) return 2;
    std::vector<int> shape;
    for (std::int64_t d = 0, extent = 0; d < rank; ++d) {
      in.read(reinterpret_cast<char*>(&extent), sizeof extent);
      shape.push_back(static_cast<int>(extent));
    }
    cv::Mat x(shape, CV_32F);
    in.read(reinterpret_cast<char*>(x.data), static_cast<std::streamsize>(x.total() * sizeof(float)));
    cv::dnn::Net net = cv::dnn::readNetFromONNX(argv[1]);
    net.setPreferableBackend(cv::dnn::DNN_BACKEND_OPENCV);
    net.setInput(x);
    const auto start = std::chrono::steady_clock::now();
    const cv::Mat y = net.forward();
    const double took =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    std::ofstream out(argv[3], std::ios::binary);
    const std::int64_t out_rank = y.dims;
    out.write(reinterpret_cast<const char*>(&out_rank), sizeof out_rank);
    for (int d = 0; d < y.dims; ++d) {
      const std::int64_t extent = y.size[d];
      out.write(reinterpret_cast<const char*>(&extent), sizeof extent);
    }
    const cv::Mat plain = y.isContinuous() ? y : y.clone();
    out.write(reinterpret_cast<const char*>(plain.data),
              static_cast<std::streamsize>(plain.total() * sizeof(float)));
    std::printf("%s %.6f\n", CV_VERSION, took);
    return out ? 0 : 3;
  } catch (const std::exception& error) {
    std::string text = error.what();
    for (char& c : text) c = c == '\n' ? ' ' : c;
    std::fprintf(stderr, "%s\n", text.c_str());
    return 3;
  }
}
