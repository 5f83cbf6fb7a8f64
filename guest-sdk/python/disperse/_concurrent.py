"""Asking for actions from an async `run`: many may be open at once. And HTTP for async workers."""

import asyncio
import contextvars
import time
from collections import deque

from . import _asking, _host, _loop
from ._codec import JSON
from ._context import request, response

OPEN_MAX = 1024
"""How many actions of a task may be in flight; one more waits."""


_open = 0
_waiting = deque()


def _free(_reading):
    global _open
    _open -= 1
    while _waiting:
        waiter = _waiting.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return


async def _place():
    """Waits until fewer than `OPEN_MAX` are open: each holds a handle, of which an instance has so many."""
    global _open
    while _open >= OPEN_MAX:
        waiter = asyncio.get_running_loop().create_future()
        _waiting.append(waiter)
        await waiter
    _open += 1


def submit(kind, input=None, *, codec=JSON, returns=None, **options):
    """Asks for an action, at once if fewer than 1,024 are open; awaiting what it returns gives the result.

    The options are `priority` (higher goes first), `timeout` of one attempt and `deadline` of the action in seconds,
    `fuel` of one attempt in millions, `attempts` that may fail, and `idempotent`. `returns` is the type that the
    result is read as.

    A task that is cancelled forgets the answer; the action itself goes on.
    """
    host = _host.need(_host.host_async, "`submit`", "`operation-async`: see disperse.blocking")
    action = _asking.asked(kind, input, codec)
    chosen = _asking.options(**options)

    async def answer():
        await _place()
        reading = _loop.read(host.submit(action) if chosen is None else host.submit_with(action, chosen))
        reading.add_done_callback(_free)
        outcome = await asyncio.shield(reading)
        if isinstance(outcome, _host.Err):
            raise _asking.refused(outcome.value)
        return _asking.came_to(kind, outcome.value, codec, returns)

    return asyncio.get_running_loop().create_task(answer(), context=contextvars.copy_context())


async def perform(kind, input=None, **how):
    """Has one action done and waits for its result. Takes what `submit` takes. Raises `Refusal`."""
    return await submit(kind, input, **how)


async def perform_all(kind, inputs, *, return_exceptions=False, **how):
    """Has one action of this kind done for each input, as many at once as there is room, and waits for the last.

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
        open_.append(submit(kind, value, **how))
    while open_:
        await oldest()
    return results


async def sleep(seconds):
    """Waits for this long of the run's time. Says the run's time in seconds.

    In a worker it is real time, and other attempts of the same worker wait too.
    """
    if _host.host_async is None:
        time.sleep(seconds)
        return time.monotonic()
    return await asyncio.shield(_loop.read(_host.host_async.sleep(_asking.to_ms(seconds)))) / 1000


async def fetch(url, method="GET", *, headers=(), body=b"", json=None, timeout=0):
    """Sends an HTTP request and waits for the whole response; any status is a response. Raises `Problem`.

    `headers` is a dict or a list of pairs. `json` is a body as JSON, with the header that says so.
    """
    http = _host.need(_host.http_async, "`fetch`", "`worker-async`: see disperse.blocking")
    outcome = await asyncio.shield(_loop.read(http.fetch(request(url, method, headers, body, json, timeout))))
    if isinstance(outcome, _host.Err):
        raise _asking.problem(outcome.value)
    return response(outcome.value)
