"""Requests for actions from an async `run`, many of which may be open at once, and HTTP for async workers."""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar, Unpack, overload

from . import _asking, _host, _loop
from ._asking import Options
from ._codec import JSON, Codec
from ._context import Response, request, response
from ._failures import Refusal

T = TypeVar("T")

OPEN_MAX = 1024
"""How many actions of a task may be in flight; one more waits."""

# Each open one holds a handle, and an instance has a limited number of handles.
_room = asyncio.Semaphore(OPEN_MAX)


@overload
def submit(kind: str, input: Any = None, *, returns: type[T], codec: Codec = JSON, **options: Unpack[Options]) -> asyncio.Future[T]: ...
@overload
def submit(kind: str, input: Any = None, *, returns: Any = None, codec: Codec = JSON, **options: Unpack[Options]) -> asyncio.Future[Any]: ...
def submit(kind, input=None, *, codec=JSON, returns=None, **options):
    """Requests an action, at once if fewer than 1,024 are open. Awaiting the returned future gives the result.

    The options are `priority` (higher goes first), `timeout` of one attempt and `deadline` of the action in seconds,
    `fuel` of one attempt in millions, `attempts` that may fail, and `idempotent`. `returns` is the type that the
    result is read as.

    A task that is cancelled forgets the answer; the action itself goes on.
    """
    host = _host.need(_host.host_async, "`submit`", "`operation-async`: see disperse.blocking")
    loop = asyncio.get_running_loop()
    chosen = _asking.options(**options)
    try:
        action = _asking.wit_action(kind, input, codec)
    except Refusal as refusal:
        refused = loop.create_future()
        refused.set_exception(refusal)
        return refused

    async def answer():
        await _room.acquire()
        try:
            reading = _loop.read(lambda: host.submit(action) if chosen is None else host.submit_with(action, chosen))
        except BaseException:
            _room.release()
            raise
        reading.add_done_callback(lambda _reading: _room.release())
        return _asking.result_of(kind, await asyncio.shield(reading), codec, returns)

    return loop.create_task(answer(), context=contextvars.copy_context())


@overload
async def perform(kind: str, input: Any = None, *, returns: type[T], codec: Codec = JSON, **options: Unpack[Options]) -> T: ...
@overload
async def perform(kind: str, input: Any = None, *, returns: Any = None, codec: Codec = JSON, **options: Unpack[Options]) -> Any: ...
async def perform(kind, input=None, **how):
    """Requests one action and waits for its result. The parameters are those of `submit`. Raises `Refusal`."""
    return await submit(kind, input, **how)


async def perform_all(
    kind: str, inputs: Iterable[Any], *, return_exceptions: bool = False, returns: Any = None, codec: Codec = JSON,
    **options: Unpack[Options],
) -> list[Any]:
    """Requests one action of this kind for each input, as many at once as may be in flight, and waits for all of them.

    The results are in the order of the inputs. The first `Refusal` is raised, or with `return_exceptions` stands in
    its place in the list.
    """
    open_, results = deque(), []

    async def oldest():
        try:
            results.append(await open_.popleft())
        except Exception as refusal:
            if not return_exceptions:
                raise
            results.append(refusal)

    for value in inputs:
        if len(open_) == OPEN_MAX:
            await oldest()
        open_.append(submit(kind, value, returns=returns, codec=codec, **options))
    while open_:
        await oldest()
    return results


async def sleep(seconds: float) -> float:
    """Waits for this long of the run's time. Returns the run's time in seconds.

    In a worker it is real time, and other attempts of the same worker wait too.
    """
    if _host.host_async is None or _host.role.get() == "handle":
        time.sleep(seconds)
    else:
        await asyncio.sleep(seconds)
    return time.monotonic()


async def fetch(
    url: str, method: str = "GET", *, headers: Any = (), body: str | bytes = b"", json: Any = None, timeout: float = 0,
) -> Response:
    """Sends an HTTP request and waits for the whole response; any status is a response. Raises `Problem`.

    `headers` is a dict or a list of pairs. `json` is a body as JSON, with the header `content-type`.
    """
    http = _host.need(_host.http_async, "`fetch`", "`worker-async`: see disperse.blocking")
    wit_request = request(url, method, headers, body, json, timeout)
    outcome = await asyncio.shield(_loop.read(lambda: http.fetch(wit_request)))
    if isinstance(outcome, _host.Err):
        raise _asking.problem(outcome.value)
    return response(outcome.value)
