#!/usr/bin/env python3
"""Guests in other languages than Rust, with their real toolchains: tests/languages.py HOST [PART..].

Toolchains are installed into `.tools` once; builds go into `target/languages`. The first difference is printed,
and the exit code is 1. The parts are the modules of the folder `languages`.
"""

import sys

from languages import c, go, javascript, mixed, polyglot, programs, projects, python, real

PARTS = {"python": python, "javascript": javascript, "go": go, "c": c, "mixed": mixed,
         "projects": projects, "programs": programs, "real": real, "polyglot": polyglot}

for name in sys.argv[2:] or PARTS:
    print(f"{name}:", flush=True)
    PARTS[name].test()
