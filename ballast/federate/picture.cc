#include "ballast/federate/picture.h"

// libjpeg's header wants these before it.
#include <cstddef>
#include <cstdio>

#include <fmt/format.h>
#include <jpeglib.h>
#include <png.h>

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstdint>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"

namespace ballast::federate {
namespace {

constexpr unsigned kLargest = 4096;

void check_size(const std::string& name, unsigned width, unsigned height) {
  if (width < 1 || height < 1 || width > kLargest || height > kLargest)
    throw InvalidInput(
        fmt::format("{}: {} x {} pixels; accepted: 1 to {} each way", name, width, height, kLargest));
}

// Interleaved bytes to planes.
Picture planes_of(unsigned width, unsigned height, int channels, const std::vector<std::uint8_t>& bytes) {
  Picture picture{static_cast<int>(width), static_cast<int>(height), channels, {}};
  const auto c = static_cast<std::size_t>(channels), pixels = std::size_t{width} * height;
  picture.planes.resize(c * pixels);
  for (std::size_t i = 0; i < pixels; ++i) {
    for (std::size_t k = 0; k < c; ++k)
      picture.planes[k * pixels + i] = static_cast<float>(bytes[i * c + k]) / 255.0f;
  }
  return picture;
}

Picture decode_png(const std::string& name, std::string_view bytes, bool colour) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const auto refuse = [&] {
    const std::string why = image.message;
    png_image_free(&image);
    throw InvalidInput(fmt::format("{}: no PNG picture ({})", name, why));
  };
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) refuse();
  if (image.width > kLargest || image.height > kLargest) {
    const unsigned width = image.width, height = image.height;
    png_image_free(&image);
    check_size(name, width, height);
  }
  image.format = colour ? PNG_FORMAT_RGB : PNG_FORMAT_GRAY;
  std::vector<std::uint8_t> pixels(PNG_IMAGE_SIZE(image));
  png_color black{0, 0, 0};
  if (png_image_finish_read(&image, &black, pixels.data(), 0, nullptr) == 0) refuse();
  return planes_of(image.width, image.height, colour ? 3 : 1, pixels);
}

struct JpegTrouble {
  jpeg_error_mgr base;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

// libjpeg reports errors by a jump, so nothing with a destructor lives between the two marks.
bool jpeg_rows(std::string_view bytes, bool colour, JpegTrouble& trouble, unsigned& width, unsigned& height,
               std::vector<std::uint8_t>& pixels) {
  jpeg_decompress_struct info;
  info.err = jpeg_std_error(&trouble.base);
  trouble.base.error_exit = [](j_common_ptr common) {
    auto* mine = reinterpret_cast<JpegTrouble*>(common->err);
    (*common->err->format_message)(common, mine->message);
    std::longjmp(mine->back, 1);
  };
  trouble.base.output_message = [](j_common_ptr) {};
  if (setjmp(trouble.back) != 0) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  width = info.image_width;
  height = info.image_height;
  if (width <= kLargest && height <= kLargest) {
    info.out_color_space = colour ? JCS_RGB : JCS_GRAYSCALE;
    jpeg_start_decompress(&info);
    const std::size_t row = std::size_t{info.output_width} * static_cast<std::size_t>(info.output_components);
    pixels.resize(row * info.output_height);
    while (info.output_scanline < info.output_height) {
      JSAMPROW line = pixels.data() + info.output_scanline * row;
      jpeg_read_scanlines(&info, &line, 1);
    }
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
  return true;
}

Picture decode_jpeg(const std::string& name, std::string_view bytes, bool colour) {
  JpegTrouble trouble{};
  unsigned width = 0, height = 0;
  std::vector<std::uint8_t> pixels;
  if (!jpeg_rows(bytes, colour, trouble, width, height, pixels))
    throw InvalidInput(fmt::format("{}: no JPEG picture ({})", name, trouble.message));
  check_size(name, width, height);
  return planes_of(width, height, colour ? 3 : 1, pixels);
}

}  // namespace

bool is_picture(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  return lower.ends_with(".png") || lower.ends_with(".jpg") || lower.ends_with(".jpeg");
}

Picture decode_picture(const std::string& name, std::string_view bytes, bool colour) {
  if (bytes.starts_with("\x89PNG")) return decode_png(name, bytes, colour);
  if (bytes.starts_with("\xff\xd8")) return decode_jpeg(name, bytes, colour);
  throw InvalidInput(fmt::format("{}: neither PNG nor JPEG", name));
}

Picture read_picture(const std::string& path, bool colour) {
  return decode_picture(path, read_file(path), colour);
}

}  // namespace ballast::federate
