"""Counts the words of a line."""

import disperse


@disperse.worker(codec=disperse.TEXT)
def words(line: str) -> int:
    return len(line.split())
