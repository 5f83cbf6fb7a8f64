"""Converts JSON values to annotated types."""

import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing

if sys.version_info >= (3, 14):
    import annotationlib

    # Names that are imported only for type checkers stay as they are written, and what they annotate is not checked.
    _HINTS = {"format": annotationlib.Format.FORWARDREF}
    _SIGNATURE = {"annotation_format": annotationlib.Format.FORWARDREF}
else:
    _HINTS, _SIGNATURE = {}, {}

_CHECKED = (int, float, str, bool, list, dict, type(None))
# Types that are encoded like the annotated type.
_GOOD_FOR = {float: (float, int), list: (list, tuple), tuple: (tuple, list), bytes: (bytes, bytearray, memoryview)}


class CodecError(ValueError):
    """A value could not be encoded or decoded. The text is the reason."""


@functools.cache
def hints(of):
    """Returns the annotations of a function or class, as far as they can be resolved."""
    try:
        return typing.get_type_hints(of, **_HINTS)
    except Exception:
        return {}


def signature(function):
    """Returns the signature of a function."""
    return inspect.signature(function, **_SIGNATURE)


@functools.cache
def takes(function):
    """Yields the annotations of a function's parameters, in their order, and then None without end."""
    known = hints(function)
    return [*map(known.get, signature(function).parameters), None, None, None]


def check(value, to):
    """Raises a `CodecError` if the outermost type of the value does not fit an annotation. A tuple fits a list, an int a
    float; types that payloads do not have are not checked."""
    kind, parts = typing.get_origin(to) or to, typing.get_args(to)
    if kind in (typing.Union, types.UnionType):
        known = [typing.get_origin(part) or part for part in parts]
    elif kind in (*_CHECKED, bytes, tuple) or dataclasses.is_dataclass(kind):
        known = [kind]
    else:
        return
    accepted = tuple(other for one in known for other in _GOOD_FOR.get(one, (one,)))
    if all(isinstance(one, type) for one in accepted) and not isinstance(value, accepted):
        wanted = " or ".join("None" if one is type(None) else one.__name__ for one in known)
        raise CodecError(f"it is {'None' if value is None else type(value).__name__} and not {wanted}")


def fill(value, to, at=""):
    """Returns the value as a `to`: dataclasses are filled; lists, dicts, tuples and unions are converted recursively; values
    of types that JSON does not have are left unchanged."""
    kind, parts = typing.get_origin(to) or to, typing.get_args(to)
    if kind in (typing.Union, types.UnionType):
        return _one_of(value, parts, at)
    if kind is typing.Literal:
        if not any(value == part and type(value) is type(part) for part in parts):
            raise _wrong(at, " or ".join(map(repr, parts)), repr(value))
        return value
    if kind is float and type(value) is int:
        return float(value)
    if kind in _CHECKED and type(value) is not kind:
        raise _unlike(value, kind, at)
    if kind is list and parts:
        return [fill(part, parts[0], f"{at}[{place}]") for place, part in enumerate(value)]
    if kind is dict and parts:
        return {_key(key, parts[0], at): fill(part, parts[1], f"{at}[{key!r}]") for key, part in value.items()}
    if kind is tuple:
        return _tuple(value, parts, at)
    if not isinstance(kind, type):
        return value
    try:
        if dataclasses.is_dataclass(kind):
            return _dataclass(value, kind, at)
        return kind(value) if issubclass(kind, enum.Enum) else value
    except CodecError:
        raise
    except (TypeError, ValueError) as error:
        raise CodecError(f"{_named(at)}: {error}" if at else str(error)) from None


def _one_of(value, parts, at):
    if type(value) in parts:
        return value
    for part in parts:
        try:
            return fill(value, part, at)
        except CodecError as error:
            failed = error
    # One type and None: the error of the one type is more helpful.
    known = [part for part in parts if part is not type(None)]
    if len(known) == 1:
        return fill(value, known[0], at)
    names = " or ".join(getattr(part, "__name__", str(part)) for part in parts)
    raise _wrong(at, names, type(value).__name__) from failed


def _key(key, to, at):
    # JSON has no other keys than text.
    if to not in (int, float):
        return key
    try:
        return to(key)
    except ValueError:
        raise _wrong(at, f"an object with {to.__name__} keys", repr(key)) from None


def _tuple(value, parts, at):
    if type(value) is not list:
        raise _unlike(value, list, at)
    if len(parts) == 2 and parts[1] is ...:
        parts = parts[:1] * len(value)
    if parts and len(parts) != len(value):
        raise _wrong(at, f"{len(parts)} values", len(value))
    return tuple(fill(part, to, f"{at}[{place}]") for place, (part, to) in enumerate(zip(value, parts))) if parts else tuple(value)


def _dataclass(value, to, at):
    if not isinstance(value, dict):
        raise _wrong(at, "an object", type(value).__name__)
    known = hints(to)
    return to(**{name: fill(part, known.get(name), f"{at}.{name}") for name, part in value.items()})


def _unlike(value, kind, at):
    return _wrong(at, kind.__name__, type(value).__name__)


def _wrong(at, wanted, got):
    return CodecError(f"{_named(at)} is not {wanted} but {got}")


def _named(at):
    return f"`{at.removeprefix('.')}`" if at else "it"
