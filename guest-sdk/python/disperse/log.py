"""Log messages for the operator, in every role.

`disperse.log.info("...")` writes one line to the host's log, with the name of the task, worker or planner. The
`logging` of the standard library goes there too, from INFO on unless its level is set otherwise. Outside a host the
lines go to standard error.
"""

import logging
import sys

from . import _host


def debug(message: object) -> None:
    """Writes a line for debugging."""
    _write("DEBUG", message)


def info(message: object) -> None:
    """Writes a line about normal operation."""
    _write("INFO", message)


def warning(message: object) -> None:
    """Writes a line about an unexpected condition that was handled."""
    _write("WARNING", message)


def error(message: object) -> None:
    """Writes a line about a failure."""
    _write("ERROR", message)


def _write(level, message):
    if _host.log is None:
        print(f"{level.lower()}: {message}", file=sys.stderr)
    else:
        _host.log.write(_host.log.Level[level], _host.text(message))


class _Handler(logging.Handler):
    def emit(self, record):
        try:
            message = self.format(record)
        except Exception as trouble:
            message = f"{record.msg!r} cannot be formatted: {trouble}"
        level = min(max(record.levelno, logging.DEBUG), logging.ERROR) // 10
        _write(("DEBUG", "INFO", "WARNING", "ERROR")[level - 1], message)


if _host.log is not None:
    logging.basicConfig(handlers=[_Handler()], level=logging.INFO, format="%(message)s")
