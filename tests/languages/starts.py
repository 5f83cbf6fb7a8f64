"""How soon an operation starts. It measures, so nothing else may run beside it."""

from .common import HOST, SDK, second_start


def test():
    squares = SDK / "python" / "examples" / "squares"
    second_start("Python: an operation and its workers", HOST, "run", squares, "--no-build", input="1 2 3\n", gate=2)
