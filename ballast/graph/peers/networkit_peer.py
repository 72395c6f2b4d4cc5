"""NetworKit on one thread as a competitor of the sequential algorithms.

usage: networkit_peer.py EDGES VERTICES SOURCE ROUNDS
EDGES: little-endian pairs of 32-bit ids, each undirected edge once. Prints one JSON object, as mpi_peer.h says.
"""
import json
import sys
import time

import networkit as nk
import numpy as np

path, n, source, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
nk.setNumberOfThreads(1)
pairs = np.fromfile(path, dtype="<u4").reshape(-1, 2)
graph = nk.GraphFromCoo((pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)), n=n, directed=False)


def timed(make):
    seconds = []
    for round_ in range(-1, rounds):
        algorithm = make()
        start = time.perf_counter()
        algorithm.run()
        if round_ >= 0:
            seconds.append(time.perf_counter() - start)
    return algorithm, seconds


bfs, bfs_seconds = timed(lambda: nk.distance.BFS(graph, source, storePaths=False))
cc, cc_seconds = timed(lambda: nk.components.ConnectedComponents(graph))
pr, pr_seconds = timed(lambda: nk.centrality.PageRank(
    graph, damp=0.85, tol=1e-10, distributeSinks=nk.centrality.SinkHandling.DistributeSinks))
distances = np.array(bfs.getDistances())
ranks = np.array(pr.scores())
print(json.dumps({"version": nk.__version__, "reached": int((distances < n).sum()),
                  "levels": int(distances[distances < n].sum()), "components": cc.numberOfComponents(),
                  "squares": float((ranks * ranks).sum()), "largest": float(ranks.max()),
                  "bfs": bfs_seconds, "cc": cc_seconds, "pr": pr_seconds}))
