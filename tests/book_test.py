#!/usr/bin/env python3
"""The book as a reader types it: every command names verbs and flags that exist, and every block of commands runs.

usage: book_test.py BUILD_DIR

A block that cannot run here has `<!-- not run by the tests: REASON -->` on the line above it; it is read all the same.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
BUILD = Path(sys.argv.pop(1)).resolve() if len(sys.argv) > 1 else Path("build").resolve()
LIMIT_S = 240
PAGES = sorted([*SOURCE.glob("docs/*.md"), *SOURCE.glob("ballast/*/README.md"), SOURCE / "README.md", SOURCE / "CONTRIBUTING.md"])


def blocks(page):
    """(first line's number, text, reason not to run it or '') of every block of shell commands."""
    lines = page.read_text().splitlines()
    i = 0
    while i < len(lines):
        if lines[i].strip() == "```sh":
            end = next(j for j in range(i + 1, len(lines)) if lines[j].strip() == "```")
            note = re.match(r"<!-- not run by the tests: (.+) -->", lines[i - 1].strip()) if i > 0 else None
            yield i + 2, "\n".join(lines[i + 1:end]), note.group(1) if note else ""
            i = end
        i += 1


def commands(text):
    """Word lists that begin with `ballast` or `ballast-COMPONENT`."""
    text = re.sub(r"<<'?(\w+)'?\n.*?\n\1\b", "", text, flags=re.S).replace("\\\n", " ")
    for line in text.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        command = []
        for word in [*words, ";"]:
            if word in (";", "|", "&&", "||", "&", ">", "<", "2>") or word.startswith((">", "2>", "$(")):
                if command and re.fullmatch(r"(.*/)?ballast(-[a-z]+)?", command[0]):
                    yield command
                command = []
            elif not command and not re.fullmatch(r"(.*/)?ballast(-[a-z]+)?", word):
                continue
            else:
                command.append(word)


class Book(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.verbs = {}  # component -> verb -> flags
        for program in sorted(BUILD.glob("bin/ballast-*")):
            name = program.name[len("ballast-"):]
            if name.endswith("test") or "-" in name:
                continue
            told = subprocess.run([program, "--describe"], capture_output=True, text=True)
            if told.returncode == 0:
                cls.verbs[name] = {verb["name"]: {flag for entry in verb["flags"] for flag in entry["names"]}
                                   for verb in json.loads(told.stdout)["verbs"]}

    def test_every_verb_and_flag_exists(self):
        checked = 0
        for page in PAGES:
            for line, text, _ in blocks(page):
                for words in commands(text):
                    where = f"{page.relative_to(SOURCE)}:{line}: {' '.join(words)}"
                    name = words[0].rsplit("/", 1)[-1]
                    words = [name[len("ballast-"):], *words[1:]] if "-" in name else words[1:]
                    if not words or words[0] not in self.verbs or len(words) < 2:
                        continue  # the front command's own words, placeholders, components that are not built
                    component, verb, *rest = words
                    if verb in ("--help", "--version"):
                        continue
                    with self.subTest(command=where):
                        self.assertIn(verb, self.verbs[component])
                        for word in rest:
                            if word.startswith("--"):
                                self.assertIn(word.split("=")[0], self.verbs[component][verb] | {"--help"})
                    checked += 1
        print(f"{checked} commands of {len(PAGES)} pages name what exists")
        self.assertGreater(checked, 3)

    def test_every_block_runs(self):
        path = f"{BUILD / 'bin'}:{os.environ['PATH']}"
        ran = kept = 0
        for page in sorted(SOURCE.glob("docs/*.md")):
            if page.name != "README.md" and page.stem not in self.verbs:
                continue
            for line, text, reason in blocks(page):
                if reason:
                    kept += 1
                    continue
                where = f"{page.relative_to(SOURCE)}:{line}"
                folder = tempfile.mkdtemp(prefix="ballast-book-")
                start = time.monotonic()
                with self.subTest(block=where):
                    os.symlink(BUILD, f"{folder}/build")
                    result = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=folder, text=True, timeout=LIMIT_S,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            env={**os.environ, "PATH": path})
                    self.assertEqual(result.returncode, 0, f"{where}\n{result.stdout[-2000:]}")
                    ran += 1
                shutil.rmtree(folder)
                print(f"{where}: {time.monotonic() - start:.1f} s", flush=True)
        print(f"{ran} blocks ran, {kept} are marked as not to be run by tests")


if __name__ == "__main__":
    unittest.main(verbosity=1)
