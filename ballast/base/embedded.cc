#include "ballast/base/embedded.h"

// The assembler copies the file as it is between two labels; the paths come from CMakeLists.txt.
#define BALLAST_EMBED(name, path)                                                 \
  asm(".section .rodata\n.balign 16\nballast_embedded_" name ":\n.incbin \"" path \
      "\"\nballast_embedded_" name                                                \
      "_end:\n.byte 0\n"                                                          \
      ".global ballast_embedded_" name "\n.global ballast_embedded_" name "_end\n.text\n")

BALLAST_EMBED("page_css", BALLAST_PAGE_FOLDER "/page.css");
BALLAST_EMBED("page_js", BALLAST_PAGE_FOLDER "/page.js");
BALLAST_EMBED("chart_js", BALLAST_CHART_JS);

extern "C" {
extern const char ballast_embedded_page_css[], ballast_embedded_page_css_end[];
extern const char ballast_embedded_page_js[], ballast_embedded_page_js_end[];
extern const char ballast_embedded_chart_js[], ballast_embedded_chart_js_end[];
}

namespace ballast::embedded {

std::string_view page_css() {
  return {ballast_embedded_page_css, ballast_embedded_page_css_end};
}
std::string_view page_js() {
  return {ballast_embedded_page_js, ballast_embedded_page_js_end};
}
std::string_view chart_js() {
  return {ballast_embedded_chart_js, ballast_embedded_chart_js_end};
}

}  // namespace ballast::embedded
