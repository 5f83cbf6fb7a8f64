"""From values to payloads and back. The contract knows only bytes; what they mean is agreed here.

| codec  | a value is written as                                                        |
|--------|------------------------------------------------------------------------------|
| `JSON` | JSON; dataclasses as objects. The default, shared with every other language  |
| `TEXT` | what `str` makes of it: lines for `disperse-host map`                        |
| `RAW`  | itself: `bytes`                                                              |

What is read becomes what the annotation of the function says: a dataclass is filled, `int`, `float`, `str`, `bool`,
`list` and `dict` are checked.
"""

import dataclasses
import json


class CodecError(ValueError):
    """A value could not be written or read. The text says why."""


class Codec:
    """One way to write values."""

    def encode(self, value):
        """The payload of this value."""
        raise NotImplementedError

    def decode(self, payload, to=None):
        """The value of this payload, as a `to` if given."""
        raise NotImplementedError


def _plain(value):
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"JSON has no form for {type(value).__name__}")


class _Json(Codec):
    _writer = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    _checked = (int, float, str, bool, list, dict)

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
        if to is None:
            return value
        if dataclasses.is_dataclass(to):
            if not isinstance(value, dict):
                raise CodecError(f"it is not an object but {type(value).__name__}")
            try:
                return to(**value)
            except TypeError as error:
                raise CodecError(str(error)) from None
        if to is float and type(value) is int:
            return float(value)
        if to in self._checked and type(value) is not to:
            raise CodecError(f"it is not {to.__name__} but {type(value).__name__}")
        return value


class _Text(Codec):
    def encode(self, value):
        return str(value).encode()

    def decode(self, payload, to=None):
        try:
            text = payload.decode()
            return text if to in (None, str) or not isinstance(to, type) else to(text)
        except (ValueError, ArithmeticError) as error:
            raise CodecError(str(error)) from None


class _Raw(Codec):
    def encode(self, value):
        if not isinstance(value, (bytes, bytearray, memoryview)):
            raise CodecError(f"it is not bytes but {type(value).__name__}")
        return bytes(value)

    def decode(self, payload, to=None):
        return payload


JSON = _Json()
TEXT = _Text()
RAW = _Raw()
