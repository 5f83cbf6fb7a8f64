"""Encodes values as payloads, and decodes them. The contract knows only bytes; the formats are defined here.

| codec  | encoding                                                                                      |
|--------|-----------------------------------------------------------------------------------------------|
| `JSON` | JSON; dataclasses as objects, enums as their values. The default, shared with every language  |
| `TEXT` | `str` of the value: lines for `disperse-host map`                                             |
| `RAW`  | itself: `bytes`                                                                               |

Decoded JSON is converted to the annotation of the function; text is passed to the annotated type.
"""

import dataclasses
import enum
import json
import types
from typing import Any

from ._fill import CodecError, fill


class Codec:
    """A format of payloads."""

    def encode(self, value: Any) -> bytes:
        """Returns the payload of this value."""
        raise NotImplementedError

    def decode(self, payload: bytes, to: Any = None) -> Any:
        """Returns the value of this payload, as a `to` if given."""
        raise NotImplementedError


def _plain(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, enum.Enum):
        return value.value
    hint = _INSTEAD.get(type(value))
    raise TypeError(f"JSON has no form for {type(value).__name__}" + (f": {hint}" if hint else ""))


# Hints for types that are common in results and that JSON does not have.
_INSTEAD = {
    set: "make it a list",
    frozenset: "make it a list",
    bytes: "say codec=disperse.RAW, or decode it",
    types.GeneratorType: "make it a list",
    types.CoroutineType: "await it",
}


class _Json(Codec):
    _writer = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)

    def encode(self, value):
        try:
            return self._writer.encode(value).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise CodecError(str(error)) from None

    def decode(self, payload, to=None):
        try:
            value = json.loads(payload)
        except (ValueError, RecursionError) as error:
            raise CodecError(f"it is not JSON: {error}") from None
        return value if to is None else fill(value, to)


class _Text(Codec):
    # Types whose constructors accept any text with another meaning.
    _refused = (bytes, dict, frozenset, list, set, tuple)

    def encode(self, value):
        try:
            return str(value).encode()
        except ValueError as error:
            raise CodecError(str(error)) from None

    def decode(self, payload, to=None):
        try:
            text = payload.decode()
            if to is bool:
                if text.lower() not in ("true", "false"):
                    raise CodecError(f"it is not true or false but {text!r}")
                return text.lower() == "true"
            if to in self._refused:
                raise CodecError(f"text cannot be read as {to.__name__}")
            return text if to in (None, str) or not isinstance(to, type) else to(text)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise CodecError(str(error)) from None


class _Raw(Codec):
    def encode(self, value):
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise CodecError(f"it is not bytes but {type(value).__name__}")
        return bytes(value)

    def decode(self, payload, to=None):
        return payload


JSON: Codec = _Json()
TEXT: Codec = _Text()
RAW: Codec = _Raw()
