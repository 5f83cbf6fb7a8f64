"""What each role may ask of its surroundings."""

import sys
from dataclasses import dataclass

from . import _asking, _host
from ._codec import JSON

_OUTPUT_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Attempt:
    """What a worker can know about the attempt it is making."""

    action: str
    """Names this action in this run and is the same on every attempt: an idempotency key."""
    number: int
    """Which attempt of the action this is, from 1."""
    remaining: float
    """How many seconds are left before the attempt is cut."""
    worker: str
    """The name of the worker that makes it."""


@dataclass(frozen=True)
class Response:
    """What a server answered, with any status, also 4xx and 5xx."""

    status: int
    headers: list
    """Pairs of name and value, in the order in which they came."""
    body: bytes

    @property
    def ok(self):
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def header(self, name):
        """The first value of this header, or None; the case of the name does not matter."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def text(self):
        """The body as text; bytes that are not UTF-8 become replacement characters."""
        return self.body.decode(errors="replace")

    def json(self):
        """The body read as JSON."""
        return JSON.decode(self.body)


@dataclass(frozen=True)
class Ended:
    """A program that ended."""

    code: int | None
    """Its exit code; None if a signal ended it."""
    output: bytes
    errors: bytes


def attempt():
    """The attempt that is going on. For workers."""
    info = _host.need(_host.attempt, "`attempt`", "a worker's").current()
    return Attempt(info.action, info.number, info.remaining / 1000, info.worker)


def report_quota(remaining, resets=0, bucket=""):
    """Tells the host what a server said about a quota window of this worker: how many units are left and in how many
    seconds it starts afresh (0: unknown). An empty `bucket` means the worker's only one. For workers."""
    quota = _host.need(_host.quota, "`report_quota`", "a worker's")
    quota.update(quota.Report(bucket, remaining, _asking.to_ms(resets)))


def run_program(program, *arguments, input=b"", timeout=0):
    """Runs a program of the worker's machine to its end, as far as the operator allows it. Raises `Problem`."""
    programs = _host.need(_host.programs, "`run_program`", "a worker's")
    try:
        ended = programs.run(programs.Command(program, list(arguments), input, _asking.to_ms(timeout)))
    except _host.Err as error:
        raise _asking.problem(error.value) from None
    return Ended(ended.code, ended.output, ended.errors)


def output(data):
    """Appends bytes to the run's output, exactly as they are. Only for `next`, `tasks`, `collect` and `finish`."""
    write = _host.need(_host.output, "`output`", "an operation's").write
    data = data.encode() if isinstance(data, str) else bytes(data)
    for start in range(0, len(data), _OUTPUT_CHUNK_BYTES):
        write(data[start:start + _OUTPUT_CHUNK_BYTES])


def output_line(data):
    """As `output`, with a newline after it."""
    output((data.encode() if isinstance(data, str) else bytes(data)) + b"\n")


def arguments():
    """What was given to the run after `--`."""
    return sys.argv[1:]


def request(url, method, headers, body, json, timeout):
    """The request of the contract."""
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if json is not None:
        pairs.append(("Content-Type", "application/json"))
        body = JSON.encode(json)
    lines = [_host.http_types.Header(name, value) for name, value in pairs]
    body = body.encode() if isinstance(body, str) else body
    return _host.http_types.Request(method, url, lines, body, _asking.to_ms(timeout))


def response(said):
    """The response of the contract."""
    return Response(said.status, [(line.name, line.value) for line in said.headers], said.body)
