"""FedAvg of the small perceptron in numpy under Flower's simulation: the same data, model, optimizer and budget as
`ballast federate bench --suite peers`.

usage: flower_peer.py FOLDER ROUNDS LOCAL_STEPS BATCH
FOLDER holds client_C_x.npy, client_C_y.npy, test_x.npy, test_y.npy, start.npy. Prints one JSON object.
"""
import json
import os
import sys
import time

os.environ.update(FLWR_TELEMETRY_ENABLED="0", RAY_USAGE_STATS_ENABLED="0", OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore")
import numpy as np

FOLDER, ROUNDS, STEPS, BATCH = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
D, H, C = 2, 4, 2
SHAPES = [(H, D), (H,), (C, H), (C,)]


def parts(flat):
    out, at = [], 0
    for shape in SHAPES:
        size = int(np.prod(shape))
        out.append(flat[at:at + size].reshape(shape).copy())
        at += size
    return out


class Adam:
    """With AMSGrad and weight decay in the gradient, as in the fused trainer."""

    def __init__(self):
        self.m = [np.zeros(s, np.float32) for s in SHAPES]
        self.v = [np.zeros(s, np.float32) for s in SHAPES]
        self.top = [np.zeros(s, np.float32) for s in SHAPES]
        self.t = 0

    def step(self, params, gradients):
        self.t += 1
        for k, (p, g) in enumerate(zip(params, gradients)):
            g = g + 1e-3 * p
            self.m[k] = 0.9 * self.m[k] + 0.1 * g
            self.v[k] = 0.999 * self.v[k] + 0.001 * g * g
            self.top[k] = np.maximum(self.top[k], self.v[k])
            p -= 1e-2 / (1 - 0.9**self.t) * self.m[k] / (np.sqrt(self.top[k] / (1 - 0.999**self.t)) + 1e-8)


def train(params, x, y, seed):
    random, adam = np.random.default_rng(seed), Adam()
    for _ in range(STEPS):
        chosen = random.integers(0, len(y), BATCH)
        bx, by = x[chosen], y[chosen]
        hidden = np.maximum(bx @ params[0].T + params[1], 0)
        logits = hidden @ params[2].T + params[3]
        e = np.exp(logits - logits.max(1, keepdims=True))
        d = e / e.sum(1, keepdims=True)
        d[np.arange(BATCH), by] -= 1
        d /= BATCH
        back = (d @ params[2]) * (hidden > 0)
        adam.step(params, [back.T @ bx, back.sum(0), d.T @ hidden, d.sum(0)])
    return params


def accuracy(params, x, y):
    return float((np.argmax(np.maximum(x @ params[0].T + params[1], 0) @ params[2].T + params[3], 1) == y).mean())


def load(name):
    return np.load(os.path.join(FOLDER, name))


def main():
    import flwr as fl
    from flwr.client import ClientApp, NumPyClient
    from flwr.server import ServerApp, ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import run_simulation

    clients = sum(1 for f in os.listdir(FOLDER) if f.startswith("client_") and f.endswith("_x.npy"))
    times, accuracies = [], []

    class Client(NumPyClient):
        def __init__(self, c):
            self.c = c

        def fit(self, parameters, config):
            x, y = load(f"client_{self.c}_x.npy"), load(f"client_{self.c}_y.npy")
            return train([p.copy() for p in parameters], x, y, config.get("round", 0) * 1000 + self.c), len(y), {}

    test_x, test_y = load("test_x.npy"), load("test_y.npy")

    def evaluate(round_number, parameters, _):
        times.append(time.monotonic())
        accuracies.append(accuracy(parameters, test_x, test_y))
        return 0.0, {}

    def server_fn(_):
        strategy = FedAvg(fraction_fit=1.0, fraction_evaluate=0.0, min_fit_clients=clients, min_available_clients=clients,
                          evaluate_fn=evaluate, on_fit_config_fn=lambda r: {"round": r},
                          initial_parameters=fl.common.ndarrays_to_parameters(parts(load("start.npy"))))
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=ROUNDS))

    begin = time.monotonic()
    run_simulation(ServerApp(server_fn=server_fn),
                   ClientApp(client_fn=lambda context: Client(int(context.node_config["partition-id"])).to_client()),
                   num_supernodes=clients, backend_config={"client_resources": {"num_cpus": 1}})
    steady = [b - a for a, b in zip(times[1:], times[2:])]  # the first round starts Ray's workers
    params = parts(load("start.npy"))
    data = [(load(f"client_{c}_x.npy"), load(f"client_{c}_y.npy")) for c in range(clients)]
    plain = time.monotonic()
    for c, (x, y) in enumerate(data):
        train([p.copy() for p in params], x, y, c)
    print("RESULT " + json.dumps({"rounds": steady, "start_up": times[1] - begin, "accuracy": accuracies[-1],
                                  "numpy_round": time.monotonic() - plain, "version": fl.__version__}))


main()
