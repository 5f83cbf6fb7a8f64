"""The exceptions of the SDK."""

import asyncio
import enum
import os
import traceback

from . import _host

# Files whose lines do not help the author of the code that failed.
_OURS = os.path.dirname(__file__)
_STDLIB = os.path.dirname(os.path.dirname(asyncio.__file__))
_CAUSES_MAX = 5
_LEAVES_MAX = 3


class Failure(Exception):
    """The failure of an action on this worker. Raise one of the four sorts.

    Every other exception that leaves a worker counts as `Retryable`, with its text and line.
    """


class Retryable(Failure):
    """It may succeed later or elsewhere. The action goes to a different worker."""


class Permanent(Failure):
    """It can never work: the action itself is at fault. It is not tried again."""


class Busy(Failure):
    """This worker is at its limit, for this many seconds; 0: unknown. Costs no attempt."""

    def __init__(self, seconds: float = 0):
        super().__init__(f"busy for {seconds} s" if seconds else "busy")
        self.seconds = seconds


class Unfit(Failure):
    """This worker can do no more work, for instance because its credential was revoked. The action
    goes to another one at no cost; if that can do it, this worker is evicted."""


class Reason(enum.Enum):
    """Why an action ended without a result."""

    PERMANENT = "permanent"    # a worker reported that it can never work
    EXHAUSTED = "exhausted"    # it failed on every attempt that it was given
    POISON = "poison"          # it broke distinct healthy workers in the same way
    UNROUTABLE = "unroutable"  # no pool serves its kind, or no worker that could is left
    CANCELLED = "cancelled"    # by its task, or because the run was stopped
    DEADLINE = "deadline"      # its deadline passed
    OVERSIZE = "oversize"      # its payload or its result was larger than allowed


class Refusal(Exception):
    """An action ended without a result."""

    def __init__(self, reason: Reason, message: str):
        super().__init__(f"{reason.value}: {message}")
        self.reason = reason
        self.message = message


class Problem(Exception):
    """There is no response, or a program did not end by itself.

    `sort` is one of "denied", "invalid", "timeout", "unreachable", "oversize" and "failed". Left uncaught in a worker
    it is a permanent failure if the request was at fault ("invalid", "oversize"), else a retryable one.
    """

    def __init__(self, sort: str, message: str):
        super().__init__(f"{sort}: {message}")
        self.sort = sort
        self.message = message


def leaves(error):
    """Returns the exceptions in a group, at any depth; any other exception itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for part in error.exceptions for leaf in leaves(part)]


def describe(error, depth=0):
    """Formats an exception as one line: type, text, place and cause. It never fails and returns valid UTF-8, because an
    error must not be lost by formatting it."""
    message = _text(error)
    if isinstance(error, (Failure, Refusal)):
        return message
    name = type(error).__name__
    text = (f"{name}: {message}" if message else name) + _place(error)
    if depth == _CAUSES_MAX:
        return text
    if isinstance(error, BaseExceptionGroup):
        parts = leaves(error)
        described = [describe(part, depth + 1) for part in parts[:_LEAVES_MAX]]
        if len(parts) > len(described):
            described.append(f"{len(parts) - len(described)} more")
        text += f": {'; '.join(described)}"
    if isinstance(error, ImportError) and _host.wit_world is not None:
        text += ": there are no files to import from while a component runs; import it at the top of the module"
    cause = error.__cause__
    if cause is not None and cause is not error:
        text += f", caused by {describe(cause, depth + 1)}"
    return text


def _text(error):
    try:
        return _host.text(error)
    except Exception as trouble:
        return f"its text cannot be read, {type(trouble).__name__}"


def _place(error):
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__, limit=-64)
        if not _is_others(frame.filename)
    ]
    if frames:
        last = frames[-1]
        return f" ({os.path.basename(last.filename)} line {last.lineno}, in {last.name})"
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({error.filename} line {error.lineno})"
    return ""


def _is_others(path):
    stdlib = path.startswith((f"{_STDLIB}/", "<frozen ")) and "-packages" not in path
    return stdlib or path.startswith(f"{_OURS}/") or "componentize_py" in path
