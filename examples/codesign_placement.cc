// The best placement of MobileNetV2 on an NPU beside four macros, against running all of it on the NPU.
#include <cstdio>

#include "ballast/codesign/mapping.h"
#include "ballast/codesign/nets.h"

namespace cd = ballast::codesign;

int main() {
  const cd::Graph graph = cd::mobilenet_v2();
  const cd::System system = cd::load_system("xr22-x4");
  const cd::Run npu =
      cd::evaluate(graph, system, cd::map_network(graph, system, {.method = cd::Method::npu}));
  const cd::Run best =
      cd::evaluate(graph, system, cd::map_network(graph, system, {.method = cd::Method::cut, .split = true}));
  std::printf("all on the NPU %.3f ms, best placement %.3f ms, %.1f%% saved (modelled)\n", npu.ms, best.ms,
              100 * (1 - best.ms / npu.ms));
}
