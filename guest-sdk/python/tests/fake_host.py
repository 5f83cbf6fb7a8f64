"""A stand-in for the bindings of componentize-py, so that the SDK can be tested anywhere."""

import enum
import sys
import types as pytypes
from dataclasses import dataclass


class Err(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value


@dataclass
class Ok:
    value: object


@dataclass
class Action:
    kind: str
    payload: bytes


@dataclass
class Options:
    priority: int
    timeout: int
    deadline: int
    fuel: int
    attempts: int
    idempotent: bool


@dataclass
class Refusal:
    reason: enum.Enum
    message: str


@dataclass
class Report:
    bucket: str
    remaining: int
    resets: int


@dataclass
class Header:
    name: str
    value: str


@dataclass
class Request:
    verb: str
    url: str
    headers: list
    body: bytes
    timeout: int


@dataclass
class Response:
    status: int
    headers: list
    body: bytes


@dataclass
class Command:
    program: str
    arguments: list
    input: bytes
    timeout: int


@dataclass
class Ended:
    code: int
    output: bytes
    errors: bytes


Reason = enum.Enum("Reason", "PERMANENT EXHAUSTED POISON UNROUTABLE CANCELLED DEADLINE OVERSIZE")


def _variant(name):
    return dataclass(type(name, (), {"__annotations__": {"value": object}}))


class Pending:
    def __init__(self, outcome):
        self.outcome, self.dropped = outcome, False

    def take(self):
        if isinstance(self.outcome, Err):
            raise self.outcome
        return self.outcome.value

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dropped = True


class Host:
    """Answers every action by `answer`, and records the requests."""

    def __init__(self):
        self.requests, self.lines, self.written, self.slept, self.reports = [], [], b"", [], []
        self.answer = lambda action: Ok(action.payload)


def install(world_async):
    """Installs the bindings where the SDK imports them."""
    host = Host()

    def module(name, **items):
        made = pytypes.ModuleType(name)
        made.__dict__.update(items)
        sys.modules[name] = made
        return made

    def submit_with(action, options):
        host.requests.append((action, options))
        return Pending(host.answer(action))

    def perform_all_with(actions, options):
        return [submit_with(action, options).outcome for action in actions]

    class Sync:
        def next(self): ...
        def run(self, task): ...
        def collect(self, task, outcome): ...
        def finish(self): ...
        def handle(self, action): ...

    class Async(Sync):
        async def run(self, task): ...
        async def handle(self, action): ...

    failures = {f"Failure_{sort}": _variant(f"Failure_{sort}") for sort in ("Retryable", "Permanent", "Busy", "Unfit")}
    types = module("wit_world.imports.types", Action=Action, Options=Options, Refusal=Refusal, Reason=Reason, **failures)
    log = module(
        "wit_world.imports.log",
        Level=enum.Enum("Level", "DEBUG INFO WARNING ERROR"),
        write=lambda level, message: host.lines.append((level.name, message)),
    )

    def write(data):
        host.written += data

    output = module("wit_world.imports.output", write=write)
    blocking = module(
        "wit_world.imports.host",
        submit=lambda action: submit_with(action, None),
        submit_with=submit_with,
        perform_all=lambda actions: perform_all_with(actions, None),
        perform_all_with=perform_all_with,
        wait_any=lambda pendings: [len(pendings) - 1],
        sleep=lambda ms: host.slept.append(ms) or ms,
    )
    quota = module("wit_world.imports.quota", Report=Report, update=host.reports.append)
    http_types = module("wit_world.imports.http_types", Request=Request, Header=Header)
    http = module("wit_world.imports.http", fetch=lambda request: Response(200, request.headers, request.body))
    programs = module(
        "wit_world.imports.exec",
        Command=Command,
        run=lambda command: Ended(0, repr((command.program, command.arguments)).encode(), command.input),
    )
    imports = module("wit_world.imports", types=types, log=log, output=output, host=blocking, quota=quota,
                     http_types=http_types, http=http, exec=programs)
    world = module("wit_world", WitWorld=Async if world_async else Sync, imports=imports)
    module("componentize_py_types", Err=Err, Ok=Ok)
    world.imports = imports
    return host
