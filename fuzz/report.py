#!/usr/bin/env python3
"""What fuzzing came to so far: executions, coverage, how far inputs came, findings. `scripts/fuzz` calls this.

Reads what the engine wrote (the logs of libFuzzer's slices, the targets' own counts, the sanitizers' words) and writes nothing.
"""

import collections
import datetime
import json
import pathlib
import re
import sys

STATE, ROOT = (pathlib.Path(argument) for argument in sys.argv[1:3])
STATUS = re.compile(r"^#(\d+): cov: (\d+) ft: (\d+) corp: (\d+) exec/s:? (\d+) oom/timeout/crash: (\d+)/(\d+)/(\d+) time: (\d+)s", re.M)
# The parsers that the README names, and what else a loader runs through.
PARSERS = [
    ("our reader", r"conformance/gguf/src/(?!codec/)"),
    ("our codecs", r"conformance/gguf/src/codec/"),
    ("gguf.cpp", r"ggml/src/gguf\.cpp"),
    ("llama-model-loader.cpp", r"src/llama-model-loader\.cpp"),
    ("llama-model.cpp", r"src/llama-model\.cpp"),
    ("llama-vocab.cpp", r"src/llama-vocab\.cpp"),
    ("llama-adapter.cpp", r"src/llama-adapter\.cpp"),
    ("candle gguf_file.rs", r"candle-core.*/quantized/gguf_file\.rs"),
    ("candle model loaders", r"candle-transformers.*/models/(?:smol/)?quantized_"),
    ("candle tokenizer.rs", r"candle-core.*/quantized/tokenizer\.rs"),
]


def slices():
    path = STATE / "slices.jsonl"
    for line in path.read_text().splitlines() if path.exists() else []:
        slice_ = json.loads(line)
        log = pathlib.Path(slice_["log"])
        if log.exists():
            found = STATUS.findall(log.read_text(errors="replace"))
            if found:
                yield slice_, [int(number) for number in found[-1]]


def executions():
    """Sums over all slices, by target."""
    totals = {}
    for slice_, (runs, cov, ft, corpus, _, ooms, timeouts, crashes, seconds) in slices():
        key = (slice_["target"], slice_["flavour"])
        total = totals.setdefault(key, dict(runs=0, seconds=0, cov=0, ft=0, corpus=0, crashes=0, timeouts=0, ooms=0))
        total["runs"] += runs
        total["seconds"] += seconds
        # A fresh start of a slice counts from its corpus, so the last is what there is.
        total.update(cov=cov, ft=ft, corpus=corpus)
        for name, number in (("crashes", crashes), ("timeouts", timeouts), ("ooms", ooms)):
            total[name] += number
    print(f"{'target':22}{'build':>10}{'executions':>14}{'seconds':>9}{'exec/s':>9}{'edges':>8}{'features':>10}{'corpus':>8}  crashes/timeouts/memory")
    for (target, flavour), t in totals.items():
        rate = t["runs"] / max(t["seconds"], 1)
        print(f"{target:22}{flavour:>10}{t['runs']:>14,}{t['seconds']:>9}{rate:>9,.0f}{t['cov']:>8}{t['ft']:>10}{t['corpus']:>8}  "
              f"{t['crashes']}/{t['timeouts']}/{t['ooms']}")
    if totals:
        print(f"{'all':22}{'':>10}{sum(t['runs'] for t in totals.values()):>14,}{sum(t['seconds'] for t in totals.values()):>9}")


def stages():
    """How far inputs came, from the targets' own counts."""
    for folder in sorted((STATE / "statistics").glob("*")):
        counts = collections.Counter()
        for file in folder.glob("*.json"):
            try:
                counts.update(json.loads(file.read_text() or "{}"))
            except ValueError:
                continue  # written by a process that was just ended
        if not counts:
            continue
        print(f"\n{folder.name}: how far inputs came")
        stage_names = ["header refused", "model refused", "loaded, first token refused", "one token, second refused", "two tokens evaluated"]
        total = sum(counts[name] for name in stage_names)
        for name, count in sorted(counts.items(), key=lambda item: -item[1]):
            share = f"{100 * count / total:6.1f} %" if name in stage_names else ""
            print(f"  {count:>12,}  {share:>9}  {name}")


def findings():
    print()
    for folder in sorted((STATE / "artifacts").glob("*")):
        artifacts = sorted(folder.iterdir())
        if artifacts:
            kinds = collections.Counter(path.name.split("-")[0] for path in artifacts)
            print(f"{folder.name}: {', '.join(f'{count} {kind}' for kind, count in kinds.items())} in {folder}")
    for sites in sorted((STATE / "reports").glob("*/sites.txt")):
        places = collections.Counter()
        for line in sites.read_text(errors="replace").splitlines():
            count, _, words = line.strip().partition(" ")
            # Values differ from input to input; the place and the kind do not.
            place = re.sub(r"^.*?/(llama\.cpp/|candle-|conformance/)", r"\1", words)
            places[re.sub(r"-?\b\d{3,}\b|0x[0-9a-f]+", "N", place)] += int(count) if count.isdigit() else 1
        if places:
            print(f"\n{sites.parent.name}: sites that sanitizers reported (processes that said so)")
            for place, count in places.most_common(40):
                # Runtimes quote their input, which a terminal would obey.
                place = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in place[:200])
                print(f"  {count:>6}  {place}")


def coverage():
    """Lines and regions of each parser that the corpora reach, where `scripts/fuzz --coverage` has counted them."""
    path = STATE / "coverage" / "summary.json"
    if not path.exists():
        print("\ncoverage: not counted yet; `scripts/fuzz --coverage` does")
        return
    files = json.loads(path.read_text())["data"][0]["files"]
    print(f"\ncoverage, counted {datetime.datetime.fromtimestamp(path.stat().st_mtime):%Y-%m-%d %H:%M}")
    print(f"{'parser':26}{'lines reached':>28}{'regions reached':>28}{'functions':>18}")
    for label, pattern in PARSERS:
        of_parser = [file["summary"] for file in files if re.search(pattern, file["filename"])]
        cells = []
        for what, width, with_share in (("lines", 28, True), ("regions", 28, True), ("functions", 18, False)):
            reached = sum(summary[what]["covered"] for summary in of_parser)
            total = sum(summary[what]["count"] for summary in of_parser)
            share = f" ({100 * reached / max(total, 1):.0f} %)" if with_share else ""
            cells.append(f"{f'{reached:,} of {total:,}{share}':>{width}}")
        print(f"{label:26}{''.join(cells)}")


if "--coverage" in sys.argv:
    coverage()
else:
    executions()
    stages()
    findings()
    coverage()
