"""The generated bindings of the world that the component is built for.

Each world has some of these; a function that needs a missing one raises when it is called. They have to be imported
while the component is built: later there are no files.
"""

import contextvars
import re

try:
    import wit_world
    from wit_world.imports import types
    from componentize_py_types import Err, Ok
except ImportError:
    wit_world = types = Err = Ok = None

try:
    from wit_world.imports import log
except ImportError:
    log = None
try:
    from wit_world.imports import output
except ImportError:
    output = None
try:
    from wit_world.imports import host
except ImportError:
    host = None
try:
    from wit_world.imports import host_async
except ImportError:
    host_async = None
try:
    from wit_world.imports import attempt
except ImportError:
    attempt = None
try:
    from wit_world.imports import quota
except ImportError:
    quota = None
try:
    from wit_world.imports import http_types
except ImportError:
    http_types = None
try:
    from wit_world.imports import http
except ImportError:
    http = None
try:
    from wit_world.imports import http_async
except ImportError:
    http_async = None
try:
    from wit_world.imports import exec as programs
except ImportError:
    programs = None


role = contextvars.ContextVar("role", default=None)
"""The export that is being called, "run" or "handle": a component may have both, and only a task has the run's time."""

_HALF = re.compile("[\ud800-\udfff]")


def text(value):
    """Returns a value as a string of valid Unicode: an unpaired surrogate, which only Python allows, is replaced."""
    return _HALF.sub("\ufffd", str(value))


def need(interface, what, worlds):
    """Returns the interface, or raises an error that names the worlds that have it."""
    if interface is None:
        where = f"the world is not {worlds}" if wit_world else "there is no host here"
        raise RuntimeError(f"{what} cannot be used: {where}")
    return interface
