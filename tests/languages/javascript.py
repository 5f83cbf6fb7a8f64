"""TypeScript, with jco."""

import shutil
import sys

from .common import BUILT, HOST, SDK, breaks, example, ok, run, same, told


def test():
    sdk, built = SDK / "javascript", BUILT / "javascript"
    run("npm", "test", "--silent", cwd=sdk)
    ok("JavaScript: tests of the SDK")
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
    told("JavaScript: the error of `finish`", errors, r"no end \(probe.ts line")
    why = "no fourteen\n"
    breaks("JavaScript: a worker that throws a text", made, "square", "14", why, done=["1", "4"])
