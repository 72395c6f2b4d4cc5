"""The binary TreeLSTM of models/treelstm.bdm in DyNet 2.2 with automatic batching: same weights, same trees.

Usage: dynet_treelstm.py PROBLEM.json; prints {"version", "outputs", "runs": [{"build", "execute"}]} as JSON. `execute` leaves
the building of the graph in Python out. A tree is a word number, or [left, right].
"""
import json
import sys
import time

import dynet_config

problem = json.load(open(sys.argv[1], encoding="utf-8"))
dynet_config.set(mem=2000, random_seed=1, autobatch=problem["autobatch"])
import dynet as dy  # noqa: E402
import numpy as np  # noqa: E402

h, c = problem["hidden"], problem["classes"]
model = dy.ParameterCollection()


def parameter(name, shape):
    return model.parameters_from_numpy(np.array(problem["parameters"][name], dtype=np.float32).reshape(shape))


words = len(problem["parameters"]["E"]) // h
table = model.lookup_parameters_from_numpy(np.array(problem["parameters"]["E"], dtype=np.float32).reshape(words, h))
# Gates of one operand stacked, as someone who tunes DyNet writes it.
leaf_w = model.parameters_from_numpy(np.concatenate([np.array(problem["parameters"][n], dtype=np.float32).reshape(h, h) for n in ("Wi", "Wo", "Wu")]))
leaf_b = model.parameters_from_numpy(np.concatenate([np.array(problem["parameters"][n], dtype=np.float32) for n in ("bi", "bo", "bu")]))
node_w = model.parameters_from_numpy(np.concatenate([np.array(problem["parameters"][n], dtype=np.float32).reshape(h, 2 * h) for n in ("Ui", "Uo", "Uu", "Ul", "Ur")]))
node_b = model.parameters_from_numpy(np.concatenate([np.array(problem["parameters"][n], dtype=np.float32) for n in ("ci", "co", "cu", "cl", "cr")]))
out_w, out_b = parameter("Wc", (c, h)), parameter("bc", (c,))


def walk(tree, outputs):
    if isinstance(tree, int):
        g = dy.affine_transform([leaf_b, leaf_w, table[tree]])
        i, o, u = dy.logistic(g[:h]), dy.logistic(g[h:2 * h]), dy.tanh(g[2 * h:])
        cell = dy.cmult(i, u)
        return dy.cmult(o, dy.tanh(cell)), cell
    mark = len(outputs)
    outputs.append(None)
    hl, cl = walk(tree[0], outputs)
    hr, cr = walk(tree[1], outputs)
    g = dy.affine_transform([node_b, node_w, dy.concatenate([hl, hr])])
    i, o, u = dy.logistic(g[:h]), dy.logistic(g[h:2 * h]), dy.tanh(g[2 * h:3 * h])
    cell = dy.cmult(i, u) + dy.cmult(dy.logistic(g[3 * h:4 * h]), cl) + dy.cmult(dy.logistic(g[4 * h:]), cr)
    hidden = dy.cmult(o, dy.tanh(cell))
    outputs[mark] = dy.affine_transform([out_b, out_w, hidden])
    return hidden, cell


runs, values = [], None
for _ in range(problem["rounds"] + 1):
    dy.renew_cg()
    begin = time.perf_counter()
    outputs = []
    for tree in problem["trees"]:
        walk(tree, outputs)
    together = dy.concatenate(outputs)
    built = time.perf_counter()
    together.forward()
    done = time.perf_counter()
    runs.append({"build": built - begin, "execute": done - built})
    values = together.npvalue().flatten().tolist()
print(json.dumps({"version": "2.2", "outputs": values, "runs": runs[1:]}))
