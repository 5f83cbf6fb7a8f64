"""What goes wrong, as exceptions."""

import enum
import os.path
import traceback

_HERE = os.path.dirname(__file__)


class Failure(Exception):
    """What a worker raises when it cannot do an action. Raise one of the four sorts.

    Every other exception that leaves a worker counts as `Retryable`, with its text and line.
    """


class Retryable(Failure):
    """It may work another time or elsewhere. The action goes to a different worker."""


class Permanent(Failure):
    """It can never work: the action itself is at fault. It is not tried again."""


class Busy(Failure):
    """This worker is at its limit, for this many seconds; 0: unknown. Costs no attempt."""

    def __init__(self, seconds=0):
        super().__init__(f"busy for {seconds} s" if seconds else "busy")
        self.seconds = seconds


class Unfit(Failure):
    """This worker can do no more work, for instance because its credential was revoked. It is evicted at once and the
    action goes to another one at no cost."""


class Reason(enum.Enum):
    """Why an action ended without a result."""

    PERMANENT = "permanent"    # a worker said that it can never work
    EXHAUSTED = "exhausted"    # it failed on every attempt that it was given
    POISON = "poison"          # it broke distinct healthy workers in the same way
    UNROUTABLE = "unroutable"  # no pool serves its kind, or no worker that could is left
    CANCELLED = "cancelled"    # by its asker or because the run was stopped
    DEADLINE = "deadline"      # its deadline passed
    OVERSIZE = "oversize"      # its payload or its result was larger than allowed


class Refusal(Exception):
    """An action ended without a result."""

    def __init__(self, reason, message):
        super().__init__(f"{reason.value}: {message}")
        self.reason = reason
        self.message = message


class Problem(Exception):
    """There is no response, or a program did not end by itself.

    `sort` is one of "denied", "invalid", "timeout", "unreachable", "oversize" and "failed". Left uncaught in a worker
    it is a permanent failure if the request was at fault ("invalid", "oversize"), else a retryable one.
    """

    def __init__(self, sort, message):
        super().__init__(f"{sort}: {message}")
        self.sort = sort
        self.message = message


def describe(error):
    """An exception as one line: its type, its text, where it came from and what caused it."""
    if isinstance(error, (Failure, Refusal)):
        return str(error)
    said = str(error)
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__, limit=-64)
        if not frame.filename.startswith(_HERE) and "componentize_py" not in frame.filename
    ]
    if frames:
        last = frames[-1]
        text += f" ({os.path.basename(last.filename)} line {last.lineno}, in {last.name})"
    elif isinstance(error, SyntaxError) and error.filename:
        text += f" ({error.filename} line {error.lineno})"
    if error.__cause__ is not None:
        text += f", caused by {describe(error.__cause__)}"
    return text
