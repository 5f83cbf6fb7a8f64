"""What the languages' tests share: running things, comparing what they say, toolchains."""

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

# Nothing here takes nearly as long.
TIMEOUT = 600


def run(*command, input="", cwd=ROOT, code=0, path=None, env=()):
    """Standard output and error of a command that has to end with this code."""
    # Trust that `new` gives what it makes is kept with what is built.
    env = {**os.environ, "XDG_STATE_HOME": str(BUILT / "state"), **dict(env)}
    if path:
        env["PATH"] = f"{path}{os.pathsep}{env['PATH']}"
    command = [str(word) for word in command]
    ended = subprocess.run(command, input=input, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT)
    if ended.returncode != code:
        sys.exit(f"{' '.join(command)}\n  ended with {ended.returncode} and not {code}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout, ended.stderr


def toolchain(name, package):
    """The folder of the programs of this package of PyPI, which is installed into `.tools` unless it is there."""
    venv = TOOLS / name
    stamp = venv / "installed"
    if not stamp.exists() or stamp.read_text() != package:
        run(sys.executable, "-m", "venv", "--clear", venv)
        run(venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", package)
        stamp.write_text(package)
    return venv / "bin"


def ok(what):
    print(f"  {what}: ok", flush=True)


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
    ok(what)


def told(what, errors, pattern):
    """Standard error has this pattern somewhere."""
    if not re.search(pattern, errors):
        sys.exit(f"{what}: `{pattern}` is not told: {errors}")


def example(what, folder, path=None, env=()):
    """An example that adds up the squares of each line, as a folder that the host builds."""
    said, _ = run(HOST, "run", folder, "--trust-manifest", input="1 2 3\n4 5 6\n", path=path, env=env)
    same(f"{what}: the first example", said, ["14", "77"])


def shown(what, readme, *sources):
    """A README has these files as they are, but for the first line, which says what they do."""
    text = readme.read_text()
    for source in sources:
        if source.read_text().split("\n", 1)[1] not in text:
            sys.exit(f"{readme} does not have {source}")
    ok(f"{what}: README")


def counts(what, operation, worker):
    """An operation that counts what it hands out and what it takes, adds up the squares, and writes all of it when it ends."""
    said, _ = run(HOST, "run", operation, "--worker", worker, input="1\n2\n3\n")
    same(f"{what}: the planner keeps its state", said, ["3 3 14"])


def breaks(what, worker, kind, line, pattern, done=("1", "2")):
    """A line with which a worker breaks: it is tried twice, each time the host tells why in the language's own words, and the
    same worker does the lines around it, 1 and 2."""
    command = (HOST, "map", worker, "--workers", "1", "--attempts", "2", "--kind", kind, "--verbose")
    said, errors = run(*command, input=f"1\n{line}\n2\n", code=1)
    for number in (1, 2):
        told(what, errors, rf"#2\.{number}\] (transient|trap): {pattern}")
    same(f"{what}: breaks, is asked again, goes on", said, done)


def fails(what, worker, kind, pattern):
    """A line with which a worker fails, and the host tells why."""
    _, errors = run(HOST, "map", worker, "--workers", "1", "--attempts", "1", "--kind", kind, input="1\n", code=1)
    told(what, errors, pattern)
    ok(what)


def stumbles(what, worker, kind):
    """A line with which the first two attempts trap, each in a place of its own: that does not condemn it."""
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
    """The median of ten starts with everything in the cache; over so many seconds it fails."""
    first_result(*command, input=input)
    median = statistics.median(first_result(*command, input=input) for _ in range(10))
    if median > gate:
        sys.exit(f"{what}: {median * 1e3:.0f} ms to the first result, median of ten starts, and {gate} s is the most")
    ok(f"{what}: {median * 1e3:.0f} ms to the first result, median of ten starts")
