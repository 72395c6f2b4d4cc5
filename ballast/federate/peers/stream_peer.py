"""What river's detectors and scipy's clustering say, for comparison.

usage: stream_peer.py detectors BERNOULLI.txt LEVELS.txt | stream_peer.py clustering FILE.json
Prints one JSON object.
"""
import json
import sys
import time


def detectors(bernoulli, levels):
    import csv
    if not hasattr(csv.DictReader, "__class_getitem__"):  # river 0.26 subscripts it, which Python 3.11 cannot
        csv.DictReader.__class_getitem__ = classmethod(lambda cls, _: cls)
    import river
    from river import drift
    from river.drift import binary

    def first(detector, digits):
        begin = time.perf_counter()
        found = []
        for i, digit in enumerate(digits):
            detector.update(int(digit))
            if detector.drift_detected:
                found.append(i)
        return {"drifts": found, "seconds": time.perf_counter() - begin}

    coins, steps = open(bernoulli).read().strip(), open(levels).read().strip()
    return {"version": river.__version__, "ddm": first(binary.DDM(), coins), "hddm_a": first(binary.HDDMA(), coins),
            "hddm_w": first(binary.HDDMW(), coins), "adwin": first(drift.ADWIN(), steps),
            "page_hinkley": first(drift.PageHinkley(), steps)}


def clustering(path):
    import scipy
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    answers = []
    for case in json.load(open(path)):
        tree = linkage(squareform(case["distances"], checks=False), case["linkage"])
        answers.append([int(c) for c in fcluster(tree, case["threshold"], "distance")])
    return {"version": scipy.__version__, "answers": answers}


print(json.dumps(detectors(sys.argv[2], sys.argv[3]) if sys.argv[1] == "detectors" else clustering(sys.argv[2])))
