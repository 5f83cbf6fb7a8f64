"""Timers for the event loop of componentize-py, which has none: `asyncio.sleep`, `wait_for` and `timeout` then work in
an operation, on the run's time. Also cancels what a call leaves open at its end."""

import asyncio
import contextvars
import heapq
import itertools
import sys
import time

from . import _asking, _host

try:
    import componentize_py_async_support as _support
    import componentize_py_runtime as _runtime
except ImportError:
    _support = None

_call = contextvars.ContextVar("call")
_TIMERS_KEPT = 64


class Call:
    """What one call of an async export waits for. Anything left open at its end would trap."""

    def __init__(self):
        self.ended = False
        self.readings = set()
        # Ordered by due time, and for the same time in the order in which they were set.
        self.timers = []
        self.cancelled = 0
        self.order = itertools.count()
        # When the host's pending sleeps end, in ms. They cannot be cancelled, and their number is limited.
        self.wakes = []
        self.looking = False

    def set(self, timer):
        heapq.heappush(self.timers, (timer.when(), next(self.order), timer))
        self.schedule_check()

    def count_cancelled(self):
        """Counts a cancelled timer. Cancelled timers are removed in batches, so that their cost is amortized."""
        self.cancelled += 1
        if self.cancelled > max(_TIMERS_KEPT, len(self.timers) // 2):
            self.timers = [entry for entry in self.timers if not entry[-1].cancelled()]
            heapq.heapify(self.timers)
            self.cancelled = 0

    def schedule_check(self):
        # Deferred: of many timers that are set together, only the earliest needs a sleep.
        if not self.looking and not self.ended:
            self.looking = True
            asyncio.get_running_loop().call_soon(self.check_timers)

    def check_timers(self):
        """Runs the timers that are due, and requests a sleep for the next one."""
        self.looking = False
        now = time.monotonic()
        while self.timers and (self.timers[0][-1].cancelled() or self.timers[0][0] <= now):
            timer = heapq.heappop(self.timers)[-1]
            if not timer.cancelled():
                _support._future_state.get().handles.append(timer)
        if not self.timers or self.ended:
            return
        ms = _asking.to_ms(self.timers[0][0] - now)
        wake = round(now * 1000) + ms
        if wake < min(self.wakes, default=wake + 1):
            self.wakes.append(wake)
            read(lambda: _host.host_async.sleep(ms)).add_done_callback(lambda _reading: self.sleep_ended(wake))

    def sleep_ended(self, wake):
        self.wakes.remove(wake)
        self.schedule_check()


def begin(role):
    """Begins a call: records what it opens, so that its end can release it."""
    _host.role.set(role)
    _call.set(Call())


def read(ask):
    """Returns a task that reads the future of the contract that `ask` returns. Wait for it by `asyncio.shield`: the runtime
    cannot cancel a read."""
    call = _call.get()
    if call.ended:
        raise asyncio.CancelledError
    task = asyncio.get_running_loop().create_task(ask().read(), context=contextvars.copy_context())
    call.readings.add(task)
    task.add_done_callback(call.readings.discard)
    return task


def release_open():
    """Stops waiting for what the ending call left open, and prevents its remaining tasks from opening anything more: the
    runtime would trap otherwise."""
    call = _call.get()
    call.ended = True
    state = _support._future_state.get()
    for waitable in list(state.futures):
        _runtime.waitable_join(waitable, 0)
    state.futures.clear()
    for task in list(call.readings):
        task.cancel()


class _ExitGuard:
    def _run(self):
        try:
            super()._run()
        except (SystemExit, KeyboardInterrupt):
            # The task that it ended keeps it for the code that awaits it; asyncio would also end the program.
            pass


class _Handle(_ExitGuard, asyncio.Handle):
    pass


class _Timer(_ExitGuard, asyncio.TimerHandle):
    pass


def _call_soon(self, callback, *args, context=None):
    context = context or contextvars.copy_context()
    handle = _Handle(callback, args, self, context)
    context[_support._future_state].handles.append(handle)
    return handle


def _call_later(self, delay, callback, *args, context=None):
    return self.call_at(self.time() + delay, callback, *args, context=context)


def _call_at(self, when, callback, *args, context=None):
    if _host.host_async is None or _host.role.get() == "handle":
        raise NotImplementedError("there are no timers in a worker: give `fetch` a timeout, or wait by `disperse.sleep`")
    call = _call.get()
    if call.ended:
        raise asyncio.CancelledError
    timer = _Timer(when, callback, args, self, context or contextvars.copy_context())
    call.set(timer)
    return timer


def _print_exception(self, context):
    error = context.get("exception")
    print(f"{context.get('message')}{f': {error!r}' if error else ''}", file=sys.stderr)


if _support is not None:
    _Loop = type(_support._loop)
    _Loop.call_exception_handler = _print_exception
    _Loop.time = lambda self: time.monotonic()
    _Loop.call_soon = _call_soon
    _Loop.call_later = _call_later
    _Loop.call_at = _call_at
    _Loop._timer_handle_cancelled = lambda self, timer: _call.get().count_cancelled()
