import pathlib
import sys
import types as pytypes
import unittest
from dataclasses import dataclass
from decimal import Decimal

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import fake_host

host = fake_host.install(world_async=False)

import disperse
import disperse.blocking
from disperse import _export


def world():
    """What the component exports."""
    return sys.modules[__name__].WitWorld()


@dataclass
class Point:
    x: int
    y: int = 0


class Base(unittest.TestCase):
    def setUp(self):
        _export._workers.clear()
        _export._operations.clear()
        host.asked.clear()
        host.lines.clear()
        host.written = b""
        host.answer = lambda action: fake_host.Ok(action.payload)


class Workers(Base):
    def handle(self, payload, kind="k"):
        return world().handle(fake_host.Action(kind, payload))

    def failure(self, payload, kind="k"):
        with self.assertRaises(fake_host.Err) as caught:
            self.handle(payload, kind)
        failure = caught.exception.value
        return type(failure).__name__.removeprefix("Failure_"), failure.value

    def test_a_worker_squares(self):
        @disperse.worker
        def square(n: int) -> int:
            return n * n

        self.assertEqual(self.handle(b"12"), b"144")
        sort, why = self.failure(b'"x"')
        self.assertEqual((sort, why), ("Permanent", "the input of `k` cannot be read: it is not int but str"))

    def test_an_exception_is_retryable_with_its_text_and_line(self):
        @disperse.worker
        def breaks(value):
            return {}[value]

        sort, why = self.failure(b'"x"')
        self.assertEqual(sort, "Retryable")
        self.assertRegex(why, r"^KeyError: 'x' \(test_disperse.py line \d+, in breaks\)$")

    def test_failures_keep_their_sort(self):
        raised = {
            "retryable": disperse.Retryable("r"), "permanent": disperse.Permanent("p"), "busy": disperse.Busy(1.5),
            "unfit": disperse.Unfit("u"), "request": disperse.Problem("invalid", "no URL"),
            "network": disperse.Problem("unreachable", "no route"), "exit": SystemExit(3),
        }

        @disperse.worker
        def fails(which: str):
            raise raised[which]

        self.assertEqual(self.failure(b'"retryable"'), ("Retryable", "r"))
        self.assertEqual(self.failure(b'"permanent"'), ("Permanent", "p"))
        self.assertEqual(self.failure(b'"busy"'), ("Busy", 1500))
        self.assertEqual(self.failure(b'"unfit"'), ("Unfit", "u"))
        self.assertEqual(self.failure(b'"request"')[0], "Permanent")
        self.assertEqual(self.failure(b'"network"')[0], "Retryable")
        self.assertEqual(self.failure(b'"exit"')[0], "Retryable")

    def test_each_kind_has_its_function(self):
        @disperse.worker(kind="a")
        def one(value):
            return "one"

        @disperse.worker(kind="b", codec=disperse.TEXT)
        def two(value: Decimal, kind):
            return f"{kind} {value * 2}"

        self.assertEqual(self.handle(b"0", "a"), b'"one"')
        self.assertEqual(self.handle(b"1.5", "b"), b"b 3.0")
        self.assertEqual(self.failure(b"x", "b")[0], "Permanent")
        self.assertEqual(self.failure(b"0", "c"), ("Permanent", "there is no worker for `c` here, only for a, b"))

    def test_a_cause_is_told(self):
        @disperse.worker
        def breaks(value):
            try:
                int("x")
            except ValueError as error:
                raise RuntimeError("bad input") from error

        self.assertIn("caused by ValueError: invalid literal", self.failure(b"0")[1])

    def test_dataclasses_come_and_go(self):
        @disperse.worker
        def turn(point: Point):
            return Point(-point.y, point.x)

        self.assertEqual(self.handle(b'{"x":1,"y":2}'), b'{"x":-2,"y":1}')
        self.assertEqual(self.failure(b'{"z":1}')[0], "Permanent")

    def test_mistakes_are_told_early(self):
        disperse.worker(lambda n: n)
        with self.assertRaisesRegex(TypeError, "two workers"):
            disperse.worker(lambda n: n)

        async def later(n):
            return n

        with self.assertRaisesRegex(TypeError, "ends in `-async`"):
            disperse.worker(kind="x")(later)


class Operations(Base):
    def test_from_first_to_last(self):
        @disperse.operation
        class Halves:
            def tasks(self):
                yield from [1, 2]
                yield None
                yield 4

            @staticmethod
            def run(task):
                if task % 2:
                    raise ValueError(f"{task} is odd")
                return task // 2

        planner = world()
        self.assertEqual([planner.next() for _ in range(5)], [b"1", b"2", None, b"4", None])
        with self.assertRaises(fake_host.Err) as caught:
            planner.run(b"1")
        self.assertRegex(caught.exception.value, r"^ValueError: 1 is odd \(test_disperse.py line \d+, in run\)$")
        self.assertEqual(planner.run(b"4"), b"2")
        planner.collect(b"4", fake_host.Ok(b"2"))
        planner.collect(b"1", fake_host.Err("why"))
        planner.finish()
        self.assertEqual(host.written, b"2\n")
        self.assertEqual(host.lines, [("ERROR", "a task failed: why")])

    def test_run_has_no_self(self):
        with self.assertRaisesRegex(TypeError, "@staticmethod"):

            @disperse.operation
            class Wrong:
                def tasks(self): ...
                def run(self, task): ...

    def test_actions_and_their_options(self):
        self.assertEqual(disperse.blocking.perform("k", {"a": "é"}, timeout=0.0001, priority=-2), {"a": "é"})
        action, options = host.asked[0]
        self.assertEqual((action.kind, action.payload), ("k", '{"a":"é"}'.encode()))
        self.assertEqual((options.timeout, options.priority, options.deadline), (1, -2, 0))
        self.assertEqual(disperse.blocking.perform("k", b"\xff", codec=disperse.RAW), b"\xff")
        self.assertIsNone(host.asked[1][1])

    def test_refusals(self):
        host.answer = lambda action: fake_host.Err(fake_host.Refusal(fake_host.Reason.POISON, "why"))
        with self.assertRaises(disperse.Refusal) as caught:
            disperse.blocking.perform("k")
        self.assertEqual((caught.exception.reason, str(caught.exception)), (disperse.Reason.POISON, "poison: why"))
        refusals = disperse.blocking.perform_all("k", [1, 2], return_exceptions=True)
        self.assertEqual([str(refusal) for refusal in refusals], ["poison: why"] * 2)
        with self.assertRaisesRegex(disperse.Refusal, "cannot be encoded"):
            disperse.blocking.perform("k", {1, 2})
        host.answer = lambda action: fake_host.Ok(b"{")
        with self.assertRaisesRegex(disperse.Refusal, "the result of `k` cannot be read"):
            disperse.blocking.perform("k", 1)

    def test_pendings(self):
        pendings = [disperse.blocking.submit("k", n) for n in range(3)]
        self.assertEqual(disperse.blocking.wait_any(pendings), [2])
        self.assertEqual(pendings[2].take(), 2)
        with self.assertRaises(RuntimeError):
            pendings[2].take()
        inner = pendings[0]._inner
        pendings[0].cancel()
        self.assertTrue(inner.dropped)
        with self.assertRaises(ValueError):
            disperse.blocking.wait_any([])

    def test_what_a_world_lacks_is_said(self):
        with self.assertRaisesRegex(RuntimeError, "`attempt` cannot be used: the world is not a worker's"):
            disperse.attempt()


class Small(Base):
    def test_output_and_log(self):
        disperse.output_line("é")
        disperse.output(b"x" * (3 << 20))
        self.assertEqual(len(host.written), 3 + (3 << 20))
        disperse.log.warning("w")
        import logging
        logging.getLogger("any").error("e %d", 1)
        self.assertEqual(host.lines, [("WARNING", "w"), ("ERROR", "e 1")])

    def test_nan_has_no_json(self):
        with self.assertRaises(disperse.CodecError):
            disperse.JSON.encode(float("nan"))


if __name__ == "__main__":
    unittest.main()
