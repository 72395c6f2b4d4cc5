#!/usr/bin/env python3
"""Writes docs/claims.md: what each paper claims, and every figure measured here with its target, met or missed.

usage: cmake/claims.py            from docs/figures/*.json, which `make figures` writes by `bench --json`
"""
import json
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"

# (title, paper, components whose benchmark documents belong to it, claims of the paper in our words)
PAPERS = [
    ("TD-Orch and TDO-GP: task-data orchestration", "arXiv:2511.11843", ["orch", "kv", "graph"], [
        "Deciding per item whether tasks go to data or data to tasks keeps every machine's load level under any skew.",
        "A key-value store on it answers skewed batches up to 2.8 times faster than the best of push, pull and sort.",
        "A graph engine on it is 4.1 times faster on average than earlier distributed graph systems."]),
    ("PIM-tree: an index for processing in memory", "arXiv:2211.10516", ["index"], [
        "Throughput does not fall as queries get more skewed; a range partition collapses.",
        "Up to 69.7 and 59.1 times the throughput of the two best earlier designs on real PIM hardware (modelled here)."]),
    ("CoRa: compiling ragged tensors", "arXiv:2110.10221", ["ragged"], [
        "An encoder layer without padding is 1.6 to 1.9 times faster than padded frameworks, level with hand-written kernels.",
        "Operation splitting, horizontal fusion and load balance each pay; prelude and ragged storage cost next to nothing."]),
    ("ACRoBat and ED-Batch: batching of dynamic networks", "arXiv:2305.10611, arXiv:2302.03851", ["dynamic"], [
        "A model written for one instance runs in batches, 2.3 to 8.5 times faster than DyNet's automatic batching.",
        "A learned finite-state machine needs as few batches as the lower bound on trees, and fewer than any heuristic on lattices.",
        "PQ-tree planning of memory removes most copies before batched kernels."]),
    ("SLOs-Serve: promises per request", "arXiv:2504.08784", ["serve"], [
        "2.2 times the capacity of the best earlier server in the geometric mean over six scenarios, four replicas.",
        "Capacity grows more than linearly with replicas under bursts (up to 6.2 times at four).",
        "Routing, speculation and burst handling bring 1.19, 1.66 and 1.34 times; planning stays below 10 ms."]),
    ("LSP-Offload: fine-tuning beyond device memory", "arXiv:2406.10181", ["tune"], [
        "Up to 3.33 times the throughput of Zero-Offload; 10 to 31 % slower than training without any offload.",
        "33 to 62 % less time to the same accuracy; better than LoRA and GaLore at equal memory.",
        "A learned sparse projector has less bias than the best low-rank one of the same bytes."]),
    ("FedDrift: staggered concept drift", "arXiv:2206.00799", ["federate"], [
        "Under staggered drift single-model methods lose heavily; FedDrift comes close to an oracle that knows the concepts.",
        "When several concepts appear at once, Eager may mix them; FedDrift does not."]),
    ("H4H-NAS: hybrid networks on NPU and CIM", "arXiv:2410.08326", ["codesign"], [
        "Mapping a network over NPU and compute-in-memory halves its latency (56 % with a network searched for it) and saves 41 % energy.",
        "Hybrid CNN and transformer networks gain 1.34 points over the best of one kind; two-phase training avoids conflicts."]),
    ("RobotPerf: benchmarks of ROS 2 computing", "arXiv:2309.09212", ["robot"], [
        "One vendor-neutral way, black-box and grey-box, to measure the same ROS 2 graph on any hardware.",
        "The method's own cost is small against what it measures, and its numbers repeat."]),
]


def number(value):
    return "" if value is None else f"{value:.3g}"


def rows_of(document):
    for row in document["rows"]:
        target = row.get("target")
        met = row.get("met")
        spread = f" ({number(row.get('ratio_low'))} to {number(row.get('ratio_high'))})" if row.get("ratio_low") is not None else ""
        figure = f"{number(row['ratio'])}x{spread}" if row.get("ratio") is not None else f"{number(row.get('ours'))} {row.get('unit', '')}"
        peer = row.get("peer") or {}
        if peer and peer.get("value") is None and row.get("ratio") is None:
            figure = "not installed"
        against = peer.get("name", "")
        yield [f"`{row['id']}`", row["what"].replace("|", "/"), against, figure.strip(), number(target),
               {True: "met", False: "**missed**", None: ""}[met], row.get("basis", "")]


def table(rows):
    head = ["figure", "what", "against", "here", "target", "", "basis"]
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def main():
    text = ["# What the papers claim, and what was measured here", "",
            "Written by `make figures`, which runs every `bench --quick`. Ratios above 1 mean that ours is better; in brackets the 10th to",
            "90th percentile over rounds. *Measured* means a clock, *modelled* a model, *counted* an exact counter. A missed target stays",
            "missed here; why, and what would close it, stands in the chapter. Claims are the papers' own, on their hardware.", ""]
    for title, paper, components, claims in PAPERS:
        text += [f"## {title}", "", f"{paper}; chapters " + ", ".join(f"[{name}]({name}.md)" for name in components) + ".", "",
                 "The paper claims:", ""]
        text += [f"- {claim}" for claim in claims] + [""]
        for name in components:
            path = DOCS / "figures" / f"{name}.json"
            documents = json.loads(path.read_text()) if path.exists() else []
            documents = documents if isinstance(documents, list) else [documents]
            if not documents:
                text += [f"No figures of `{name}` have been recorded yet.", ""]
                continue
            machine = documents[0]["machine"]
            rows = [row for document in documents for row in rows_of(document)]
            met = sum(row[5] == "met" for row in rows)
            missed = sum("missed" in row[5] for row in rows)
            text += [f"`{documents[0]['command']}` on {machine['cpu']}, {machine['cores']} hardware threads, load "
                     f"{number(machine['load'])}: {met} targets met, {missed} missed.", "", *table(rows), ""]
    (DOCS / "claims.md").write_text("\n".join(text))


if __name__ == "__main__":
    main()
