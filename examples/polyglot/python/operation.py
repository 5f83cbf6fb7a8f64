"""Which number of each range has the longest way to 1."""

import asyncio
import sys

import disperse


@disperse.operation
class Longest:
    def tasks(self):
        for line in sys.stdin:
            yield line.rstrip("\n")

    @staticmethod
    async def run(line):
        first, last = (int(word) for word in line.split(" "))
        numbers = range(first, last + 1)
        steps = await asyncio.gather(*(disperse.perform("steps", n) for n in numbers))
        most = max(steps)
        return f"{first}-{last}: {numbers[steps.index(most)]} takes {most} steps"
