#!/usr/bin/env python3
"""Fails if a text uses a phrase that has a plainer word: `tests/words.py [PATH...]`, else all tracked files.

The words of the project are those of the field; CONTRIBUTING.md, "The words", says how it writes.
"""

import re
import subprocess
import sys
from pathlib import Path

# A phrase, and what to write instead.
PHRASES = {
    r"somebody|someone": "name the thing: the driver, another worker, a caller",
    r"nobody|no one": "name the thing: `no worker`, `nothing`, or turn the sentence round",
    r"whoever|whomever": "`a caller that`, `the process that`, ...",
    r"cannot be meant|can be meant": "invalid",
    r"vouch(es|ed)?": "untrusted",
    r"chosen freely": "arbitrary",
    r"luck": "random seed, random numbers",
    r"is thought of|thinks of (it|a worker|them)": "the worker's health",
    r"by heart|mouth|aloud": "name what it does: formats, forwards",
    r"has a say": "decides",
    r"is told so|are told so": "is notified, receives",
    r"(it|he|she) is (he|she|it) who": "turn the sentence round",
    r"is nobody's": "is not needed any more",
}

# `who` is for people.
WHO = re.compile(r"\bwho(m)?\b", re.IGNORECASE)
PEOPLE = re.compile(
    r"\b(user|users|operator|operators|person|people|developer|developers|reader|readers|stranger|strangers|author|"
    r"authors|attacker|attackers|owner|owners|those|anyone|everyone|one|contributor|contributors|maintainer)\W+who\b",
    re.IGNORECASE,
)

SUFFIXES = {".rs", ".md", ".py", ".toml", ".wit", ".go", ".c", ".h", ".js", ".ts", ".json", ".sh", ".txt", ".snap"}

# Texts of other people, generated ones, and this list.
LEFT_OUT = re.compile(
    r"(^LICENSE|\.lock$|package-lock\.json$|^tests/words\.py$|^guest-sdk/src/bindings/|^guest-sdk/c/gen/|"
    r"^examples/word-count/.*\.txt$|^CHANGELOG\.md$)"
)

PATTERNS = [(re.compile(rf"\b({phrase})\b", re.IGNORECASE), instead) for phrase, instead in PHRASES.items()]


def faults(path: str, text: str):
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, instead in PATTERNS:
            for found in pattern.finditer(line):
                yield f"{path}:{number}: `{found[0]}`: {instead}"
        if WHO.search(line) and not PEOPLE.search(line):
            yield f"{path}:{number}: `who`: a thing is `which` or `that`; name the person if it is one"


def main() -> int:
    listed = sys.argv[1:] or ["."]
    files = subprocess.run(["git", "ls-files", "-z", *listed], check=True, capture_output=True).stdout
    found = []
    for name in filter(None, files.decode().split("\0")):
        path = Path(name)
        if path.suffix not in SUFFIXES or LEFT_OUT.search(name) or not path.is_file():
            continue
        found += faults(name, path.read_text(encoding="utf-8", errors="replace"))
    print("\n".join(found))
    if found:
        print(f"{len(found)} phrases that have a plainer word", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
