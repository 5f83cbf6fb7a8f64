#!/usr/bin/env python3
"""Guests in other languages than Rust, with their real toolchains: tests/languages.py HOST [PART..].

Toolchains are installed into `.tools` once; builds go into `target/languages`. A part that is named alone runs in this
process. Several run at the same time, each in a process of its own (`languages/jobs.py`). `projects` names all parts
that begin with it. The first difference of a part is printed, and the exit code is 1.
"""

import signal
import sys
from functools import partial
from pathlib import Path

from languages import c, go, javascript, jobs, mixed, polyglot, programs, projects, python, real, starts

# In the order of their start and of their output: long ones first, and parts with the same compiler apart, because the second
# one loads functions that the first one's components have added to the cache.
PARTS = {
    "python": python.test,
    "go": go.test,
    "javascript": javascript.test,
    "c": c.test,
    # Soon after them: the cache has no place for the compiled code of all parts.
    "mixed": mixed.test,
    "programs": programs.test,
    "polyglot": polyglot.test,
    "real": real.test,
    **{f"projects-{language}": partial(projects.test, language) for language in projects.LANGUAGES},
    "starts": starts.test,
}

# Parts that use what others build, or change what others use.
AFTER = {
    # It may install a target of the toolchain.
    "polyglot": {"programs"},
    "projects-rust": {"programs"},
    "mixed": {"python", "go", "javascript", "c"},
    # It measures.
    "starts": PARTS.keys() - {"starts"},
}


def main(host, *names):
    named = {name: [part for part in PARTS if part == name or part.startswith(f"{name}-")] for name in names}
    unknown = [name for name, parts in named.items() if not parts]
    chosen = [part for part in PARTS if not names or any(part in parts for parts in named.values())]
    if unknown:
        sys.exit(f"no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    if len(chosen) > 1:
        return jobs.run({part: [sys.executable, __file__, host, part] for part in chosen}, AFTER)
    # So that what it has started, and its scratch folders, end with it.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    print(f"{chosen[0]}:", flush=True)
    PARTS[chosen[0]]()
    return 0


if __name__ == "__main__":
    sys.exit(main(str(Path(sys.argv[1]).resolve()), *sys.argv[2:]))
