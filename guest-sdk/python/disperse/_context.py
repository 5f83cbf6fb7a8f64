"""Functions of the host for each role."""

import math
import sys
from dataclasses import dataclass
from typing import Any

from . import _asking, _host
from ._codec import JSON

_OUTPUT_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Attempt:
    """The current attempt, as far as a worker can know it."""

    action: str
    """Names this action: the same on every attempt, another one in every run. An idempotency key."""
    number: int
    """Which attempt of the action this is, from 1."""
    remaining: float
    """How many seconds are left before the attempt is ended."""
    worker: str
    """The name of this worker."""


@dataclass(frozen=True)
class Response:
    """The response of a server, with any status, also 4xx and 5xx."""

    status: int
    headers: list[tuple[str, str]]
    """Pairs of name and value, in the order of the response."""
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The first value of this header, or None; the case of the name does not matter."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def text(self) -> str:
        """The body as text; bytes that are not UTF-8 become replacement characters."""
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        """The body decoded as JSON."""
        return JSON.decode(self.body)


@dataclass(frozen=True)
class Ended:
    """A program that ended."""

    code: int | None
    """Its exit code; None if a signal ended it."""
    output: bytes
    errors: bytes


def attempt() -> Attempt:
    """Returns the current attempt. For workers."""
    info = _host.need(_host.attempt, "`attempt`", "a worker's").current()
    return Attempt(info.action, info.number, info.remaining / 1000, info.worker)


def report_quota(remaining: int, resets: float = 0, bucket: str = "") -> None:
    """Reports a quota window of this worker, as a server gave it: how many units are left (less than 0 counts as 0), and
    in how many seconds the window starts again (0: unknown). An empty `bucket` means the worker's only one. For workers."""
    quota = _host.need(_host.quota, "`report_quota`", "a worker's")
    left = _asking.whole("remaining", remaining, -math.inf, math.inf)
    left = min(max(left, 0), _asking.U32_MAX)
    quota.update(quota.Report(_host.text(bucket), left, _asking.to_ms(resets)))


def run_program(program: str, *arguments: str, input: str | bytes = b"", timeout: float = 0) -> Ended:
    """Runs a program of the worker's machine to its end, if the operator grants it. Raises `Problem`."""
    programs = _host.need(_host.programs, "`run_program`", "a worker's")
    words = [_host.text(word) for word in (program, *arguments)]
    command = programs.Command(words[0], words[1:], _data(input), _asking.to_ms(timeout))
    try:
        ended = programs.run(command)
    except _host.Err as error:
        raise _asking.problem(error.value) from None
    return Ended(ended.code, ended.output, ended.errors)


def output(data: str | bytes) -> None:
    """Appends bytes to the run's output, exactly as they are. Only for `next`, `tasks`, `collect` and `finish`."""
    write = _host.need(_host.output, "`output`", "an operation's").write
    data = _data(data)
    for start in range(0, len(data), _OUTPUT_CHUNK_BYTES):
        write(data[start:start + _OUTPUT_CHUNK_BYTES])


def output_line(data: str | bytes) -> None:
    """As `output`, with a newline after it."""
    output(_data(data) + b"\n")


def _data(value):
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"text or bytes are needed, not {value!r}")


def arguments() -> list[str]:
    """Returns the arguments of the run, which follow `--`."""
    return sys.argv[1:]


def request(url, method, headers, body, json, timeout):
    """Returns the request of the contract."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if json is not None:
        pairs.append(("Content-Type", "application/json"))
        body = JSON.encode(json)
    lines = [_host.http_types.Header(_host.text(name), _host.text(value)) for name, value in pairs]
    return _host.http_types.Request(_host.text(method), _host.text(url), lines, _data(body), _asking.to_ms(timeout))


def response(answer):
    """Returns the response of the contract."""
    return Response(answer.status, [(line.name, line.value) for line in answer.headers], answer.body)
