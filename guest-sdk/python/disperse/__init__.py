"""Write Disperse operations and workers in Python.

A *worker* performs actions; an *operation* hands out tasks whose logic asks for actions. Both are WebAssembly
components, made by `componentize-py` and run by `disperse-host`.

A worker:

    import disperse

    @disperse.worker
    def square(n: int) -> int:
        return n * n

An operation:

    import asyncio, sys
    import disperse

    @disperse.operation
    class Squares:
        def tasks(self):
            for line in sys.stdin:
                yield [int(word) for word in line.split()]

        @staticmethod
        async def run(numbers):
            return sum(await asyncio.gather(*(disperse.perform("square", n) for n in numbers)))

What is in this module is for worlds with async functions. Logic that blocks while it waits finds the same names in
`disperse.blocking`. All times are seconds, as everywhere in Python.
"""

# Modules that the standard library imports at their first use, when there are no files any more: `strptime`, and common
# encodings.
import _strptime  # noqa: F401
import encodings.cp1252  # noqa: F401
import encodings.idna  # noqa: F401
import encodings.iso8859_15  # noqa: F401
import encodings.latin_1  # noqa: F401
import encodings.punycode  # noqa: F401
import encodings.utf_8_sig  # noqa: F401
import encodings.utf_16  # noqa: F401
import encodings.utf_16_be  # noqa: F401
import encodings.utf_16_le  # noqa: F401

from . import _loop  # noqa: F401  (gives the event loop timers)
from . import log
from ._codec import JSON, RAW, TEXT, Codec, CodecError
from ._concurrent import OPEN_MAX, fetch, perform, perform_all, sleep, submit
from ._context import Attempt, Ended, Response, arguments, attempt, output, output_line, report_quota, run_program
from ._export import Operation, operation, worker
from ._failures import Busy, Failure, Permanent, Problem, Reason, Refusal, Retryable, Unfit

__all__ = [
    "JSON", "RAW", "TEXT", "Codec", "CodecError",
    "OPEN_MAX", "fetch", "perform", "perform_all", "sleep", "submit",
    "Attempt", "Ended", "Response", "arguments", "attempt", "output", "output_line", "report_quota", "run_program",
    "Operation", "operation", "worker",
    "Busy", "Failure", "Permanent", "Problem", "Reason", "Refusal", "Retryable", "Unfit",
    "log",
]
