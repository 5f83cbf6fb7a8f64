"""Squares, but for two numbers, and takes its time with another."""

import time

import disperse


@disperse.worker
async def square(n: int) -> int:
    if n == -1:
        time.sleep(0.7)
    if n == 13:
        raise ValueError("thirteen")
    if n == 14:
        raise disperse.Permanent("14 is never squared")
    return n * n
