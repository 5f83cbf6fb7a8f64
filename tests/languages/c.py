"""C, with zig's compiler."""

import shutil

from .common import BUILT, HOST, SDK, breaks, counts, example, run, same, shown, stumbles, told, toolchain

ZIG = "ziglang==0.17.1"


def test():
    sdk, built = SDK / "c", BUILT / "c"
    tools = toolchain("c", ZIG)
    squares = sdk / "examples" / "squares"
    shown("C", sdk / "README.md", squares / "worker.c", squares / "operation.c", sdk / "examples" / "words" / "worker.c")
    example("C", squares, path=tools)

    built.mkdir(parents=True, exist_ok=True)
    for name in ("probe.c", "counter.c", "plus.cpp"):
        shutil.copy(sdk / "tests" / name, built)

    def component(role, name):
        run("sh", sdk / "build.sh", role, name, cwd=built, path=tools, env={"CFLAGS": "-Werror"})
        return built / f"{name}.wasm"

    made = component("both", "probe")
    said, errors = run(HOST, "run", made, "--", "a", "b c", code=1)
    same("C: an operation with its own worker", said, [
        r"/about: me 1 1 probe/\d / denied: no grant for HTTP.*--http / denied/",
        "all: 9176640500",
        "any: 204",
        "arguments: [a][b c]",
        "empty: ",
        "forgot: 9",
        "kinds: 16",
        "large: 25884924",
        "log: ERR no result",
        "no text: the program or an argument is not UTF-8",
        "numbers: 9223372036854775807",
        "often: within 2 MiB: 1",
        "refused: its one attempt failed",
        r"/attempt 1 on probe/\d: not today/",
        r"/sleep: 2[5-9]\d\d/",
        "window: 10000 within 2 MiB: 1",
        "é😀: 6",
    ])
    told("C: the error of `finish`", errors, "the operation failed: no end")
    told("C: the log", errors, r"\[task \d+\] a line 1")
    why = r'strcmp\(how, "check"\) does not hold \(probe\.c line \d+, in fail_as\)'
    breaks("C: a worker that checks", made, "break", "check", why)
    trap = r"\n      trapped: .*unreachable.*(\n        at .*)+"
    breaks("C: a worker that aborts", made, "break", "abort", "last words" + trap)
    stumbles("C", made, "break")
    breaks("C: a worker that asserts", made, "break", "assert", r'Assertion failed: !"asserted" \(.*' + trap)
    breaks("C: a worker that runs out of memory", made, "break", "memory", "ran out of memory: ")
    breaks("C: a worker that recurses too deep", made, "break", "deep", "(trapped|recursed)")
    empties = (HOST, "map", made, "--workers", "1", "--attempts", "1", "--kind", "empty", "--memory", "1536KiB")
    said, _ = run(*empties, input="1\n" * 60_000)
    same("C: a worker that has nothing to say keeps nothing either", said, [""] * 60_000)
    counts("C", component("operation", "counter"), squares / "worker.wasm")
    plus = component("worker", "plus")
    breaks("C++: a worker that checks", plus, "line", "x", r'text != "x" does not hold \(plus\.cpp line \d+, in disperse_handle\)')
