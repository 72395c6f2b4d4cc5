#!/usr/bin/env python3
"""The paths between components: what one makes, the next takes, with no step between.

usage: paths_test.py BUILD_DIR

    tune -> serve -> load     a fine-tuned model is served under latency promises, and a client measures them
    codesign -> robot         a found network names images in a benchmark, beside a classical method
    serve, robot, codesign    their traces open in one viewer
"""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else Path("build").resolve()
BALLAST = BUILD / "bin/ballast"
LIMIT_S = 300

# A made-up profile of speeds: measuring them would take longer than the test.
PERF = {"schema": "ballast.perf/1", "name": "test", "origin": "measured", "kv_tokens": 4096,
        "lines": [{"fixed_ms": 5, "ms_per_token": 1.0}, {"fixed_ms": 5, "ms_per_token": 1.0}]}


class Paths(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="ballast-paths-")
        self.folder = Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def leave_out(self, reason):
        """Leaves the test out by name: tests/run.sh lists what was left out."""
        (BUILD / "left-out").mkdir(exist_ok=True)
        with open(BUILD / "left-out/paths.txt", "a") as names:
            names.write(f"{self._testMethodName}: {reason}\n")
        self.skipTest(reason)

    def needs(self, *components):
        missing = [name for name in components if not (BUILD / f"bin/ballast-{name}").exists()]
        if missing:
            self.leave_out(f"not built here: {' '.join(missing)}")

    def ballast(self, words, *more):
        """Runs `ballast WORDS`; leaves the test out when the machine lacks what it needs (exit code 3)."""
        result = subprocess.run([BALLAST, *words.split(), *more], cwd=self.folder, capture_output=True, text=True,
                                timeout=LIMIT_S)
        if result.returncode == 3 and "setup" in result.stderr:
            self.leave_out(result.stderr.strip())
        self.assertEqual(result.returncode, 0, f"ballast {words}\n{result.stdout}{result.stderr}")
        return result.stdout

    @contextlib.contextmanager
    def server(self, *words):
        """A `ballast serve start` on a free port; gives its address."""
        port = self.folder / "port"
        with open(self.folder / "server.log", "w") as log:
            process = subprocess.Popen([BALLAST, "serve", "start", "--port", "0", "--port-file", port, *words],
                                       cwd=self.folder, stdout=log, stderr=log)
            try:
                until = time.monotonic() + LIMIT_S
                while not (port.exists() and port.read_text().strip()):
                    said = (self.folder / "server.log").read_text()
                    self.assertIsNone(process.poll(), f"the server ended: {said}")
                    self.assertLess(time.monotonic(), until, f"the server is not ready: {said}")
                    time.sleep(0.05)
                yield f"http://127.0.0.1:{port.read_text().strip()}"
            finally:
                process.send_signal(signal.SIGTERM)
                self.assertEqual(process.wait(timeout=60), 0, (self.folder / "server.log").read_text())

    def test_a_tuned_model_keeps_its_promises(self):
        self.needs("tune", "serve")
        self.ballast("tune run --keep-layers 2 --batch 1 --seq 24 --calibration 2 --steps 2 --clock modelled "
                     "--fit-iterations 2 --text /usr/share/common-licenses --gguf tuned.gguf")
        (self.folder / "perf.json").write_text(json.dumps(PERF))
        with self.server("--model", "tuned.gguf", "--perf", "perf.json", "--threads", "1", "--slots", "4",
                         "--slot-tokens", "256") as address:
            self.ballast("serve load --perf perf.json --scenario chatbot --rate 2 --duration 4 --most-prompt 64 "
                         "--most-output 8 --output run.jsonl --json load.json --trace load.trace.json --url", address)
        judged = json.loads((self.folder / "load.json").read_text())
        again = json.loads(self.ballast("serve report run.jsonl --json"))
        lines = [json.loads(line) for line in (self.folder / "run.jsonl").read_text().splitlines()]
        requests = [line for line in lines if line.get("tokens_ms") or line.get("token_ms") or "arrival_ms" in line]
        self.assertTrue(requests, lines[:2])
        # The report of the log alone judges as the client did.
        for key in set(judged) & set(again) & {"requests", "attained", "attainment", "completed", "failed"}:
            self.assertEqual(judged[key], again[key], key)

    def test_a_found_network_is_benchmarked_beside_a_classical_one(self):
        self.needs("codesign", "robot")
        self.ballast("codesign train --limit 8000 --steps 240 --batch 64 --random-nets 1 --phases 1 --out net.pt")
        self.ballast("codesign search --ckpt net.pt --hw xr22-x8 --objectives accuracy,latency --evaluations 12 "
                     "--population 6 --images 200 --no-test --json front.json")
        self.ballast("codesign export --ckpt net.pt --genotype front.json --batch 1 -o found.onnx")
        self.ballast("codesign export --ckpt net.pt --genotype largest --batch 1 -o largest.onnx")
        # A loaded machine sends late, which voids the timing (exit code 3) but not the answers.
        result = subprocess.run([BALLAST, *"robot run a8 --impl hog,network:found.onnx,network:largest.onnx --quick "
                                 "--rates 20 --json a8.json".split()], cwd=self.folder, capture_output=True, text=True,
                                timeout=LIMIT_S)
        self.assertIn(result.returncode, (0, 3), result.stderr)
        results = {entry["implementation"]: entry for entry in json.loads((self.folder / "a8.json").read_text())["results"]}
        self.assertEqual(set(results), {"hog", "network:found.onnx", "network:largest.onnx"})
        for name in ("hog", "network:largest.onnx"):  # what a search finds after so little training may name half wrong
            self.assertTrue(results[name]["check"]["passed"], f"{name}: {results[name]}")
            self.assertGreater(results[name]["rates"][0]["median_ms"]["value"], 0)
        self.assertLess(results["network:found.onnx"]["check"]["value"], 1, "no image named right")

    def test_one_viewer_opens_every_trace(self):
        makers = {
            "serve": "serve sim --scenario chatbot --rate 2 --requests 40 --policies slos",
            "codesign": "codesign map mobilenet_v2 --hw xr22-x8",
            "robot": "robot analyze results/c2-reference/trace.txt",
        }
        makers = {name: words for name, words in makers.items() if (BUILD / f"bin/ballast-{name}").exists()}
        if not makers:
            self.leave_out("no component that writes traces is built here")
        for name, words in makers.items():
            with self.subTest(component=name):
                if name == "robot":  # a loaded machine may void the timing; the trace is there all the same
                    subprocess.run([BALLAST, *"robot run c2 --quick --rates 20 --tracer internal -o results".split()],
                                   cwd=self.folder, capture_output=True, timeout=LIMIT_S)
                self.ballast(f"{words} --trace {name}.trace.json")
                document = json.loads((self.folder / f"{name}.trace.json").read_text())
                spans = [event for event in document["traceEvents"] if event["ph"] in "XB"]
                self.assertTrue(spans, f"{name}: no span in {len(document['traceEvents'])} events")
                for event in document["traceEvents"]:
                    self.assertIn(event["ph"], "XBEiIMCbensftN", event)
                    if event["ph"] != "M":
                        self.assertGreaterEqual(event["ts"], 0, event)
                        self.assertIsInstance(event["pid"], int, event)
                for event in spans:
                    self.assertTrue(event["name"], event)
                    if event["ph"] == "X":
                        self.assertGreaterEqual(event["dur"], 0, event)


if __name__ == "__main__":
    unittest.main(verbosity=1)
