"""Exports functions and classes from the component."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from . import _asking, _context, _host, _loop, log
from ._codec import JSON, Codec, CodecError
from ._failures import Busy, Permanent, Problem, Retryable, Unfit, describe, leaves
from ._fill import check, hints, signature, takes

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

_workers = {}
_operations = []
# The planner, once it is created. It cannot be kept in the `self` of an export: componentize-py makes one for each export.
_planners = []


class Operation:
    """The methods of an operation. A class under `@disperse.operation` needs `run`, and `tasks` or `next`."""

    def tasks(self) -> Iterable[Any]:
        """A generator of tasks. It is advanced whenever one more task may be in flight. `yield None` means that there
        is none *now*: it is advanced again after the next `collect`."""
        raise NotImplementedError("an operation needs `tasks` or `next`")

    def next(self) -> Any:
        """Hands out one more task, or None if there is none now. An alternative to `tasks`."""
        tasks = self.__dict__.get("_tasks")
        if tasks is None:
            tasks = self.__dict__["_tasks"] = iter(self.tasks())
        return next(tasks, None)

    @staticmethod
    def run(task: Any) -> Any:
        """The logic of one task, `async` or not. It runs in an instance of its own, which is why it has no `self`.
        An exception ends this task and not the run."""
        raise NotImplementedError("an operation needs `run`")

    def collect(self, task: Any, result: Any, error: str | None) -> None:
        """Takes the end of one task: its result, or None and the text of its error. Unless overridden it writes the
        result as a line of the output and an error to the log."""
        if error is not None:
            log.error(f"a task failed: {error}")
        else:
            _context.output_line(self.codec.encode(result))

    def finish(self) -> None:
        """Called once, after the last `collect`. An exception is the run's error."""

    codec: Codec = JSON
    """The format of tasks and results."""


def operation(cls: C) -> C:
    """Makes this class the component's operation. See `Operation` for its methods.

    One long-lived instance of it is the planner.
    """
    run = inspect.getattr_static(cls, "run", None)
    if run is None:
        raise TypeError(f"{cls.__name__} needs a `run`")
    if not isinstance(run, (staticmethod, classmethod)):
        raise TypeError(f"{cls.__name__}.run runs in an instance of its own and has no self: put @staticmethod above it")
    if not hasattr(cls, "tasks") and not hasattr(cls, "next"):
        raise TypeError(f"{cls.__name__} needs `tasks` or `next`")
    for name in ("tasks", "next", "collect", "finish"):
        method = getattr(cls, name, None)
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            raise TypeError(f"{cls.__name__}.{name} is async, and would never run: only `run` can be")
    whole = cls if issubclass(cls, Operation) else type(cls.__name__, (cls, Operation), {"__doc__": cls.__doc__})
    whole.__module__ = cls.__module__
    _fits("run", cls.run, f"{cls.__name__}.run")
    _operations[:] = [whole]
    _planners.clear()
    _publish(cls.__module__)
    return whole


@overload
def worker(function: F) -> F: ...
@overload
def worker(*, kind: str | None = None, codec: Codec = JSON) -> Callable[[F], F]: ...
def worker(function=None, *, kind=None, codec=JSON):
    """Makes this function the component's worker, or with `kind` the one for actions of that kind.

    It takes the input and, as a second parameter without a default or as one named `kind`, the kind. It may be `async`.
    """
    if function is None:
        return functools.partial(worker, kind=kind, codec=codec)
    if kind in _workers:
        raise TypeError(f"there are two workers for {f'`{kind}`' if kind else 'all kinds'}: {function.__name__} is one")
    _fits("handle", function, function.__name__)
    _workers[kind] = (function, _call(function), codec)
    _publish(function.__module__)
    return function


def _call(function):
    """Wraps a function of the input, or of the input and the kind, as one of both."""
    signed = signature(function)
    rest = list(signed.parameters.values())[1:]
    if any(one.name == "kind" and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY) for one in rest):
        call = lambda give, value, kind: give(value, kind=kind)
    elif any(one.kind in _BY_PLACE and one.default is one.empty for one in rest[:1]):
        call = lambda give, value, kind: give(value, kind)
    else:
        call = lambda give, value, kind: give(value)
    try:
        call(signed.bind, None, None)
    except TypeError as error:
        raise TypeError(f"{function.__name__} must take the input, and may take the kind: {error}") from None
    return functools.partial(call, function)


def _fits(export, function, name):
    """Reports at build time a mistake that would fail later."""
    world = getattr(_host.wit_world, "WitWorld", None)
    if world is None:
        return
    if not hasattr(world, export):
        role = "a worker" if export == "handle" else "an operation"
        raise TypeError(f"{name} makes this {role}, but the world that it is built for has no `{export}`")
    if inspect.iscoroutinefunction(function) and not _is_async(export):
        raise TypeError(f"{name} is async: build it for the world whose name ends in `-async`")


def _is_async(export):
    return inspect.iscoroutinefunction(getattr(getattr(_host.wit_world, "WitWorld", None), export, None))


def _wit_error(error):
    """Converts an exception of a worker to the failure of the contract. It never fails: the worker would trap instead."""
    types = _host.types
    parts = leaves(error)
    sorts = {_sort(part) for part in parts}
    sort = sorts.pop() if len(sorts) == 1 else Retryable
    if sort is Busy:
        return types.Failure_Busy(max(_busy_ms(part) for part in parts))
    variant = getattr(types, f"Failure_{sort.__name__}")
    return variant(describe(error))


def _sort(error):
    if isinstance(error, Problem):
        return Permanent if error.sort in ("invalid", "oversize") else Retryable
    return next((sort for sort in (Busy, Unfit, Permanent) if isinstance(error, sort)), Retryable)


def _busy_ms(error):
    try:
        return _asking.to_ms(max(error.seconds, 0))
    except (AttributeError, TypeError, ValueError):
        return 0


def _given(action):
    found = _workers.get(action.kind) or _workers.get(None)
    if found is None:
        raise Permanent(f"there is no worker for `{action.kind}` here, only for {', '.join(sorted(_workers))}")
    function, call, codec = found
    try:
        value = codec.decode(action.payload, takes(function)[0])
    except CodecError as error:
        of = f" of `{action.kind}`" if action.kind else ""
        raise Permanent(f"the input{of} cannot be read: {error}") from None
    return functools.partial(call, value, action.kind), functools.partial(_encoded, function, codec, action.kind)


def _encoded(function, codec, kind, value):
    try:
        return _written(function, codec, value)
    except CodecError as error:
        of = f" for `{kind}`" if kind else ""
        name = getattr(function, "__name__", "the worker")
        raise Permanent(f"what `{name}` returned{of} cannot be a result: {error}") from None


def _written(function, codec, value):
    """Returns the payload of a returned value, after checking it against the annotation of the function."""
    returns = hints(function).get("return")
    if returns is not None:
        check(value, returns)
    return codec.encode(value)


async def _awaited(value):
    return await value if inspect.isawaitable(value) else value


def _handle(self, action):
    _host.role.set("handle")
    try:
        call, encoded = _given(action)
        return encoded(call())
    except BaseException as error:
        raise _host.Err(_wit_error(error)) from None


async def _handle_async(self, action):
    _loop.begin("handle")
    try:
        call, encoded = _given(action)
        return encoded(await _awaited(call()))
    except BaseException as error:
        raise _host.Err(_wit_error(error)) from None
    finally:
        _loop.release_open()


def _task(cls, task):
    try:
        return cls.codec.decode(task, takes(cls.run)[0])
    except CodecError as error:
        raise _host.Err(f"the task cannot be read: {error}") from None


def _encoded_result(cls, value):
    try:
        return _written(cls.run, cls.codec, value)
    except CodecError as error:
        raise _host.Err(f"what `run` returned cannot be a result: {error}") from None


def _run(self, task):
    _host.role.set("run")
    cls = _operations[0]
    try:
        return _encoded_result(cls, cls.run(_task(cls, task)))
    except _host.Err:
        raise
    except BaseException as error:
        raise _host.Err(describe(error)) from None


async def _run_async(self, task):
    _loop.begin("run")
    cls = _operations[0]
    try:
        return _encoded_result(cls, await _awaited(cls.run(_task(cls, task))))
    except _host.Err:
        raise
    except BaseException as error:
        raise _host.Err(describe(error)) from None
    finally:
        _loop.release_open()


def _planner():
    if not _planners:
        _planners.append(_operations[0]())
    return _planners[0]


def _logged(export):
    """Logs the exceptions of the planner. In the contract only `finish` has an error; the others trap without a reason."""

    @functools.wraps(export)
    def logged(*given):
        try:
            return export(*given)
        except BaseException as error:
            log.error(f"`{export.__name__.removeprefix('_')}` failed: {describe(error)}")
            raise

    return logged


@_logged
def _next(self):
    planner = _planner()
    task = planner.next()
    return None if task is None else planner.codec.encode(task)


@_logged
def _collect(self, task, outcome):
    planner = _planner()
    _, to_task, to_result, *_ = takes(type(planner).collect)
    task = planner.codec.decode(task, to_task)
    if isinstance(outcome, _host.Err):
        planner.collect(task, None, outcome.value)
    else:
        planner.collect(task, planner.codec.decode(outcome.value, to_result), None)


def _finish(self):
    try:
        _planner().finish()
    except BaseException as error:
        raise _host.Err(describe(error)) from None


def _publish(module):
    """Gives the module the class that componentize-py looks for."""
    exports = {}
    if _workers:
        exports["handle"] = _handle_async if _is_async("handle") else _handle
    if _operations:
        exports |= {"next": _next, "collect": _collect, "finish": _finish}
        exports["run"] = _run_async if _is_async("run") else _run
    base = getattr(_host.wit_world, "WitWorld", object)
    sys.modules[module].WitWorld = type("WitWorld", (base,), exports)
