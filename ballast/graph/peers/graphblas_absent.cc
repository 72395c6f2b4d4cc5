#include "ballast/graph/peers/library_peer.h"

namespace ballast::graph {

std::unique_ptr<LibraryPeer> make_graphblas(const EdgeList&) {
  return nullptr;
}

}  // namespace ballast::graph
