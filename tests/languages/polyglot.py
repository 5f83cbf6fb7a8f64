"""`examples/polyglot`: the worker and the operation in five languages, both in two more, and a worker in one more."""

import json

from . import c, go, python
from .common import HOST, ROOT, ok, run, same, told, toolchain

EXAMPLE = ROOT / "examples" / "polyglot"
# A large number with a short way, one whose next is too large, and one whose next would be 2^64.
LARGE = (2**52, 2**53 - 1, (2**64 - 1) // 3)
RANGES = "1 100\n101 1000\n"
LONGEST = ['"1-100: 97 takes 118 steps"', '"101-1000: 871 takes 178 steps"']
LANGUAGES = ("rust", "python", "typescript", "go", "c")


def component(language, role):
    names = {"operation": "longest", "worker": "steps"}
    if language == "rust":
        return ROOT / "examples" / "target" / "wasm32-wasip2" / "release" / f"{names[role]}.wasm"
    return EXAMPLE / language / f"{role}.wasm"


def test():
    # zig is a module of the Python that is found first.
    tools = [toolchain("c", c.ZIG), toolchain("python", python.COMPONENTIZE_PY), toolchain("go", go.GO)]
    path = ":".join(str(tool) for tool in tools)
    said, _ = run(HOST, "run", EXAMPLE, "--trust-manifest", "--format", "json", input=RANGES, path=path)
    events = [json.loads(line) for line in said.splitlines()]
    same("five pools", "".join(event["text"] for event in events if event["type"] == "output"), LONGEST)
    workers = {worker["pool"]: worker for event in events if event["type"] == "report" for worker in event["workers"]}
    if set(workers) != set(LANGUAGES) or not all(worker["ok"] > 0 and worker["failed"] == 0 for worker in workers.values()):
        raise SystemExit(f"not every pool completed an action: {workers}")
    ok("every pool did its part")

    numbers = "".join(f"{n}\n" for n in range(1, 1000))
    wanted, _ = run(HOST, "map", component("rust", "worker"), input=numbers)
    for language in LANGUAGES[1:] + ("cpp", "zig", "assemblyscript"):
        got, _ = run(HOST, "map", EXAMPLE / language, "--trust-manifest", input=numbers, path=path)
        if got != wanted:
            raise SystemExit(f"{language} and Rust differ: {got}")
        ok(f"{language}: a thousand numbers as in Rust")
    for language in LANGUAGES + ("cpp", "zig", "assemblyscript"):
        input = "".join(f"{n}\n" for n in LARGE)
        said, errors = run(HOST, "map", component(language, "worker"), "--workers", "1", input=input, code=1)
        same(f"{language}: a large number", said, ["52"])
        for number in (2, 3):
            why = rf"line {number}: it can never work\n.*: a number on the way is over 2\^53 - 1\n"
            told(f"{language}: a number that is too large", errors, why)

    # Its garbage is far more than its memory.
    leaving = (HOST, "map", component("assemblyscript", "worker"), "--workers", "1", "--attempts", "1", "--memory", "256KiB")
    said, _ = run(*leaving, input="1\n" * 30_000)
    same("assemblyscript: memory is freed", said, ["0"] * 30_000)

    everybody = [word for language in LANGUAGES for word in ("--worker", component(language, "worker"))]
    for language in LANGUAGES + ("cpp", "zig"):
        if language != "rust":
            # `map` has built it, with its own worker, from the manifest beside it.
            run(HOST, "run", EXAMPLE / language, "--trust-manifest", "--no-build", "--worker", component(language, "worker"), input="1 3\n")
        said, _ = run(HOST, "run", component(language, "operation"), *everybody, input=RANGES)
        same(f"{language}: the operation with everybody", said, LONGEST)
