"""Timers for the event loop of componentize-py, which has none: `asyncio.sleep`, `wait_for` and `timeout` then work in
an operation, on the run's time. And an end of a call that leaves nothing behind."""

import asyncio
import contextvars
import sys
import time

from . import _asking, _host

try:
    import componentize_py_async_support as _support
    import componentize_py_runtime as _runtime
except ImportError:
    _support = None


def _call_later(self, delay, callback, *args, context=None):
    context = context or contextvars.copy_context()
    timer = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
    due = _host.host_async.sleep(_asking.to_ms(max(delay, 0)))

    reading = read(due)

    async def ring():
        await asyncio.shield(reading)
        if not timer.cancelled():
            self.call_soon(callback, *args, context=context)

    self.create_task(ring(), context=context)
    return timer


def _call_at(self, when, callback, *args, context=None):
    return self.call_later(when - self.time(), callback, *args, context=context)


def _complain(self, context):
    error = context.get("exception")
    print(f"{context.get('message')}{f': {error!r}' if error else ''}", file=sys.stderr)


def read(future):
    """A task that reads a future of the contract. Wait for it by `asyncio.shield`: the runtime cannot take a read
    back, so it must not be cancelled."""
    task = asyncio.get_running_loop().create_task(future.read(), context=contextvars.copy_context())
    state = _support._future_state.get()
    state.__dict__.setdefault("readings", set()).add(task)
    task.add_done_callback(state.readings.discard)
    return task


def let_go():
    """Stops waiting for what the call that ends has left open: the runtime traps otherwise."""
    state = _support._future_state.get()
    for waitable in list(state.futures):
        _runtime.waitable_join(waitable, 0)
    state.futures.clear()
    for task in list(state.__dict__.get("readings", ())):
        task.cancel()


if _support is not None:
    _Loop = type(_support._loop)
    _Loop.call_exception_handler = _complain
    _Loop.time = lambda self: time.monotonic()
    _Loop._timer_handle_cancelled = lambda self, handle: None
    if _host.host_async is not None:
        _Loop.call_later = _call_later
        _Loop.call_at = _call_at
