"""The functions that wait, for worlds whose functions block: `operation`, `worker` and `both`.

They take what their namesakes in `disperse` take.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Generic, TypeVar, Unpack, overload

from . import _asking, _host
from ._asking import Options
from ._codec import JSON, Codec
from ._context import Response, request, response
from ._failures import Refusal

T = TypeVar("T")

__all__ = ["Pending", "fetch", "perform", "perform_all", "sleep", "submit", "wait_any"]


def _imports(what):
    return _host.need(_host.host, what, "`operation` or `both`: see `disperse` for async ones")


class Pending(Generic[T]):
    """A requested action whose result has not been taken. Dropping it cancels the action."""

    def __init__(self, kind, inner, codec, returns):
        self.kind, self._inner, self._codec, self._returns = kind, inner, codec, returns

    def take(self) -> T:
        """Waits until the action is settled and returns its result, once. Raises `Refusal`."""
        inner, self._inner = self._inner, None
        if inner is None:
            raise RuntimeError(f"the result of `{self.kind}` was taken already")
        try:
            with inner:
                outcome = _host.Ok(inner.take())
        except _host.Err as error:
            outcome = error
        return _asking.result_of(self.kind, outcome, self._codec, self._returns)

    def cancel(self) -> None:
        """Cancels the action."""
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.__exit__(None, None, None)


@overload
def submit(kind: str, input: Any = None, *, returns: type[T], codec: Codec = JSON, **options: Unpack[Options]) -> Pending[T]: ...
@overload
def submit(kind: str, input: Any = None, *, returns: Any = None, codec: Codec = JSON, **options: Unpack[Options]) -> Pending[Any]: ...
def submit(kind, input=None, *, codec=JSON, returns=None, **options):
    """Requests an action and returns at once, unless 1,024 actions of this task are in flight already."""
    host = _imports("`submit`")
    action = _asking.wit_action(kind, input, codec)
    chosen = _asking.options(**options)
    inner = host.submit(action) if chosen is None else host.submit_with(action, chosen)
    return Pending(kind, inner, codec, returns)


@overload
def perform(kind: str, input: Any = None, *, returns: type[T], codec: Codec = JSON, **options: Unpack[Options]) -> T: ...
@overload
def perform(kind: str, input: Any = None, *, returns: Any = None, codec: Codec = JSON, **options: Unpack[Options]) -> Any: ...
def perform(kind, input=None, **how):
    """Requests one action and waits for its result. Raises `Refusal`."""
    return submit(kind, input, **how).take()


def perform_all(
    kind: str, inputs: Iterable[Any], *, return_exceptions: bool = False, returns: Any = None, codec: Codec = JSON,
    **options: Unpack[Options],
) -> list[Any]:
    """Requests one action of this kind for each input and waits for all of them; see `disperse.perform_all`."""
    host = _imports("`perform_all`")
    chosen = _asking.options(**options)
    results, actions, places = [], [], []
    for value in inputs:
        try:
            actions.append(_asking.wit_action(kind, value, codec))
            places.append(len(results))
            results.append(None)
        except Refusal as refusal:
            if not return_exceptions:
                raise
            results.append(refusal)
    outcomes = host.perform_all(actions) if chosen is None else host.perform_all_with(actions, chosen)
    for place, outcome in zip(places, outcomes, strict=True):
        try:
            results[place] = _asking.result_of(kind, outcome, codec, returns)
        except Refusal as refusal:
            if not return_exceptions:
                raise
            results[place] = refusal
    return results


def wait_any(pendings: Sequence[Pending[Any]]) -> list[int]:
    """Waits until at least one of these is settled, and returns the indexes of those that are: ascending, never empty."""
    inner = [pending._inner for pending in pendings]
    if not inner or None in inner:
        raise ValueError("there is nothing to wait for" if not inner else "a result was taken already")
    return _imports("`wait_any`").wait_any(inner)


def sleep(seconds: float) -> float:
    """Waits for this long: of the run's time in an operation, of real time in a worker. Returns the time in seconds."""
    if _host.host is None or _host.role.get() == "handle":
        time.sleep(seconds)
        return time.monotonic()
    return _host.host.sleep(_asking.to_ms(seconds)) / 1000


def fetch(
    url: str, method: str = "GET", *, headers: Any = (), body: str | bytes = b"", json: Any = None, timeout: float = 0,
) -> Response:
    """Sends an HTTP request and waits for the whole response; any status is a response. Raises `Problem`."""
    http = _host.need(_host.http, "`fetch`", "`worker` or `both`: see `disperse` for async ones")
    try:
        return response(http.fetch(request(url, method, headers, body, json, timeout)))
    except _host.Err as error:
        raise _asking.problem(error.value) from None
