#!/usr/bin/env python3
"""An installed Ballast: the front command finds its programs in libexec, wherever the folder lies; man pages and
completion are there; another project finds the libraries by find_package.

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

SOURCE = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else Path("build").resolve()


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="ballast-install-"))
        # Of the front command and base only: other programs may not be built yet when this test runs alone.
        for part in ("ballast/base", "ballast/cli"):
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
        result = self.ballast("robot", "run")
        self.assertEqual(result.returncode, 3)
        self.assertIn("make build COMPONENTS=robot", result.stderr)

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

    def test_man_pages_and_completion_come_with_it(self):
        if "BALLAST_SANITIZE:STRING=\n" not in (BUILD / "CMakeCache.txt").read_text():
            self.skipTest("a build for sanitizers installs neither")
        self.assertIn(".SH histogram", (self.prefix / "share/man/man1/ballast-base.1").read_text())
        script = self.prefix / "share/bash-completion/completions/ballast"
        offered = subprocess.run(["bash", "-c", f"source '{script}'; COMP_WORDS=(ballast base his); COMP_CWORD=2; "
                                  "_ballast; echo ${COMPREPLY[@]}"], capture_output=True, text=True)
        self.assertEqual(offered.stdout, "histogram\n", offered.stderr)

    def test_another_project_finds_the_package(self):
        parts = ["base", "data", "cost", "cluster", "orch", "graph", "llama", "serve"]
        missing = [part for part in parts if not list((BUILD / "ballast" / part).glob("libballast_*.a"))]
        if missing:
            self.skipTest(f"not built: {' '.join(missing)}")
        for part in parts:
            result = subprocess.run(["cmake", "--install", BUILD / "ballast" / part, "--prefix", self.prefix],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
        subprocess.run(["cmake", "-DCMAKE_INSTALL_LOCAL_ONLY=1", f"-DCMAKE_INSTALL_PREFIX={self.prefix}", "-P",
                        BUILD / "cmake_install.cmake"], check=True, capture_output=True)
        project = self.folder / "a project"
        project.mkdir()
        for name in ("graph_widest_paths", "serve_plan"):
            shutil.copy(SOURCE / "examples" / f"{name}.cc", project)
        (project / "CMakeLists.txt").write_text("""cmake_minimum_required(VERSION 3.25)
project(Mine CXX C)
find_package(Ballast 0.1 REQUIRED COMPONENTS graph serve)
add_executable(paths graph_widest_paths.cc)
target_link_libraries(paths PRIVATE ballast::graph)
add_executable(plan serve_plan.cc)
target_link_libraries(plan PRIVATE ballast::serve)
""")
        for words in (["-S", ".", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}"], ["--build", "build"]):
            result = subprocess.run(["cmake", *words], cwd=project, capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        for program in ("paths", "plan"):
            result = subprocess.run([project / "build" / program], capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertTrue(result.stdout)
        (project / "CMakeLists.txt").write_text("""cmake_minimum_required(VERSION 3.25)
project(Mine CXX C)
find_package(Ballast REQUIRED COMPONENTS grph)
""")
        result = subprocess.run(["cmake", "-S", ".", "-B", "other", f"-DCMAKE_PREFIX_PATH={self.prefix}"], cwd=project,
                                capture_output=True, text=True)
        self.assertIn("component grph was not installed", " ".join(result.stderr.split()))

    def test_front_command_starts_at_once(self):
        times = []
        for _ in range(15):
            start = time.perf_counter()
            self.ballast("--version")
            times.append(time.perf_counter() - start)
        print(f"`ballast --version`: {1e3 * sorted(times)[len(times) // 2]:.1f} ms with the start of the process (median of 15; the aim is 30)")


if __name__ == "__main__":
    unittest.main(verbosity=1)
