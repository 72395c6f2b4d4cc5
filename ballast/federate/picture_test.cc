#include "ballast/federate/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
// libjpeg's header wants cstdio before it.
#include <jpeglib.h>
#include <png.h>
#include <cstdio>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "ballast/base/errors.h"
#include "ballast/base/file.h"
#include "ballast/base/random.h"
#include "ballast/base/temporary_folder.h"
#include "ballast/federate/user_data.h"

namespace ballast::federate {
namespace {

using testing::HasSubstr;

std::vector<unsigned char> gradient(unsigned width, unsigned height) {
  std::vector<unsigned char> pixels;
  for (unsigned y = 0; y < height; ++y) {
    for (unsigned x = 0; x < width; ++x) pixels.push_back(static_cast<unsigned char>(10 * y + x));
  }
  return pixels;
}

std::string png_of(unsigned width, unsigned height, const std::vector<unsigned char>& grey) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_GRAY;
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, grey.data(), 0, nullptr);
  std::string bytes(size, '\0');
  png_image_write_to_memory(&image, bytes.data(), &size, 0, grey.data(), 0, nullptr);
  bytes.resize(size);
  return bytes;
}

std::string jpeg_of(unsigned width, unsigned height, const std::vector<unsigned char>& grey) {
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = width;
  info.image_height = height;
  info.input_components = 1;
  info.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (unsigned y = 0; y < height; ++y) {
    JSAMPROW row = const_cast<unsigned char*>(grey.data()) + y * width;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string text(reinterpret_cast<char*>(bytes), size);
  std::free(bytes);
  return text;
}

TEST(Picture, PngIsExactAndJpegIsClose) {
  const auto pixels = gradient(12, 9);
  const Picture png = decode_picture("p", png_of(12, 9, pixels), false),
                jpeg = decode_picture("j", jpeg_of(12, 9, pixels), false);
  ASSERT_EQ(png.width, 12);
  ASSERT_EQ(png.height, 9);
  ASSERT_EQ(jpeg.planes.size(), pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    EXPECT_FLOAT_EQ(png.planes[i], static_cast<float>(pixels[i]) / 255.0f);
    EXPECT_NEAR(jpeg.planes[i], png.planes[i], 0.03);
  }
  const Picture colour = decode_picture("p", png_of(12, 9, pixels), true);
  ASSERT_EQ(colour.planes.size(), 3 * pixels.size());
  EXPECT_EQ(colour.planes[5], colour.planes[5 + 2 * pixels.size()]);
}

// Damaged pictures are refused or read; never anything else.
TEST(Picture, DamageIsRefused) {
  Random random(6);
  for (const std::string& whole : {png_of(12, 9, gradient(12, 9)), jpeg_of(12, 9, gradient(12, 9))}) {
    int refused = 0;
    for (int k = 0; k < 400; ++k) {
      std::string bytes = whole;
      if (k % 3 == 0) bytes.resize(random.below(bytes.size()));
      for (std::uint64_t flips = 1 + random.below(4); flips > 0 && !bytes.empty(); --flips)
        bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
      try {
        (void)decode_picture("damaged", bytes, k % 2 == 0);
      } catch (const InvalidInput&) {
        ++refused;
      }
    }
    EXPECT_GT(refused, 50);
  }
  EXPECT_THROW(decode_picture("x", "GIF89a", false), InvalidInput);
}

TEST(UserStore, PicturesInOneFolderALabel) {
  const TemporaryFolder folder;
  for (int step = 0; step < 2; ++step) {
    for (int label = 0; label < 2; ++label) {
      const std::string place = folder.file("step_" + std::to_string(step) + "/" + std::to_string(label));
      std::filesystem::create_directories(place);
      for (int k = 0; k < 3; ++k)
        write_file(place + "/" + std::to_string(k) + ".png", png_of(6, 6, gradient(6, 6)));
      write_file(place + "/notes.txt", "no picture");
    }
  }
  UserStore store({.path = folder.path(), .time_column = {}});
  EXPECT_EQ(store.features(), 36);
  EXPECT_EQ(store.steps(), 2);
  EXPECT_EQ(store.batch(1)->y, (std::vector<std::int32_t>{0, 0, 0, 1, 1, 1}));
  write_file(folder.file("step_1/1/odd.png"), png_of(5, 6, gradient(5, 6)));
  UserStore other({.path = folder.path(), .time_column = {}});
  try {
    (void)other.batch(1);
    FAIL();
  } catch (const InvalidInput& error) {
    EXPECT_THAT(error.what(), HasSubstr("5 x 6 pixels, those before 6 x 6"));
  }
  std::filesystem::create_directories(folder.file("step_2/cat"));
  EXPECT_THROW((void)other.batch(2), InvalidInput);
}

}  // namespace
}  // namespace ballast::federate
