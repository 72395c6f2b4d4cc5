#!/usr/bin/env python3
"""Refuses an include that the house does not allow.

usage: check_includes.py SOURCE_DIR COMPONENTS_FILE

COMPONENTS_FILE has a line `name: used used ...` a component, written by CMake from the declarations. A file of a
component may include its own headers, those of the components that it declares (and of what those declare), and
never a heavy library that belongs to another component. Prints one sentence a violation and exits 1.
"""
import re
import sys
from pathlib import Path

# Heavy libraries and the only components whose files may include them. `peers/` folders hold adapters to
# competitors and may include what they compare with.
HEAVY = {
    r"torch/|ATen/|c10/": {"model", "tune", "federate", "codesign", "ragged", "dynamic"},
    r"llvm/|llvm-c/": {"loop"},
    r"llama\.h|ggml.*\.h|gguf\.h": {"llama"},
    r"mpi\.h": {"cluster"},
    r"dds/|fastdds/|fastrtps/|lttng/": {"robot"},
}
# ragged and dynamic include torch only where it is the competitor, and ragged in libtorch/, its adapter for users of torch.
PEERS_ONLY = {("ragged", r"torch/|ATen/|c10/"), ("dynamic", r"torch/|ATen/|c10/")}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^">]+)[">]')


def closure(uses: dict, name: str) -> set:
    seen, open_ = {name}, [name]
    while open_:
        for used in uses.get(open_.pop(), ()):
            if used not in seen:
                seen.add(used)
                open_.append(used)
    return seen


def violations(root: Path, uses: dict):
    for component in sorted(uses):
        allowed = closure(uses, component)
        for path in sorted((root / "ballast" / component).rglob("*")):
            if path.suffix not in {".h", ".cc", ".cu"}:
                continue
            in_peers = {"peers", "libtorch"} & set(path.relative_to(root).parts)
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                target = match.group(1)
                where = f"{path.relative_to(root)}:{number}"
                if target.startswith(".."):
                    yield f'{where}: include "{target}" climbs out of its folder; write it from the root'
                if target.startswith("ballast/"):
                    other = target.split("/")[1]
                    if other not in allowed:
                        yield (f'{where}: component {component} includes "{target}" but does not declare {other} '
                               f"in USES of ballast/{component}/CMakeLists.txt")
                for pattern, owners in HEAVY.items():
                    if re.match(pattern, target) and not in_peers:
                        if component not in owners or (component, pattern) in PEERS_ONLY:
                            yield (f'{where}: <{target}> belongs behind {" or ".join(sorted(owners))}; '
                                   f"component {component} may not include it")


def main() -> int:
    root = Path(sys.argv[1])
    uses = {}
    for line in Path(sys.argv[2]).read_text().splitlines():
        name, _, rest = line.partition(":")
        uses[name.strip()] = rest.split()
    found = list(violations(root, uses))
    for sentence in found:
        print(sentence, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
