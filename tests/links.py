#!/usr/bin/env python3
"""Checks that the links of README.md, the other documents and the book lead to existing files and headings, and that the
source files they name are there: tests/links.py.

In the book a link must lead to a page of it, because a built book contains nothing else; and its summary has each page once.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BOOK = ROOT / "docs/book/src"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
SOURCE = re.compile(r"`((?:crates|guest-sdk|host)/[a-z0-9_./-]+|tests/[a-z0-9_/]+\.rs)`")
CODE = re.compile(r"^ *```.*?^ *```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as mdBook and GitHub make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def wrong_links(page):
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if "://" in link:
            continue
        if not target.exists():
            yield f"{page.relative_to(ROOT)}: {link} is not there"
        elif BOOK in page.parents and BOOK not in target.parents:
            yield f"{page.relative_to(ROOT)}: {link} is not in the book"
        elif anchor and anchor not in anchors(target):
            yield f"{page.relative_to(ROOT)}: {link} has no such heading"
    for source in SOURCE.findall(page.read_text()):
        if not (ROOT / source).exists():
            yield f"{page.relative_to(ROOT)}: {source} is not there"


def main():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("examples/**/README.md"), *ROOT.glob("benches/*.md"), *BOOK.rglob("*.md")]
    wrong = [line for page in sorted(pages) if "node_modules" not in page.parts for line in wrong_links(page)]
    listed = LINK.findall((BOOK / "SUMMARY.md").read_text())
    there = {str(page.relative_to(BOOK)) for page in BOOK.rglob("*.md")} - {"SUMMARY.md"}
    wrong += [f"SUMMARY.md must have {page} once" for page in sorted(there) if listed.count(page) != 1]
    print("\n".join(wrong), end="\n" if wrong else "")
    return int(bool(wrong))


sys.exit(main())
