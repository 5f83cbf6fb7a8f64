"""Squares numbers; two of them fail, and another one is slow."""

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

import disperse

if TYPE_CHECKING:
    from numbers import Number


async def fails(error):
    raise error


@disperse.worker
async def square(n: int) -> "Number":
    if n == 15:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails(disperse.Permanent("no 15")))
    if n == 16:
        await asyncio.gather(fails(SystemExit(16)))
    if n == 17:
        raise ValueError("half of \ud83d")
    if n == 18:
        await asyncio.wait_for(fails(KeyError("never")), 1)
    if n == -1:
        time.sleep(0.7)
    if n == 13:
        raise ValueError("thirteen")
    if n == 14:
        raise disperse.Permanent("14 is never squared")
    return n * n


@disperse.worker(kind="wrong")
async def wrong(n: int) -> int:
    """Forgets to return its result."""
    n * n


@disperse.worker(kind="late")
async def late(n: int) -> float:
    import colorsys

    return colorsys.rgb_to_hsv(n, n, n)[2]


def aborts(why):
    print(why, file=sys.stderr, flush=True)
    os.abort()


@disperse.worker(kind="stumble", codec=disperse.TEXT)
async def stumble(line: str) -> str:
    """Two attempts trap, at two places."""
    number = disperse.attempt().number
    if number == 1:
        aborts("no answer")
    if number == 2:
        aborts("an answer that is none")
    return f"done at attempt {number}"
