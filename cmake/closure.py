#!/usr/bin/env python3
"""Prints the given components and everything that they use, read from the CMake declarations.

usage: closure.py SOURCE_DIR NAME...
"""
import re
import sys
from pathlib import Path

KEYWORDS = {"USES", "MAY_USE", "SOURCES", "LIBRARIES", "PUBLIC_LIBRARIES", "SYSTEM_INCLUDES", "PCH", "PROGRAM",
            "PROGRAM_LIBRARIES", "TESTS", "TEST_LIBRARIES", "TEST_COMMAND", "FUZZ", "NATIVE", "COMPILE_OPTIONS"}


def uses_of(root: Path, name: str) -> list:
    declaration = root / "ballast" / name / "CMakeLists.txt"
    if not declaration.exists():
        sys.exit(f"'{name}' is no component; there are: " + " ".join(
            sorted(p.parent.name for p in (root / "ballast").glob("*/CMakeLists.txt"))))
    text = re.sub(r"#.*", "", declaration.read_text())
    match = re.search(r"ballast_component\(\s*" + name + r"\b(.*?)\)", text, re.S)
    words, used, keep = (match.group(1).split() if match else []), [], False
    for word in words:
        if word in KEYWORDS:
            keep = word in ("USES", "MAY_USE")
        elif keep:
            used.append(word)
    return used


def main() -> None:
    root, wanted = Path(sys.argv[1]), list(sys.argv[2:])
    seen = []
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.append(name)
            wanted += uses_of(root, name)
    print(" ".join(sorted(seen)))


if __name__ == "__main__":
    main()
