"""Requests for actions: what the blocking and the async form have in common."""

import math
import operator
from typing import TypedDict

from . import _host
from ._codec import CodecError
from ._failures import Problem, Reason, Refusal

U32_MAX = 2**32 - 1
_S32_MAX = 2**31 - 1


class Options(TypedDict, total=False):
    """Options of one action."""

    priority: int
    """Higher goes first."""
    timeout: float
    """How long one attempt may take, in seconds. May only lower the pool's."""
    deadline: float
    """How long the action may take until it is settled, in seconds. Unlimited unless given."""
    fuel: int
    """Fuel of one attempt in millions of units. May only lower the pool's."""
    attempts: int
    """How many attempts may fail before the action fails."""
    idempotent: bool
    """Whether performing the action twice does no harm."""


def to_ms(seconds):
    """Returns whole ms, rounded up so that a short time does not become zero, which would mean the default."""
    if not seconds >= 0:
        raise ValueError(f"a time cannot be {seconds}")
    return math.ceil(min(seconds * 1000, U32_MAX))


def whole(name, value, least=0, most=U32_MAX):
    """Returns a number of the contract after checking its range: an invalid one would trap without a reason."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"`{name}` must be a whole number, not {value!r}") from None
    if not least <= number <= most:
        raise ValueError(f"`{name}` must be from {least} to {most}, not {number}")
    return number


def wit_action(kind, value, codec):
    """Returns the action of the contract."""
    try:
        payload = codec.encode(value)
    except CodecError as error:
        raise Refusal(Reason.PERMANENT, f"the input of `{kind}` cannot be encoded: {error}") from None
    return _host.types.Action(_host.text(kind), payload)


def options(priority=0, timeout=0, deadline=0, fuel=0, attempts=0, idempotent=False):
    """Returns the options of the contract, or none if all are at their default."""
    if not (priority or timeout or deadline or fuel or attempts or idempotent):
        return None
    return _host.types.Options(
        whole("priority", priority, -_S32_MAX - 1, _S32_MAX), to_ms(timeout), to_ms(deadline),
        whole("fuel", fuel), whole("attempts", attempts), bool(idempotent),
    )


def result_of(kind, outcome, codec, returns):
    """Returns the result of an action. Raises `Refusal`."""
    if isinstance(outcome, _host.Err):
        raise Refusal(Reason[outcome.value.reason.name], outcome.value.message)
    try:
        return codec.decode(outcome.value, returns)
    except CodecError as error:
        raise Refusal(Reason.PERMANENT, f"the result of `{kind}` cannot be read: {error}") from None


def problem(answer):
    """Returns the problem of the contract as an exception."""
    return Problem(type(answer).__name__.removeprefix("Problem_").lower(), answer.value)
