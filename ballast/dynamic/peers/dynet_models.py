"""Models of ballast/dynamic/models in DyNet 2.2 with automatic batching: same weights, same instances.

Usage: dynet_models.py PROBLEM.json; prints {"version", "outputs", "runs": [{"build", "execute"}]} as JSON. `execute` leaves the
building of the graph in Python out. Instances: of treelstm a word number, or [left, right]; of birnn and bilstm a list of word
numbers; of latticelstm a list of [character, [[span, word], ...]]. Outputs: all class scores in the order of the model's result.
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
given = {name: np.array(values, dtype=np.float32) for name, values in problem["parameters"].items()}
model = dy.ParameterCollection()


def matrix(*names):
    """Weights of these names one below the other, as someone who tunes DyNet stacks the gates of one operand."""
    return model.parameters_from_numpy(np.concatenate([given[n].reshape(height(n), -1) for n in names]))


def height(name):
    """Rows of a weight: its bias has as many numbers."""
    bias = {"U": "c", "W": "b", "V": "v"}[name[0]] + name[1:]
    if name == "Ug":
        bias = "dg"
    return len(given[bias])


def vector(*names):
    return model.parameters_from_numpy(np.concatenate([given[n] for n in names]))


table = model.lookup_parameters_from_numpy(given["E"].reshape(-1, h))
out_w, out_b = matrix("Wc"), vector("bc")


def score(x):
    return dy.affine_transform([out_b, out_w, x])


def lstm(w, b, x, hidden, cell):
    g = dy.affine_transform([b, w, dy.concatenate([x, hidden])])
    new = dy.cmult(dy.logistic(g[:h]), dy.tanh(g[2 * h:3 * h])) + dy.cmult(dy.logistic(g[3 * h:]), cell)
    return dy.cmult(dy.logistic(g[h:2 * h]), dy.tanh(new)), new


def treelstm():
    leaf_w, leaf_b = matrix("Wi", "Wo", "Wu"), vector("bi", "bo", "bu")
    node_w, node_b = matrix("Ui", "Uo", "Uu", "Ul", "Ur"), vector("ci", "co", "cu", "cl", "cr")

    def walk(tree, outputs):
        if isinstance(tree, int):
            g = dy.affine_transform([leaf_b, leaf_w, table[tree]])
            cell = dy.cmult(dy.logistic(g[:h]), dy.tanh(g[2 * h:]))
            return dy.cmult(dy.logistic(g[h:2 * h]), dy.tanh(cell)), cell
        mark = len(outputs)
        outputs.append(None)
        hl, cl = walk(tree[0], outputs)
        hr, cr = walk(tree[1], outputs)
        g = dy.affine_transform([node_b, node_w, dy.concatenate([hl, hr])])
        cell = (dy.cmult(dy.logistic(g[:h]), dy.tanh(g[2 * h:3 * h])) + dy.cmult(dy.logistic(g[3 * h:4 * h]), cl)
                + dy.cmult(dy.logistic(g[4 * h:]), cr))
        hidden = dy.cmult(dy.logistic(g[h:2 * h]), dy.tanh(cell))
        outputs[mark] = score(hidden)
        return hidden, cell

    return walk


def birnn():
    w = {d: (matrix("W" + d), vector("b" + d)) for d in "fb"}
    start = {d: vector(d + "0") for d in "fb"}

    def scan(d, xs):
        state, states = start[d], []
        for x in xs:
            state = dy.logistic(dy.affine_transform([w[d][1], w[d][0], dy.concatenate([x, state])]))
            states.append(state)
        return states

    def run(words, outputs):
        xs = [table[word] for word in words]
        for f, b in zip(scan("f", xs), reversed(scan("b", xs[::-1]))):
            outputs.append(score(dy.concatenate([f, b])))

    return run


def bilstm():
    layers = [{d: (matrix(m + d), vector(v + d)) for d in "fb"} for m, v in (("W", "b"), ("V", "v"))]

    def scan(weights, xs):
        hidden = cell = dy.zeros(h)
        states = []
        for x in xs:
            hidden, cell = lstm(*weights, x, hidden, cell)
            states.append(hidden)
        return states

    def run(words, outputs):
        xs = [table[word] for word in words]
        for layer in layers:
            xs = [dy.concatenate([f, b]) for f, b in zip(scan(layer["f"], xs), reversed(scan(layer["b"], xs[::-1])))]
        outputs.extend(score(x) for x in xs)

    return run


def latticelstm():
    letter, word_arc = (matrix("Wg"), vector("bg")), (matrix("Ug"), vector("dg"))

    def run(places, outputs):
        states = [(dy.zeros(h), dy.zeros(h))]
        for character, arcs in places:
            arriving = [lstm(*letter, table[character], *states[-1])]
            for span, word in arcs:
                arriving.append(lstm(*word_arc, table[word], *states[-span]))
            states.append(arriving[0] if len(arriving) == 1
                          else (dy.esum([a[0] for a in arriving]), dy.esum([a[1] for a in arriving])))
            outputs.append(score(states[-1][0]))

    return run


walk = {"treelstm": treelstm, "birnn": birnn, "bilstm": bilstm, "latticelstm": latticelstm}[problem["model"]]()
runs, values = [], None
for _ in range(problem["rounds"] + 1):
    dy.renew_cg()
    begin = time.perf_counter()
    outputs = []
    for instance in problem["instances"]:
        walk(instance, outputs)
    together = dy.concatenate(outputs)
    built = time.perf_counter()
    together.forward()
    done = time.perf_counter()
    runs.append({"build": built - begin, "execute": done - built})
    values = together.npvalue().flatten().tolist()
print(json.dumps({"version": "2.2", "outputs": values, "runs": runs[1:]}))
