#!/usr/bin/env python3
"""Guests in other languages than Rust, with their real toolchains: tests/languages.py HOST.

Toolchains go into `.tools` once; what is built goes into `target/languages`. Whatever differs from what is expected is said,
and the exit code is 1.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
BUILT = ROOT / "target" / "languages"
HOST = Path(sys.argv[1]).resolve()

COMPONENTIZE_PY = "componentize-py==0.25.1"

# Nothing here takes nearly as long.
TIMEOUT = 600


def run(*command, input="", cwd=ROOT, code=0, path=None):
    """Standard output and error of a command that has to end with this code."""
    env = dict(os.environ)
    if path:
        env["PATH"] = f"{path}{os.pathsep}{env['PATH']}"
    command = [str(word) for word in command]
    ended = subprocess.run(command, input=input, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if ended.returncode != code:
        sys.exit(f"{' '.join(command)}\n  ended with {ended.returncode} and not {code}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout, ended.stderr


def same(what, got, wanted):
    """Compares lines in any order; a wanted one between slashes is a pattern."""
    got, wanted = sorted(got.splitlines()), list(wanted)
    missing = []
    for line in wanted:
        fits = (lambda text: re.fullmatch(line[1:-1], text)) if line.startswith("/") else line.__eq__
        found = next((text for text in got if fits(text)), None)
        if found is None:
            missing.append(line)
        else:
            got.remove(found)
    if missing or got:
        sys.exit(f"{what}: missing {missing}, and instead {got}")
    print(f"  {what}: ok", flush=True)


def example(what, folder, path=None):
    """An example that adds up the squares of each line, as a folder that the host builds."""
    said, _ = run(HOST, "run", folder, input="1 2 3\n4 5 6\n", path=path)
    same(f"{what}: the first example", said, ["14", "77"])


def python():
    sdk, built = ROOT / "guest-sdk" / "python", BUILT / "python"
    run(sys.executable, "-m", "unittest", "discover", "-s", "tests", cwd=sdk)
    print("  Python: tests of the SDK: ok", flush=True)
    venv = TOOLS / "python"
    tool = venv / "bin" / "componentize-py"
    version = COMPONENTIZE_PY.split("==")[1]
    if not tool.exists() or version not in run(tool, "--version")[0]:
        run(sys.executable, "-m", "venv", "--clear", venv)
        run(venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", COMPONENTIZE_PY)
    example("Python", sdk / "examples" / "squares", path=venv / "bin")

    built.mkdir(parents=True, exist_ok=True)
    probe = sdk / "tests" / "probe"

    def component(world, module):
        made = built / f"{module}.wasm"
        run(tool, "-q", "-d", ROOT / "wit", "-w", world, "componentize", "-p", probe, "-p", sdk, module, "-o", made)
        return made

    worker = component("worker-async", "squarer")
    operation = component("operation-async", "asker")
    said, errors = run(HOST, "run", operation, "--worker", f"{worker}=2", "--", "a", "b", code=1)
    same("Python: an async operation", said, [
        "abandon: permanent: it can never work",
        "args: ['a', 'b']",
        "cancel: cancelled",
        r"/exit: SystemExit: 3 \(asker.py line \d+, in run\)/",
        "forgot: 9",
        "group: refused",
        "kinds: ['1', 'permanent', '4', 'permanent']",
        "many: 9176640500",
        "raw: 144",
        r"/sleep: \[2\.\d+, True\]/",
        "waitfor: timed out",
    ])
    if "ValueError: finish fails (asker.py line" not in errors:
        sys.exit(f"Python: the error of `finish` is not told: {errors}")
    both = component("both", "blocking")
    said, _ = run(HOST, "run", both, input="1 2 3\n")
    same("Python: a blocking operation with its own worker", said, [
        r'/\[14,\d+\.\d+,"me 1 True blocking/\d denied: no grant for HTTP.*--http / denied"\]/',
    ])


def javascript():
    sdk, built = ROOT / "guest-sdk" / "javascript", BUILT / "javascript"
    run("npm", "test", "--silent", cwd=sdk)
    print("  JavaScript: tests of the SDK: ok", flush=True)
    example("JavaScript", sdk / "examples" / "squares")

    shutil.rmtree(built, ignore_errors=True)
    built.mkdir(parents=True)
    (built / "node_modules").symlink_to(sdk / "examples" / "squares" / "node_modules")
    shutil.copy(sdk / "tests" / "probe" / "probe.ts", built)
    shutil.copy(sdk / "examples" / "squares" / "package.json", built)
    tool = built / "node_modules" / ".bin" / "jco"
    package = built / "node_modules" / "disperse"
    made = built / "probe.wasm"
    run(tool, "componentize", built / "probe.ts", "-w", package / "wit", "-n", "both-javascript", "--backend", "qjs",
        "--bundle", "--bundle-config", package / "bundle.js", "-o", made, cwd=built)
    said, errors = run(HOST, "run", made, "--", "a", "b", code=1)
    same("JavaScript: an operation with its own worker", said, [
        "abandon: ERR exhausted: its one attempt failed",
        "all: 2500",
        'args: ["a","b"]',
        "emoji é😀: 9",
        "forgot: 9",
        "lost: ERR the task trapped: it waits for something that cannot come",
        "many: 9176640500",
        r"/random: \[0\.\d+,0\.\d+\]/",
        r"/random: \[0\.\d+,0\.\d+\]/",
        'settled: ["fulfilled","rejected","fulfilled"]',
        "sleep: [true,true]",
        'text: "144"',
        r'/throw: ERR thrown: {"odd":1}.*/',
        'timeout: "right"',
        r'/who: \["who",1,"probe/\d",\["denied","denied: no grant to run .*--exec"\]\]/',
    ])
    random = [line for line in said.splitlines() if line.startswith("random")]
    if len(set(random)) != 2:
        sys.exit(f"JavaScript: two tasks have the same luck: {random}")
    if "no end (probe.ts line" not in errors:
        sys.exit(f"JavaScript: the error of `finish` is not told: {errors}")


def mixed():
    """Every operation with every worker."""
    folders = {language: ROOT / "guest-sdk" / language / "examples" / "squares" for language in ("python", "javascript")}
    workers = {language: folder / "worker.wasm" for language, folder in folders.items()}
    workers["rust"] = ROOT / "examples" / "target" / "wasm32-wasip2" / "release" / "square.wasm"
    for language, folder in folders.items():
        for other, worker in workers.items():
            operation = folder / "operation.wasm"
            said, _ = run(HOST, "run", operation, "--worker", f"{worker}=2", input="1 2 3\n4 5 6\n")
            same(f"an operation in {language} with a worker in {other}", said, ["14", "77"])


for part in (python, javascript, mixed):
    print(f"{part.__name__}:", flush=True)
    part()
