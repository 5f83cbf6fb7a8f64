"""TypeScript, with jco."""

import shutil
import sys

from .common import BUILT, HOST, SDK, breaks, counts, example, ok, run, same, shown, told


def test():
    sdk, built = SDK / "javascript", BUILT / "javascript"
    run("npm", "test", "--silent", cwd=sdk)
    ok("JavaScript: tests of the SDK")
    squares = sdk / "examples" / "squares"
    example("JavaScript", squares)
    shown("JavaScript", sdk / "README.md", squares / "worker.ts", squares / "operation.ts", sdk / "examples" / "words" / "worker.ts")
    _, errors = run(HOST, "run", squares, "--no-build", input="1  3\n1 x 3\n", code=1)
    told("JavaScript: a line that has no numbers", errors, r"`next` failed: Error: x is no number \(operation.ts line \d+, in number\)")

    shutil.rmtree(built, ignore_errors=True)
    built.mkdir(parents=True)
    (built / "node_modules").symlink_to(squares / "node_modules")
    for name in ("probe.ts", "counter.ts", "counter.js"):
        shutil.copy(sdk / "tests" / "probe" / name, built)
    shutil.copy(squares / "package.json", built)
    tool = built / "node_modules" / ".bin" / "jco"
    package = built / "node_modules" / "disperse"

    def component(world, source, code=0):
        made = (built / source).with_suffix(".wasm")
        _, errors = run(tool, "componentize", built / source, "-w", package / "wit", "-n", world, "--backend", "qjs",
            "--bundle", "--bundle-config", package / "bundle.js", "-o", made, cwd=built, code=code)
        return errors if code else made

    made = component("both-javascript", "probe.ts")
    said, errors = run(HOST, "run", made, "--", "a", "b", code=1)
    same("JavaScript: an operation with its own worker", said, [
        r"/abandon: ERR exhausted: its one attempt failed \| .*: no fourteen/",
        r'/about: \["about",1,"probe/\d",\["denied","denied: no grant to run .*--exec"\]\]/',
        "all: 2500",
        'args: ["a","b"]',
        'bigint: "permanent"',
        "emoji é😀: 9",
        "forgot: 9",
        r"/half: ERR Error: half of \ufffd \(probe.ts line \d+, in run\)/",
        "lost: ERR the task trapped: it waits for something that cannot happen",
        "many: 9176640500",
        r"/odd any: ERR permanent: .*: AggregateError \(probe.ts line \d+, in odd\): no 1; no 2/",
        r"/odd half: ERR .*: Error: half of \ufffd \(probe.ts line \d+, in odd\)/",
        r"/odd itself: ERR .*: Error: itself \(probe.ts line \d+, in odd\)/",
        r"/odd timer: ERR .*: Error: a worker has no timers \(probe.ts line \d+, in odd\)/",
        r"/option: ERR RangeError: `fuel` must be from 0 to 4294967295, not -1 \(probe.ts line \d+, in run\)/",
        "order: [10,20,30]",
        "race: 1200",
        r"/random: \[0\.\d+,0\.\d+\]/",
        r"/random: \[0\.\d+,0\.\d+\]/",
        'settled: ["fulfilled","rejected","rejected"]',
        "sleep: [true,true]",
        'sleepers: "awake"',
        'text: "144"',
        r'/throw: ERR thrown: {"odd":1}.*/',
        'timeout: "right"',
    ])
    random = [line for line in said.splitlines() if line.startswith("random")]
    if len(set(random)) != 2:
        sys.exit(f"JavaScript: two tasks have the same random numbers: {random}")
    told("JavaScript: the error of `finish`", errors, r"no end \(probe.ts line")
    _, errors = run(HOST, "run", made, "--", "trip", code=1)
    told("JavaScript: what the planner trips over", errors, r"`next` failed: Error: no tasks \(probe.ts line \d+, in tasks\)")
    why = "no fourteen\n"
    breaks("JavaScript: a worker that throws a text", made, "square", "14", why, done=["1", "4"])
    counts("TypeScript", component("operation-javascript", "counter.ts"), squares / "worker.wasm")
    counts("JavaScript", component("operation-javascript", "counter.js"), squares / "worker.wasm")

    contract = {path: path.read_bytes() for path in (sdk / "wit").rglob("*.wit")}
    source = built / "files.ts"
    source.write_text('import { readFileSync } from "node:fs";\nexport const handle = readFileSync;\n')
    errors = component("worker-javascript", source.name, code=1)
    told("JavaScript: a module of Node", errors, r"`node:fs` is not there.*: files.ts imports `node:fs`\. The SDK has `fetch`")
    if contract != {path: path.read_bytes() for path in (sdk / "wit").rglob("*.wit")}:
        sys.exit("JavaScript: a module of Node has changed the WIT files of the SDK")
    ok("JavaScript: a module of Node is an error, and changes nothing")
