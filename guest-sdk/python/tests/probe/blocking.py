"""An operation and its worker in the blocking form."""

import sys
import disperse
import disperse.blocking
from disperse.blocking import perform, perform_all, sleep, submit, wait_any


@disperse.worker(kind="square")
def square(n: int, kind) -> int:
    return n * n


@disperse.worker(kind="about", codec=disperse.TEXT)
def about(name: str):
    a = disperse.attempt()
    disperse.report_quota(-1, 1.5)
    assert sleep(0.001) > 0
    try:
        disperse.blocking.fetch("https://example.com/")
    except disperse.Problem as p:
        why = str(p)
    try:
        disperse.run_program("/bin/ls", "-l")
    except disperse.Problem as p:
        why += " / " + p.sort
    return f"{name} {a.number} {a.remaining > 20} {a.worker} {why}"


@disperse.operation
class Squares:
    def tasks(self):
        for line in sys.stdin:
            yield [int(word) for word in line.split()]

    @staticmethod
    def run(numbers):
        pendings = [submit("square", n) for n in numbers]
        total = 0
        while pendings:
            for place in reversed(wait_any(pendings)):
                total += pendings.pop(place).take()
        assert total == sum(perform_all("square", numbers)), total
        cancelled = submit("square", 1)
        cancelled.cancel()
        return [total, sleep(1), perform("about", "me", codec=disperse.TEXT)]
