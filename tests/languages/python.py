"""Python, with componentize-py."""

import sys

from .common import (BUILT, HOST, ROOT, SDK, breaks, counts, example, fails, ok, run, same, shown, stumbles, told, toolchain)

COMPONENTIZE_PY = "componentize-py==0.25.1"


def test():
    sdk, built = SDK / "python", BUILT / "python"
    run(sys.executable, "-m", "unittest", "discover", "-s", "tests", cwd=sdk)
    ok("Python: tests of the SDK")
    tools = toolchain("python", COMPONENTIZE_PY)
    tool = tools / "componentize-py"
    squares = sdk / "examples" / "squares"
    example("Python", squares, path=tools)
    shown("Python", sdk / "README.md", squares / "worker.py", squares / "operation.py", sdk / "examples/words/worker.py")

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
        r"/15: permanent: .*: ExceptionGroup: .* \(squarer.py line \d+, in square\): no 15/",
        r"/16: exhausted: .*: SystemExit: 16 \(squarer.py line \d+, in fails\)/",
        r"/17: exhausted: .*: ValueError: half of \ufffd \(squarer.py line \d+, in square\)/",
        r"/18: exhausted: .*: NotImplementedError: there are no timers in a worker.* \(squarer.py line \d+, in square\)/",
        r"/abandon: permanent: it can never work.*/",
        r"/again: ValueError: a sibling fails \(asker.py line \d+, in fails\)/",
        "args: ['a', 'b']",
        "cancel: cancelled",
        r"/child: SystemExit: 4 \(asker.py line \d+, in exits\)/",
        r"/cleanup: ValueError: a sibling fails \(asker.py line \d+, in fails\)/",
        "deadlines: 42750",
        r"/early: ZeroDivisionError: .* \(asker.py line \d+, in run\)/",
        r"/exit: SystemExit: 3 \(asker.py line \d+, in run\)/",
        "forgot: 9",
        "group: refused",
        "input: ['int', 'int', 'Refusal']",
        "kinds: ['1', 'permanent', '4', 'permanent']",
        "lazy: [2, 'é', 'é', 'é', 'é', 'é', 'é']",
        "left: fine",
        "many: 9176640500",
        "order: [2, 4, 3, 1]",
        "past: soon",
        "raw: 144",
        "sleepers: awake",
        r"/sleep: \[2\.\d+, True\]/",
        "waitfor: timed out",
        r"/words: ValueError: half of \ufffd \(asker.py line \d+, in run\)/",
    ])
    told("Python: the error of `finish`", errors, r"ValueError: finish fails \(asker.py line")
    _, errors = run(HOST, "run", operation, "--worker", worker, "--", "trip", code=1)
    told("Python: what the planner trips over", errors, r"`next` failed: ValueError: no tasks \(asker.py line \d+, in tasks\)")
    counts("Python", component("operation-async", "counter"), worker)
    why = r"ValueError: thirteen \(squarer\.py line \d+, in square\)"
    breaks("Python: a worker that raises", worker, "square", "13", why, done=["1", "4"])
    stumbles("Python", worker, "stumble")
    why = r"what `wrong` returned for `wrong` cannot be a result: it is None and not int"
    fails("Python: a result of another type than annotated", worker, "wrong", why)
    why = r"ModuleNotFoundError: .*'colorsys' \(squarer\.py line \d+, in late\): there are no files .* import it at the top of the module"
    fails("Python: an import within a function", worker, "late", why)
    both = component("both", "blocking")
    said, _ = run(HOST, "run", both, input="1 2 3\n")
    same("Python: a blocking operation with its own worker", said, [
        r'/\[14,\d+\.\d+,"me 1 True blocking/\d denied: no grant for HTTP.*--http / denied"\]/',
    ])
