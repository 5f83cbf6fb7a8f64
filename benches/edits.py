#!/usr/bin/env python3
"""Measures the time from an edit to its result, as a table: benches/edits.py HOST [LANGUAGE..].

For each language a project of `disperse-host new`, an operation with its worker, and `printf '1 2 3' | disperse-host run`, until it has ended:
the first time, with the crates and packages that it needs on the machine but nothing built or compiled; with nothing changed; with
an output written into the folder; and after an edit of the worker, which shows in the result. The first one once, the others the median of
three.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from languages import c, go, python
from languages.common import HOST, toolchain

EDITS = 3

# The package of the tools, the worker's source, the text that is edited, and its replacement.
LANGUAGES = {
    "rust": (None, "worker/src/lib.rs", "checked_pow(2)", "checked_pow(2).map(|square| square + {})"),
    "python": (("python", python.COMPONENTIZE_PY), "worker.py", "n * n", "n * n + {}"),
    "typescript": (None, "worker.ts", "n * n", "n * n + {}"),
    "go": (("go", go.GO), "worker/main.go", "n * n", "n*n + {}"),
    "c": (("c", c.ZIG), "worker.c", "number(square)", "number(square + {})"),
}


def shown(seconds):
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def row(language, folder):
    package, source, old, new = LANGUAGES[language]
    path = os.environ["PATH"]
    if package:
        path = f"{toolchain(*package)}{os.pathsep}{path}"
    env = {**os.environ, "PATH": path, "XDG_STATE_HOME": f"{folder}/state", "XDG_CACHE_HOME": f"{folder}/cache"}
    # Tools keep downloads in their own caches, which are kept.
    env["ZIG_GLOBAL_CACHE_DIR"] = env.get("ZIG_GLOBAL_CACHE_DIR", str(Path.home() / ".cache/zig"))
    env["GOCACHE"] = env.get("GOCACHE", str(Path.home() / ".cache/go-build"))
    subprocess.run([HOST, "new", language, "--lang", language], cwd=folder, env=env, check=True, stderr=subprocess.DEVNULL)

    def run(result):
        began = time.monotonic()
        command = [HOST, "run", language, "--quiet", "--no-socket"]
        ended = subprocess.run(command, input="1 2 3\n", cwd=folder, env=env, capture_output=True, text=True)
        took = time.monotonic() - began
        if ended.stdout != f"{result}\n":
            sys.exit(f"{language}: {ended.stdout}{ended.stderr}")
        return took

    first = run(14)
    same = statistics.median(run(14) for _ in range(EDITS))
    output, edited = [], []
    source = Path(folder, language, source)
    text = source.read_text()
    for edit in range(1, EDITS + 1):
        Path(folder, language, "output.txt").write_text(f"{edit}\n")
        output.append(run(14 + 3 * (edit - 1)))
        source.write_text(text.replace(old, new.format(edit)))
        edited.append(run(14 + 3 * edit))
    return map(shown, (first, same, statistics.median(output), statistics.median(edited)))


print("| language | first run | nothing changed | an output beside it | an edit of the worker |")
print("|---|---|---|---|---|")
for language in sys.argv[2:] or LANGUAGES:
    with tempfile.TemporaryDirectory() as folder:
        print(f"| {language} | {' | '.join(row(language, folder))} |", flush=True)
