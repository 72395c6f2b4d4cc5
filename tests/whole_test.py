#!/usr/bin/env python3
"""Every component's program as people run it who are not us: in folders with spaces, in another language, as nobody in
particular, with a home that cannot be written, without a network, on a full disk.

usage: whole_test.py BUILD_DIR

The commands below are quick and real; each writes its result as JSON, which must be the same under all circumstances.
"""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else Path("build").resolve()
BALLAST = BUILD / "bin/ballast"

# Component -> words behind `ballast COMPONENT`.
COMMANDS = {
    "orch": "explain --key 0 --machines 4 --tasks 2000",
    "graph": "run cc kron:8 --machines 2",
    "index": "explain --keys 20000 --batch 2000 --modules 16",
    "ragged": "flops mnli",
    "dynamic": "schedule tree --instances 4",
    "serve": "sim --scenario chatbot --rate 2 --requests 40 --policies slos",
    "tune": "plan --shape llama-7b --machine workstation",
    "federate": "sim --data sine --strategy oblivious --preset smoke --steps 3 --threads 1",
    "codesign": "map mobilenet_v2 --hw xr22-x8",
    "robot": "list",
    "cluster": "info",
}


def built():
    return {name: words for name, words in COMMANDS.items() if (BUILD / f"bin/ballast-{name}").exists()}


def become_nobody():
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


def small_disk():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def without_clocks(value):
    """A JSON document without what differs from run to run: measured times and the machine."""
    if isinstance(value, dict):
        return {key: without_clocks(inner) for key, inner in value.items()
                if not any(word in key for word in ("_s", "_ms", "seconds", "time", "load", "machine", "path", "measured", "command"))}
    if isinstance(value, list):
        return [without_clocks(inner) for inner in value]
    return value


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ballast-whole-"))
        cls.folder.chmod(0o755)
        cls.expected = {}
        for name, words in built().items():
            result = cls.run_one(name, words, cls.folder)
            assert result.returncode == 0, f"ballast {name} {words}: {result.stderr}"
            cls.expected[name] = without_clocks(json.loads(result.stdout))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def run_one(cls, name, words, folder, env=None, before=None, prefix=(), output=None):
        command = [*prefix, str(BALLAST), name, *words.split(), "--json", *([output] if output else [])]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300,
                              env={**os.environ, **(env or {})}, preexec_fn=before)

    def same_everywhere(self, folder=None, **how):
        for name, words in built().items():
            with self.subTest(component=name):
                result = self.run_one(name, words, folder or self.folder, **how)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(without_clocks(json.loads(result.stdout)), self.expected[name])

    def test_folders_with_spaces_and_accents(self):
        folder = self.folder / "ein Pfad mit Lücken"
        folder.mkdir()
        self.same_everywhere(folder=folder)

    def skipTest(self, reason):
        """Leaves the test out by name: tests/run.sh lists what was left out."""
        (BUILD / "left-out").mkdir(exist_ok=True)
        with open(BUILD / "left-out/whole.txt", "a") as names:
            names.write(f"{self._testMethodName}: {reason}\n")
        super().skipTest(reason)

    def test_another_language(self):
        locales = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.split()
        other = next((entry for entry in locales if entry.startswith(("de_", "fr_", "tr_"))), None)
        self.same_everywhere(env={"LC_ALL": other or "C", "LANG": "de_DE.UTF-8"})

    def test_nobody_with_a_home_that_cannot_be_written(self):
        if os.getuid() != 0:
            self.skipTest("needs root to become another user")
        try:  # A build folder under /root cannot be entered by anybody else.
            subprocess.run([str(BALLAST), "--version"], preexec_fn=become_nobody, capture_output=True, check=True)
        except (PermissionError, subprocess.CalledProcessError):
            self.skipTest(f"another user cannot reach {BUILD}")
        folder = self.folder / "nobody"
        folder.mkdir()
        folder.chmod(0o777)
        self.same_everywhere(folder=folder, env={"HOME": "/nonexistent"}, before=become_nobody)

    def test_no_network(self):
        prefix = ["unshare", "--net"]
        if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
            self.skipTest("this system does not let us take the network away")
        self.same_everywhere(prefix=prefix)

    def test_a_full_disk_leaves_nothing_half_written(self):
        folder = self.folder / "full"
        folder.mkdir()
        for name, words in built().items():
            with self.subTest(component=name):
                result = self.run_one(name, words, folder, before=small_disk, output="out.json")
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
                self.assertEqual([file.name for file in folder.iterdir()], [])


if __name__ == "__main__":
    unittest.main(verbosity=1)
