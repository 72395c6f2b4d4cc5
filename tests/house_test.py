#!/usr/bin/env python3
"""The rules of the house, tried on made-up trees: what may include what, and what may be left out.

usage: house_test.py SOURCE_DIR

Each tree has the real cmake/ folder and components of one file, so it configures in about a second.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent


class Tree:
    """A source tree of components, given as {name: (uses, {file: text})}."""

    def __init__(self, components: dict):
        self.root = Path(tempfile.mkdtemp(prefix="ballast-house-"))
        shutil.copytree(SOURCE / "cmake", self.root / "cmake")
        order = " ".join(components)
        (self.root / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.25)
project(House VERSION 1.0 LANGUAGES C CXX)
list(APPEND CMAKE_MODULE_PATH ${{CMAKE_SOURCE_DIR}}/cmake)
include(BallastOptions)
include(BallastComponent)
foreach(component IN ITEMS {order})
  add_subdirectory(ballast/${{component}})
endforeach()
ballast_finish()
""")
        for name, (uses, files) in components.items():
            folder = self.root / "ballast" / name
            folder.mkdir(parents=True)
            used = f"USES {uses}" if uses else ""
            sources = " ".join(f for f in files if f.endswith(".cc"))
            (folder / "CMakeLists.txt").write_text(f"ballast_component({name} {used} SOURCES {sources})\n")
            for file, text in files.items():
                (folder / file).write_text(text)

    def run(self, *words):
        return subprocess.run(words, cwd=self.root, capture_output=True, text=True)

    def configure(self, *flags):
        return self.run("cmake", "-S", ".", "-B", "build", "-G", "Ninja", "-DBALLAST_TESTS=OFF", *flags)

    def build(self, *targets):
        return self.run("cmake", "--build", "build", "-j2", *(("--target",) + targets if targets else ()))

    def components(self):
        return [line.split(":")[0] for line in (self.root / "build/components.txt").read_text().splitlines()]

    def remove(self):
        shutil.rmtree(self.root)


def component(name, include=""):
    """A component of one header and one source that includes something."""
    return {f"{name}.h": f"#pragma once\nint {name}();\n",
            f"{name}.cc": f'{include}\n#include "ballast/{name}/{name}.h"\nint {name}() {{ return 1; }}\n'}


class House(unittest.TestCase):
    def tree(self, components):
        tree = Tree(components)
        self.addCleanup(tree.remove)
        return tree

    def test_declared_includes_build(self):
        tree = self.tree({"base": ("", component("base")),
                          "data": ("base", component("data", '#include "ballast/base/base.h"')),
                          "graph": ("data", component("graph", '#include "ballast/base/base.h"'))})  # through data
        result = tree.configure()
        self.assertEqual(result.returncode, 0, result.stderr)
        result = tree.build()
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_undeclared_include_is_named_and_does_not_compile(self):
        tree = self.tree({"base": ("", component("base")), "data": ("base", component("data")),
                          "cost": ("base", component("cost", '#include "ballast/data/data.h"'))})
        self.assertEqual(tree.configure().returncode, 0)
        result = tree.build()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ballast/cost/cost.cc:1: component cost includes \"ballast/data/data.h\"",
                      result.stdout + result.stderr)
        # Without the checker's sentence the compiler refuses it too: the header cannot be reached.
        flags = next(entry for entry in json.loads((tree.root / "build/compile_commands.json").read_text())
                     if entry["file"].endswith("cost.cc"))
        result = subprocess.run(flags["command"], cwd=flags["directory"], shell=True, capture_output=True, text=True)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("ballast/data/data.h", result.stderr)

    def test_upward_use_is_refused_at_configure(self):
        tree = self.tree({"base": ("", component("base")), "data": ("base graph", component("data")),
                          "graph": ("base", component("graph"))})
        result = tree.configure()
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("component data may not use graph", " ".join(result.stderr.split()))

    def test_unknown_component_is_refused(self):
        tree = self.tree({"base": ("", component("base")), "data": ("bse", component("data"))})
        result = tree.configure()
        self.assertIn("uses 'bse', which is no component", " ".join(result.stderr.split()))

    def test_component_switched_off_takes_its_users_with_it(self):
        tree = self.tree({"base": ("", component("base")), "data": ("base", component("data")),
                          "cost": ("base", component("cost")), "graph": ("data", component("graph"))})
        result = tree.configure("-DBALLAST_DATA=OFF")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(tree.components(), ["base", "cost"])
        self.assertIn("graph left out: it needs data", result.stdout)
        self.assertEqual(tree.build().returncode, 0)

    def test_only_brings_what_it_stands_on(self):
        tree = self.tree({"base": ("", component("base")), "data": ("base", component("data")),
                          "cost": ("base", component("cost")), "graph": ("data", component("graph"))})
        self.assertEqual(tree.configure("-DBALLAST_ONLY=graph").returncode, 0)
        self.assertEqual(tree.components(), ["base", "data", "graph"])
        self.assertEqual(tree.configure("-DBALLAST_ONLY=").returncode, 0)  # and back to all
        self.assertEqual(tree.components(), ["base", "data", "cost", "graph"])
        self.assertNotEqual(tree.configure("-DBALLAST_ONLY=grph").returncode, 0)


class IncludeChecker(unittest.TestCase):
    """cmake/check_includes.py on files alone."""

    def check(self, uses: dict, files: dict):
        with tempfile.TemporaryDirectory(prefix="ballast-includes-") as folder:
            for name, text in files.items():
                path = Path(folder) / "ballast" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            listed = Path(folder) / "components.txt"
            listed.write_text("".join(f"{name}: {used}\n" for name, used in uses.items()))
            result = subprocess.run([sys.executable, SOURCE / "cmake/check_includes.py", folder, listed],
                                    capture_output=True, text=True)
            return result.returncode, result.stderr

    def test_heavy_libraries_stay_behind_their_owners(self):
        for include in ("torch/torch.h", "llvm/IR/IRBuilder.h", "llama.h", "mpi.h", "dds/dds.h"):
            code, text = self.check({"base": "", "data": "base"}, {"data/a.cc": f"#include <{include}>\n"})
            self.assertEqual(code, 1, include)
            self.assertIn("ballast/data/a.cc:1", text)
        self.assertEqual(self.check({"cluster": ""}, {"cluster/a.cc": "#include <mpi.h>\n"})[0], 0)

    def test_peers_may_include_what_they_compare_with(self):
        files = {"graph/peers/a.cc": "#include <mpi.h>\n"}
        self.assertEqual(self.check({"graph": ""}, files)[0], 0)

    def test_commented_and_quoted_text_is_no_include(self):
        code, text = self.check({"data": ""}, {"data/a.cc": '// #include "ballast/graph/x.h"\nconst char* s = "#include <mpi.h>";\n'})
        self.assertEqual(code, 0, text)

    def test_climbing_out_is_refused(self):
        code, text = self.check({"data": ""}, {"data/a.h": '#include "../graph/x.h"\n'})
        self.assertEqual(code, 1)
        self.assertIn("climbs out", text)

    def test_the_real_tree_is_clean(self):
        uses = {}
        for declaration in sorted((SOURCE / "ballast").glob("*/CMakeLists.txt")):
            name = declaration.parent.name
            closure = subprocess.run([sys.executable, SOURCE / "cmake/closure.py", SOURCE, name], capture_output=True, text=True)
            self.assertEqual(closure.returncode, 0, closure.stderr)
            uses[name] = closure.stdout.strip()
        self.assertIn("base", uses)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
            listed.write("".join(f"{name}: {used}\n" for name, used in uses.items()))
            listed.flush()
            result = subprocess.run([sys.executable, SOURCE / "cmake/check_includes.py", SOURCE, listed.name],
                                    capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)


class Licences(unittest.TestCase):
    def test_every_package_of_set_up_has_its_licence_in_the_book(self):
        page = (SOURCE / "docs/licences.md").read_text()
        for name in ("apt.txt", "pypi.txt", "deb-data.txt"):
            for line in (SOURCE / "setup" / name).read_text().splitlines():
                words = line.split("#")[0].split()
                if not words or words[0].startswith("["):
                    continue
                package = (words[1] if words[0] in ("source", "files") else words[0]).split("==")[0].split("[")[0]
                with self.subTest(list=name):
                    self.assertRegex(page, rf"(?<![\w-]){re.escape(package)}(?![\w-])")


if __name__ == "__main__":
    os.environ.pop("BALLAST_ONLY", None)
    unittest.main(verbosity=1)
