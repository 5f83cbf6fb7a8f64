#!/usr/bin/env python3
"""Guests in other languages than Rust, with their real toolchains: tests/languages.py HOST [PART..].

Toolchains go into `.tools` once; what is built goes into `target/languages`. Whatever differs from what is expected is said,
and the exit code is 1. What the parts are is in the folder beside this file.
"""

import sys

from languages import c, go, javascript, mixed, polyglot, programs, projects, python, real

PARTS = {"python": python, "javascript": javascript, "go": go, "c": c, "mixed": mixed,
         "projects": projects, "programs": programs, "real": real, "polyglot": polyglot}

for name in sys.argv[2:] or PARTS:
    print(f"{name}:", flush=True)
    PARTS[name].test()
