"""Words for the operator, in every role.

`disperse.log.info("...")` writes one line to the host's log, marked with the name of the task, worker or planner that
said it. The `logging` of the standard library goes there too, from INFO on unless its level is set otherwise. Outside
a host the lines go to standard error.
"""

import logging
import sys

from . import _host


def debug(message: object) -> None:
    """A line for someone who looks for a fault."""
    _write("DEBUG", message)


def info(message: object) -> None:
    """A line about the ordinary course of things."""
    _write("INFO", message)


def warning(message: object) -> None:
    """A line about something odd that was coped with."""
    _write("WARNING", message)


def error(message: object) -> None:
    """A line about something that failed."""
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
