#!/usr/bin/env python3
"""Measures the cost of each language, as a table: benches/languages.py HOST, after tests/languages.py HOST has built everything.

For each language the worker of `examples/polyglot`, which counts how many steps a number has to 1: its size; the time from the start of
the host to the first result when nothing is in the cache, and the median of ten starts when everything is, both for `map` with one line; and
what a warm call takes of one worker, the mean of 20,000 lines `1`, the guest's part alone, median of five. The host is told to use one thread.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = Path(sys.argv[1]).resolve()
EXAMPLE = ROOT / "examples" / "polyglot"
CALLS = 20_000

# Of a language: its worker, whether it has operations, and how a task requests many actions at once.
LANGUAGES = {
    "Rust": (ROOT / "examples/target/wasm32-wasip2/release/steps.wasm", "yes", "`perform_all`, async"),
    "Python": (EXAMPLE / "python/worker.wasm", "yes", "`asyncio.gather`"),
    "TypeScript, JavaScript": (EXAMPLE / "typescript/worker.wasm", "yes", "`Promise.all`"),
    "Go": (EXAMPLE / "go/worker.wasm", "yes", "`PerformAll`, `WaitAny`"),
    "C": (EXAMPLE / "c/worker.wasm", "yes", "`disperse_perform_all`, `disperse_wait_any`"),
    "C++": (EXAMPLE / "cpp/worker.wasm", "yes, with the SDK for C", "as C"),
    "Zig": (EXAMPLE / "zig/worker.wasm", "yes, with the SDK for C", "as C"),
    "AssemblyScript": (EXAMPLE / "assemblyscript/worker.wasm", "no SDK", "no SDK"),
}


def first_result(worker, cache):
    command = [HOST, "map", worker, "--workers", "1", "--threads", "1", "--quiet", "--no-socket"]
    env = {**os.environ, "XDG_CACHE_HOME": cache}
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as host:
        host.stdin.write(b"1\n")
        host.stdin.close()
        if host.stdout.readline() != b"0\n":
            sys.exit(f"{worker}: not the result")
        return time.monotonic() - began


def warm_call(worker, cache):
    command = [HOST, "map", worker, "--workers", "1", "--threads", "1", "--format", "json", "--no-socket"]
    env = {**os.environ, "XDG_CACHE_HOME": cache}
    said = subprocess.run(command, input=b"1\n" * CALLS, stdout=subprocess.PIPE, check=True, env=env).stdout
    report = next(json.loads(line) for line in said.splitlines() if line.startswith(b'{"type":"report"'))
    (kind,) = report["kinds"]
    return kind["run_ms"] * 1e-3 / kind["attempts"]


def shown(seconds):
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"


def row(worker):
    with tempfile.TemporaryDirectory() as cache:
        cold = first_result(worker, cache)
        second = statistics.median(first_result(worker, cache) for _ in range(10))
        warm = statistics.median(warm_call(worker, cache) for _ in range(5))
    size = worker.stat().st_size
    size = f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"
    return size, shown(cold), shown(second), shown(warm)


print("| language | operation | worker | many at once in a task | size of a worker | first start | second start | warm call |")
print("|---|---|---|---|---|---|---|---|")
for language, (worker, operation, many) in LANGUAGES.items():
    print(f"| {language} | {operation} | yes | {many} | {' | '.join(row(worker))} |", flush=True)
