"""Squares a number."""

import disperse


@disperse.worker
def square(n: int) -> int:
    return n * n
