#!/usr/bin/env python3
"""The WebAssembly/wasi-testsuite, prebuilt, as programs of `map`: tests/wasi_testsuite.py HOST FOLDER [NAME..].

FOLDER is a checkout of the branch `prod/testsuite-base`. Each test is one line of `map` with one attempt. A test that fails and is
not listed in EXCEPTIONS, or that passes and is listed, is printed, and the exit code is 1. Tests that talk to a server or a client
of their own (`connect`, `request`) are skipped: a program has no sockets and serves nothing. docs/book/src/wasi.md explains the list.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

# Test -> why it fails. docs/book/src/wasi.md has the same names.
EXCEPTIONS = {
    "wasip1/args_get-multiple-arguments": "the module overwrites the state of the adapter for 0.1",
    "wasip1/environ_get-multiple-variables": "the module overwrites the state of the adapter for 0.1",
    "wasip1/fd_write-to-invalid-fd": "nothing is written, so the adapter does not look at the descriptor",
    "wasip3/cli-env": "the first argument has no `.wasm`",
    "wasip3/http-fields": "`proxy-authenticate` is an allowed header",
    "wasip3/http-request": "a path without a leading `/` is not accepted",
    "wasip3/sockets-tcp-properties": "no sockets",
    "wasip3/sockets-udp-properties": "no sockets",
}

# The only steps that `map` supports.
PLAYED = {"run", "write", "read", "wait"}


def expected(path):
    """The inputs and the expected results of a test, or None if `map` does not support one of its steps."""
    spec = json.loads(path.read_text()) if path.exists() else {}
    if "operations" not in spec:
        return {"stdin": "", **spec}
    steps = spec["operations"]
    if spec.get("world") or "sockets" in spec.get("proposals", []) or {step["type"] for step in steps} - PLAYED:
        return None
    merged = {"stdin": ""}
    for step in steps:
        match step["type"]:
            case "run":
                merged |= {key: step[key] for key in ("args", "env", "root") if key in step}
            case "write":
                merged["stdin"] += step["payload"]
            case "read":
                merged[step.get("id", "stdout")] = step["payload"]
            case "wait":
                merged["exit_code"] = step.get("exit_code", 0)
    return merged


def failure(host, wasm, spec, scratch):
    """Why a test fails, or None."""
    # Lines end with a zero byte, so that a payload may contain newlines.
    command = [host, "map", wasm, "-0", "-j1", "--attempts", "1", "--no-socket", "--color", "never", "-v"]
    if spec.get("exit_code"):
        command += ["--ok-status", str(spec["exit_code"])]
    for name, value in spec.get("env", {}).items():
        command += ["--env", f"{name}={value}"]
    if root := spec.get("root"):
        shutil.copytree(wasm.parent / root, scratch / root)
        command += ["--dir", f"{scratch / root}::/:rw"]
    # A program without arguments gets two variables from the host, which tests of the environment would count.
    if args := spec.get("args") or ["unused"] * wasm.name.startswith("environ_"):
        command += ["--", *args]
    try:
        ended = subprocess.run(command, input=spec["stdin"].encode() + b"\0", capture_output=True, timeout=120, cwd=scratch)
    except subprocess.TimeoutExpired:
        return "no end within 120 s"
    said = ended.stderr.decode(errors="replace").strip()
    if ended.returncode != 0:
        return said
    if "stdout" in spec and ended.stdout.rstrip(b"\0").decode() != spec["stdout"].removesuffix("\n"):
        return f"stdout is {ended.stdout}"
    return None


def main(host, folder, *names):
    host = str(pathlib.Path(host).resolve())
    passed, skipped, wrong, excepted = 0, 0, [], []
    for wasm in sorted(pathlib.Path(folder).resolve().glob("tests/*/testsuite/wasm32-wasip*/*.wasm")):
        name = f"{wasm.parent.name.removeprefix('wasm32-')}/{wasm.stem}"
        if names and not any(part in name for part in names):
            continue
        spec = expected(wasm.with_suffix(".json"))
        if spec is None:
            skipped += 1
            continue
        with tempfile.TemporaryDirectory() as scratch:
            why = failure(host, wasm, spec, pathlib.Path(scratch))
        if why is None and name in EXCEPTIONS:
            wrong.append(f"{name}: passes, and is listed as an exception")
        elif why is None:
            passed += 1
        elif name in EXCEPTIONS:
            excepted.append(name)
        else:
            wrong.append(f"{name}: {why}")
    print(f"{passed} passed, {len(excepted)} known exceptions, {skipped} skipped, {len(wrong)} wrong")
    for line in wrong:
        print(line)
    return 1 if wrong or passed == 0 else 0


sys.exit(main(*sys.argv[1:]))
