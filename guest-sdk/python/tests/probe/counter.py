"""Counts in every part of the planner, and writes the total in `finish`."""

import sys

import disperse


@disperse.operation
class Counter:
    def __init__(self):
        self.handed, self.taken, self.sum = 0, 0, 0

    def tasks(self):
        for line in sys.stdin:
            self.handed += 1
            yield int(line)

    @staticmethod
    async def run(n: int) -> int:
        return await disperse.perform("square", n)

    def collect(self, task, result, error):
        self.taken += 1
        self.sum += result

    def finish(self):
        disperse.output_line(f"{self.handed} {self.taken} {self.sum}")
