"""Adds up the squares of the numbers of each line."""

import asyncio
import sys

import disperse


@disperse.operation
class Squares:
    def tasks(self):
        for line in sys.stdin:
            yield [int(word) for word in line.split()]

    @staticmethod
    async def run(numbers):
        return sum(await asyncio.gather(*(disperse.perform("square", n) for n in numbers)))
