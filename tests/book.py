#!/usr/bin/env python3
"""Runs the commands that README.md and the book show: tests/book.py HOST [PAGE..].

In each page, in order and in a scratch folder beside a link to `examples`:

    ```LANGUAGE,file=PATH       is written to this file
    ```console                  each line that begins with `$ ` is run by bash and has to succeed; the lines below it must be in its
                                output (stdout and stderr), those of stdout and stderr in any order
    ```console,background       runs until the page is over; the line below it must appear first

`...` stands for any text. Amounts of time, memory and computation, spaces, numbers of workers and the figures in rows of workers are not
compared. Other blocks are not run.
Differences are printed, and the exit code is 1.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^( *)```(\S*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
# Differ from machine to machine: 3ms, 2.1MiB, 9.8k, 1.2 s.
AMOUNT = re.compile(r"\b\d+(\.\d+)? ?(ms|s|B|KiB|MiB|GiB|k|M|G)\b")
# The longest that one command may take: most of it is compiling the first worker of a page.
TIMEOUT_S = 600


WORKER = re.compile(r"\b([a-z]+)/\d+\b")
ROW = re.compile(r"[a-z]+/\S+ ")


def plain(line):
    line = WORKER.sub(r"\1/N", re.sub(r"\s+", " ", AMOUNT.sub("AMOUNT", line)).strip())
    return re.sub(r"AMOUNT|\d+", "N", line) if ROW.match(line) else line


def is_in(shown, output):
    """Whether a line that a page shows is one of these lines, as a whole or, with `...`, by its parts."""
    pattern = ".*".join(map(re.escape, plain(shown).split("...")))
    return any(re.search(pattern if "..." in shown else f"^{pattern}$", line) for line in output)


def commands(text):
    """Pairs of a command and the lines shown below it."""
    for line in text.splitlines():
        if line.startswith("$ "):
            yield (current := (line.removeprefix("$ "), []))
        elif line.strip():
            current[1].append(line)


def run(command, folder, environment):
    ended = subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment, timeout=TIMEOUT_S,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return ended.returncode, ended.stdout.decode(errors="replace").splitlines()


def background(command, shown, folder, environment):
    """Starts a command and waits for the first line of its output in the page."""
    process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True)
    line = process.stdout.readline().decode()
    return process, is_in(shown[0], [plain(line)])


def page(path, host):
    """The differences of one page, as lines."""
    wrong, processes, text = [], [], path.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        (folder / "examples").symlink_to(ROOT / "examples")
        environment = {**os.environ, "PATH": f"{host.parent}:{os.environ['PATH']}", "XDG_STATE_HOME": f"{folder}/state", "LC_ALL": "C"}
        try:
            for found in FENCE.finditer(text):
                indent, info, body = found.groups()
                body = re.sub(f"^{indent}", "", body, flags=re.MULTILINE)
                kind, _, more = info.partition(",")
                if more not in ("", "background") and not more.startswith("file="):
                    wrong.append(f"nothing is known of a block `{info}`")
                if more.startswith("file="):
                    target = folder / more.removeprefix("file=")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(body)
                if kind != "console":
                    continue
                for command, shown in list(commands(body)):
                    if more == "background":
                        process, is_there = background(command, shown, folder, environment)
                        processes.append(process)
                        wrong += [] if is_there else [f"`{command}` does not begin with `{shown[0]}`"]
                        continue
                    status, output = run(command, folder, environment)
                    lines = [plain(line) for line in output]
                    missing = [line for line in shown if not is_in(line, lines)]
                    wrong += [f"`{command}` does not print `{line}`" for line in missing]
                    wrong += [f"`{command}` ends with {status}"] if status else []
                    wrong += [f"    {line}" for line in output] if missing or status else []
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
    return wrong


def main(host, *names):
    host = pathlib.Path(host).resolve()
    pages = [ROOT / "README.md", *sorted((ROOT / "docs/book/src").rglob("*.md"))]
    pages = [path for path in pages if re.search("```(console|\\S+,)", path.read_text()) and (not names or path.stem in names)]
    failed = not pages
    for path in pages:
        began = time.monotonic()
        wrong = page(path, host)
        print(f"{'not ok' if wrong else 'ok'}: {path.relative_to(ROOT)} ({time.monotonic() - began:.0f} s)", flush=True)
        for line in wrong:
            print(f"    {line}")
        failed |= bool(wrong)
    return int(failed)


sys.exit(main(*sys.argv[1:]))
