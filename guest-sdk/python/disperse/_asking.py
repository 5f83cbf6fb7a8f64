"""What asking for actions has in common, whether it blocks or not."""

import math

from . import _host
from ._codec import CodecError
from ._failures import Problem, Reason, Refusal

U32_MAX = 2**32 - 1


def to_ms(seconds):
    """Whole ms, rounded up so that a short time does not become zero, which would mean the default."""
    if not seconds:
        return 0
    if seconds < 0:
        raise ValueError(f"a time cannot be negative: {seconds}")
    return min(math.ceil(seconds * 1000), U32_MAX)


def asked(kind, value, codec):
    """The action of the contract."""
    try:
        payload = codec.encode(value)
    except CodecError as error:
        raise Refusal(Reason.PERMANENT, f"the input of `{kind}` cannot be encoded: {error}") from None
    return _host.types.Action(kind, payload)


def options(priority=0, timeout=0, deadline=0, fuel=0, attempts=0, idempotent=False):
    """The options of the contract, or none if all are at their default."""
    if not (priority or timeout or deadline or fuel or attempts or idempotent):
        return None
    return _host.types.Options(priority, to_ms(timeout), to_ms(deadline), fuel, attempts, idempotent)


def refused(refusal):
    """The refusal of the contract as an exception."""
    return Refusal(Reason[refusal.reason.name], refusal.message)


def came_to(kind, payload, codec, returns):
    """The result of an action."""
    try:
        return codec.decode(payload, returns)
    except CodecError as error:
        raise Refusal(Reason.PERMANENT, f"the result of `{kind}` cannot be read: {error}") from None


def problem(said):
    """The problem of the contract as an exception."""
    return Problem(type(said).__name__.removeprefix("Problem_").lower(), said.value)
