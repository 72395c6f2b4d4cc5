#include "ballast/graph/peers/igraph_peer.h"

namespace ballast::graph {

std::unique_ptr<IgraphPeer> IgraphPeer::make(const EdgeList&) {
  return nullptr;
}

}  // namespace ballast::graph
