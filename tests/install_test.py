#!/usr/bin/env python3
"""An installed Ballast: the front command finds its programs in libexec, wherever the folder lies.

usage: install_test.py BUILD_DIR

Installs what is built into a fresh folder, moves that folder, and runs it there.
"""
import json
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else Path("build").resolve()


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ballast-install-"))
        # Of the front command and base only: other programs may not be built yet when this test runs alone.
        for part in ("ballast/cli", "ballast/base"):
            result = subprocess.run(["cmake", "--install", BUILD / part, "--prefix", cls.folder / "first"],
                                    capture_output=True, text=True)
            assert result.returncode == 0, result.stderr
        cls.prefix = cls.folder / "moved here"
        (cls.folder / "first").rename(cls.prefix)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def ballast(self, *words):
        return subprocess.run([self.prefix / "bin/ballast", *words], capture_output=True, text=True, cwd=self.folder)

    def test_finds_programs_in_libexec(self):
        self.assertTrue((self.prefix / "libexec/ballast/ballast-base").exists())
        result = self.ballast("base", "--help")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("ballast base", result.stdout)

    def test_what_was_not_installed_is_said(self):
        result = self.ballast("graph", "run")
        self.assertEqual(result.returncode, 3)
        self.assertIn("make build COMPONENTS=graph", result.stderr)

    def test_a_page_needs_nothing_from_the_source_tree(self):
        log = self.folder / "a.hlog"
        log.write_text("0,1,0,HISTFAAAABx4nJNpmSzMgADMUJoRRFybvITB/gNEAABQ2gSH\n")
        result = self.ballast("base", "histogram", "a.hlog", "--report", "page.html")
        self.assertEqual(result.returncode, 0, result.stderr)
        page = (self.folder / "page.html").read_text()
        self.assertIn("Chart.js v", page)

    def test_doctor_knows_the_lists(self):
        result = self.ballast("doctor", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(json.loads(result.stdout)["packages"])
        self.assertTrue((self.prefix / "share/ballast/setup/apt.txt").exists())

    def test_front_command_starts_at_once(self):
        times = []
        for _ in range(15):
            start = time.perf_counter()
            self.ballast("--version")
            times.append(time.perf_counter() - start)
        print(f"`ballast --version`: {1e3 * sorted(times)[len(times) // 2]:.1f} ms with the start of the process (median of 15; the aim is 30)")


if __name__ == "__main__":
    unittest.main(verbosity=1)
