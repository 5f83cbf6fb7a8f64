import enum
import pathlib
import statistics
import sys
import types as pytypes
import unittest
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Optional

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import fake_host

host = fake_host.install(world_async=False)

import disperse
import disperse.blocking
from disperse import _export
from disperse._fill import check


class World:
    """The exports of the component. Like componentize-py it calls each export with a `self` of its own."""

    def __getattr__(self, export):
        return getattr(sys.modules[__name__].WitWorld(), export)


def world():
    return World()


@dataclass
class Point:
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Shape:
    points: list[Point]
    colour: Colour
    size: Literal["small", "large"] = "small"
    weights: Optional[dict[int, float]] = None
    pair: tuple[int, str] = (0, "")

    def __post_init__(self):
        if not self.points:
            raise ValueError("there are no points")


class Base(unittest.TestCase):
    def setUp(self):
        _export._workers.clear()
        _export._operations.clear()
        host.requests.clear()
        host.lines.clear()
        host.slept.clear()
        host.reports.clear()
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

    def test_worker_returns_its_result(self):
        @disperse.worker
        def square(n: int) -> int:
            return n * n

        self.assertEqual(self.handle(b"12"), b"144")
        sort, why = self.failure(b'"x"')
        self.assertEqual((sort, why), ("Permanent", "the input of `k` cannot be read: it is not int but str"))

    def test_error_of_a_wrong_result_type_names_function_kind_and_both_types(self):
        @disperse.worker
        def shape(which: str) -> Point | None:
            return {"point": Point(1), "none": None, "number": 3}[which]

        self.assertEqual(self.handle(b'"point"'), b'{"x":1,"y":0}')
        self.assertEqual(self.handle(b'"none"'), b"null")
        why = "what `shape` returned for `k` cannot be a result: it is int and not Point or None"
        self.assertEqual(self.failure(b'"number"'), ("Permanent", why))

        values = {"none": None, "set": {1}, "bytes": b"x", "tuple": (1, 2)}

        @disperse.worker(kind="l")
        def numbers(which: str) -> list[int]:
            return values[which]

        @disperse.worker(kind="a")
        def anything(which: str):
            return values[which]

        self.assertEqual(self.handle(b'"tuple"', "l"), b"[1,2]")
        self.assertIn("`numbers` returned for `l` cannot be a result: it is None and not list", self.failure(b'"none"', "l")[1])
        self.assertEqual(self.handle(b'"none"', "a"), b"null")
        self.assertIn("JSON has no form for set: make it a list", self.failure(b'"set"', "a")[1])
        self.assertIn("JSON has no form for bytes: say codec=disperse.RAW", self.failure(b'"bytes"', "a")[1])

    def test_annotation_accepts_equivalent_types(self):
        for value, to in [(1, int), (1, float), (True, int), ((), list), ([], tuple[int, ...]), (b"", bytes), (None, None.__class__),
                          ({}, dict[str, int]), (1, Literal[2]), ("x", "int"), (object(), Decimal), (1, int | str), (Colour.RED, Colour)]:
            check(value, to)
        for value, to in [(None, int), ("1", int), (1, str), (1.5, int), (1, bool), ("x", list[str]), ("x", Optional[int]), ({}, Point)]:
            with self.assertRaises(disperse.CodecError):
                check(value, to)

    def test_late_import_is_explained(self):
        @disperse.worker
        def late(value):
            import no_such_module

        _, why = self.failure(b"1")
        self.assertRegex(why, r"^ModuleNotFoundError: .*no_such_module' \(test_disperse.py line \d+, in late\): there are no files.* at the top")

    def test_exception_is_retryable_with_its_text_and_line(self):
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

    def test_message_has_the_cause(self):
        @disperse.worker
        def breaks(value):
            try:
                int("x")
            except ValueError as error:
                raise RuntimeError("bad input") from error

        self.assertIn("caused by ValueError: invalid literal", self.failure(b"0")[1])

    def test_dataclasses_are_decoded_and_encoded(self):
        @disperse.worker
        def turn(point: Point):
            return Point(-point.y, point.x)

        self.assertEqual(self.handle(b'{"x":1,"y":2}'), b'{"x":-2,"y":1}')
        self.assertEqual(self.failure(b'{"z":1}')[0], "Permanent")

    def test_nested_annotations_are_filled(self):
        seen = []

        @disperse.worker
        def see(shape: Shape):
            seen.append(shape)
            return shape

        payload = b'{"points":[{"x":1,"y":0}],"colour":"red","size":"large","weights":{"7":1},"pair":[1,"a"]}'
        self.assertEqual(self.handle(payload), payload.replace(b'"7":1', b'"7":1.0'))
        self.assertEqual(seen, [Shape([Point(1)], Colour.RED, "large", {7: 1.0}, (1, "a"))])
        wrong = {
            b'{"points":[{"x":"1"}],"colour":"red"}': r"`points\[0\].x` is not int but str",
            b'{"points":[{"z":1}],"colour":"red"}': r"`points\[0\]`: .*unexpected keyword argument 'z'",
            b'{"points":[1],"colour":"red"}': r"`points\[0\]` is not an object but int",
            b'{"points":[{"x":1}],"colour":"blue"}': "`colour`: 'blue' is not a valid Colour",
            b'{"points":[{"x":1}],"colour":"red","size":"huge"}': "`size` is not 'small' or 'large' but 'huge'",
            b'{"points":[{"x":1}],"colour":"red","weights":{"a":1}}': "`weights` is not an object with int keys but 'a'",
            b'{"points":[{"x":1}],"colour":"red","weights":3}': "`weights` is not dict but int",
            b'{"points":[{"x":1}],"colour":"red","pair":[1]}': "`pair` is not 2 values but 1",
            b'{"points":[],"colour":"red"}': "there are no points",
            b"[]": "it is not an object but list",
        }
        for payload, why in wrong.items():
            self.assertEqual(self.failure(payload)[0], "Permanent")
            self.assertRegex(self.failure(payload)[1], f"^the input of `k` cannot be read: {why}$")

    def test_union_is_filled_by_the_type_that_fits(self):
        @disperse.worker
        def take(value: int | list[str] | None):
            return [value]

        self.assertEqual([self.handle(given) for given in (b"1", b'["a"]', b"null")], [b"[1]", b'[["a"]]', b"[null]"])
        self.assertRegex(self.failure(b"1.5")[1], "it is not int or list.* or NoneType but float$")

    def test_text_is_decoded_as_the_annotated_type(self):
        @disperse.worker(codec=disperse.TEXT)
        def is_not(value: bool):
            return not value

        self.assertEqual([self.handle(b"False"), self.handle(b"true")], [b"True", b"False"])
        self.assertEqual(self.failure(b"no"), ("Permanent", "the input of `k` cannot be read: it is not true or false but 'no'"))
        with self.assertRaisesRegex(disperse.CodecError, "text cannot be read as list"):
            disperse.TEXT.decode(b"abc", list)

    def test_unusual_exceptions_become_failures(self):
        """Each of these trapped, because converting the exception raised another one."""

        class Silent(Exception):
            def __str__(self):
                raise KeyError("no")

        itself, ring = ValueError("x"), ValueError("ring")
        itself.__cause__ = itself
        ring.__cause__ = Silent()
        ring.__cause__.__cause__ = ring
        raised = [disperse.Busy(-1), disperse.Busy("60"), disperse.Busy(float("nan")), disperse.Busy(float("inf")),
                  ValueError("bad \ud800 text"), Silent(), itself, ring]

        @disperse.worker
        def fails(which: int):
            raise raised[which]

        failures = [self.failure(str(which).encode()) for which in range(len(raised))]
        self.assertEqual(failures[:4], [("Busy", 0), ("Busy", 0), ("Busy", 0), ("Busy", 2**32 - 1)])
        self.assertTrue(failures[4][1].startswith("ValueError: bad \ufffd text ("), failures[4])
        self.assertTrue(failures[5][1].startswith("Silent: its text cannot be read, KeyError ("), failures[5])
        self.assertNotIn("caused by", failures[6][1])
        self.assertLess(failures[7][1].count("caused by"), 10)

    def test_group_has_the_sort_of_all_its_exceptions(self):
        raised = {
            "all": ExceptionGroup("many", [disperse.Permanent("row 7"), ExceptionGroup("more", [disperse.Permanent("row 8")])]),
            "busy": ExceptionGroup("many", [disperse.Busy(1), disperse.Busy(2)]),
            "mixed": ExceptionGroup("many", [disperse.Permanent("row 7"), KeyError("x"), OSError("y"), OSError("z")]),
        }

        @disperse.worker
        def fails(which: str):
            raise raised[which]

        sort, why = self.failure(b'"all"')
        self.assertEqual(sort, "Permanent")
        self.assertRegex(why, r"^ExceptionGroup: many \(2 sub-exceptions\) \(test_disperse.py line \d+, in fails\): row 7; row 8$")
        self.assertEqual(self.failure(b'"busy"'), ("Busy", 2000))
        sort, why = self.failure(b'"mixed"')
        self.assertEqual(sort, "Retryable")
        self.assertRegex(why, "row 7; KeyError: 'x'; OSError: y; 1 more$")

    def test_line_is_not_one_of_the_sdk(self):
        @disperse.worker
        def breaks(value):
            return statistics.mean([])

        self.assertRegex(self.failure(b"0")[1], r"\(test_disperse.py line \d+, in breaks\)$")

    def test_kind_is_passed_to_its_parameter(self):
        disperse.worker(kind="place")(lambda value, which: which)
        disperse.worker(kind="name")(lambda value, *, kind: kind)
        disperse.worker(kind="default")(lambda value, kind=None: kind)
        disperse.worker(kind="other")(lambda value, retries=3, *, key=None: [retries, key])
        results = {kind: self.handle(b"0", kind) for kind in ("place", "name", "default", "other")}
        self.assertEqual(results, {"place": b'"place"', "name": b'"name"', "default": b'"default"', "other": b"[3,null]"})
        for wrong in (lambda: 1, lambda *, value: 1, lambda value, which, more: 1):
            with self.assertRaisesRegex(TypeError, "must take the input, and may take the kind"):
                disperse.worker(kind="wrong")(wrong)

    def test_unresolved_annotation_is_not_checked(self):
        @disperse.worker
        def same(value: "Absent"):  # noqa: F821
            return value

        self.assertEqual(self.handle(b"1"), b"1")

    def test_worker_sleeps_in_real_time(self):
        """In a world with both roles it used the run's time, which only tasks have."""

        @disperse.worker
        def sleeps(value):
            disperse.blocking.sleep(0.001)

        self.handle(b"0")
        self.assertEqual(host.slept, [])

    def test_worker_calls_the_functions_of_the_contract(self):
        for remaining in (-1, 5, 2**40):
            disperse.report_quota(remaining, 0.5)
        self.assertEqual([report.remaining for report in host.reports], [0, 5, 2**32 - 1])
        for wrong in ("5", 5.0):
            with self.assertRaisesRegex(TypeError, "`remaining` must be a whole number"):
                disperse.report_quota(wrong)
        ended = disperse.run_program(pathlib.PurePosixPath("/bin/cat"), 1, input="é")
        self.assertEqual((ended.output, ended.errors), (b"('/bin/cat', ['1'])", "é".encode()))
        self.assertEqual(disperse.blocking.fetch("u", headers={"A": 1}, body="é").headers, [("A", "1")])
        with self.assertRaisesRegex(TypeError, "text or bytes are needed, not 5"):
            disperse.blocking.fetch("u", body=5)

    def test_mistakes_are_reported_at_build_time(self):
        disperse.worker(lambda n: n)
        with self.assertRaisesRegex(TypeError, "two workers"):
            disperse.worker(lambda n: n)

        async def later(n):
            return n

        with self.assertRaisesRegex(TypeError, "ends in `-async`"):
            disperse.worker(kind="x")(later)


class Operations(Base):
    def test_operation_from_first_task_to_finish(self):
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

    def test_planner_keeps_its_state_between_exports(self):
        @disperse.operation
        class Sum:
            def __init__(self):
                self.total = 0

            def tasks(self):
                self.total += 100
                yield 1
                yield 2

            @staticmethod
            def run(task):
                return task * task

            def collect(self, task, result, error):
                self.total += result

            def finish(self):
                disperse.output_line(str(self.total))

        planner = world()
        tasks = [planner.next() for _ in range(3)]
        self.assertEqual(tasks, [b"1", b"2", None])
        for task in tasks[:2]:
            planner.collect(task, fake_host.Ok(planner.run(task)))
        planner.finish()
        self.assertEqual(host.written, b"105\n")

    def test_run_has_no_self(self):
        with self.assertRaisesRegex(TypeError, "@staticmethod"):

            @disperse.operation
            class Wrong:
                def tasks(self): ...
                def run(self, task): ...

    def test_only_run_may_be_async(self):
        """Other async methods were accepted and never run, and the exit code was 0."""

        async def never(*_): ...

        async def generator(self):
            yield 1

        for name, method in {"tasks": generator, "next": never, "collect": never, "finish": never}.items():
            parts = {"tasks": lambda self: [], "run": staticmethod(lambda task: task), name: method}
            with self.assertRaisesRegex(TypeError, rf"^Wrong.{name} is async, and would never run"):
                disperse.operation(type("Wrong", (), parts))

    def test_tasks_and_results_have_the_annotated_types(self):
        seen = []

        @disperse.operation
        class Points:
            def tasks(self):
                yield Point(1, 2)

            @staticmethod
            def run(point: Point) -> Point:
                return Point(point.y, point.x)

            def collect(self, task: Point, result: Point | None, error):
                seen.append((task, result, error))

        planner = world()
        self.assertEqual(planner.next(), b'{"x":1,"y":2}')
        self.assertEqual(planner.run(b'{"x":1,"y":2}'), b'{"x":2,"y":1}')
        with self.assertRaises(fake_host.Err) as caught:
            planner.run(b'{"x":"1"}')
        self.assertEqual(caught.exception.value, "the task cannot be read: `x` is not int but str")
        Points.run = staticmethod(lambda point: None)
        Points.run.__annotations__["return"] = Point
        with self.assertRaises(fake_host.Err) as caught:
            planner.run(b'{"x":1,"y":2}')
        self.assertEqual(caught.exception.value, "what `run` returned cannot be a result: it is None and not Point")
        planner.collect(b'{"x":1,"y":2}', fake_host.Ok(b'{"x":2,"y":1}'))
        planner.collect(b'{"x":1,"y":2}', fake_host.Err("why"))
        self.assertEqual(seen, [(Point(1, 2), Point(2, 1), None), (Point(1, 2), None, "why")])

    def test_exception_of_the_planner_is_logged(self):
        """It traps, and the only message was `unreachable`."""

        @disperse.operation
        class Trips:
            def tasks(self):
                raise ValueError("no tasks")

            @staticmethod
            def run(task): ...

            def collect(self, task, result, error):
                raise ValueError("no collect")

        planner = world()
        with self.assertRaises(ValueError):
            planner.next()
        with self.assertRaises(ValueError):
            planner.collect(b"1", fake_host.Ok(b"1"))
        errors = [message for level, message in host.lines if level == "ERROR"]
        self.assertRegex(errors[0], r"^`next` failed: ValueError: no tasks \(test_disperse.py line \d+, in tasks\)$")
        self.assertRegex(errors[1], r"^`collect` failed: ValueError: no collect \(test_disperse.py line \d+, in collect\)$")

    def test_numbers_out_of_range_are_errors(self):
        for option, value, wrong in [
            ("fuel", -1, ValueError), ("fuel", 1.5, TypeError), ("attempts", 2**32, ValueError), ("priority", 2**31, ValueError),
        ]:
            with self.assertRaisesRegex(wrong, f"`{option}` must be"):
                disperse.blocking.perform("k", 1, **{option: value})
        with self.assertRaisesRegex(ValueError, "a time cannot be nan"):
            disperse.blocking.perform("k", 1, timeout=float("nan"))
        disperse.blocking.perform(3, 1, deadline=float("inf"))
        action, options = host.requests[0]
        self.assertEqual((action.kind, options.deadline), ("3", 2**32 - 1))

    def test_task_sleeps_in_the_time_of_the_run(self):
        @disperse.operation
        class Sleeps:
            def tasks(self): ...

            @staticmethod
            def run(task):
                return disperse.blocking.sleep(60)

        self.assertEqual(world().run(b"0"), b"60.0")
        self.assertEqual(host.slept, [60_000])

    def test_results_are_filled_by_returns(self):
        self.assertEqual(disperse.blocking.perform("k", [{"x": 1}], returns=list[Point]), [Point(1)])
        with self.assertRaisesRegex(disperse.Refusal, r"cannot be read: `\[0\]` is not int but str"):
            disperse.blocking.perform("k", ["a"], returns=list[int])

    def test_actions_carry_their_options(self):
        self.assertEqual(disperse.blocking.perform("k", {"a": "é"}, timeout=0.0001, priority=-2), {"a": "é"})
        action, options = host.requests[0]
        self.assertEqual((action.kind, action.payload), ("k", '{"a":"é"}'.encode()))
        self.assertEqual((options.timeout, options.priority, options.deadline), (1, -2, 0))
        self.assertEqual(disperse.blocking.perform("k", b"\xff", codec=disperse.RAW), b"\xff")
        self.assertIsNone(host.requests[1][1])

    def test_refusal_has_reason_and_message(self):
        host.answer = lambda action: fake_host.Err(fake_host.Refusal(fake_host.Reason.POISON, "why"))
        with self.assertRaises(disperse.Refusal) as caught:
            disperse.blocking.perform("k")
        self.assertEqual((caught.exception.reason, str(caught.exception)), (disperse.Reason.POISON, "poison: why"))
        refusals = disperse.blocking.perform_all("k", [1, 2], return_exceptions=True)
        self.assertEqual([str(refusal) for refusal in refusals], ["poison: why"] * 2)
        with self.assertRaisesRegex(disperse.Refusal, "cannot be encoded"):
            disperse.blocking.perform("k", {1, 2})
        host.answer = lambda action: fake_host.Ok(action.payload)
        one, refusal, three = disperse.blocking.perform_all("k", [1, {2}, 3], return_exceptions=True)
        self.assertEqual((one, three), (1, 3))
        self.assertIn("cannot be encoded", str(refusal))
        host.answer = lambda action: fake_host.Ok(b"{")
        with self.assertRaisesRegex(disperse.Refusal, "the result of `k` cannot be read"):
            disperse.blocking.perform("k", 1)

    def test_pending_is_taken_once_or_cancelled(self):
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

    def test_error_names_the_worlds_with_an_interface(self):
        with self.assertRaisesRegex(RuntimeError, "`attempt` cannot be used: the world is not a worker's"):
            disperse.attempt()


class Small(Base):
    def test_output_and_log_reach_the_host(self):
        disperse.output_line("é")
        disperse.output(b"x" * (3 << 20))
        self.assertEqual(len(host.written), 3 + (3 << 20))
        disperse.log.warning("w")
        import logging
        logging.getLogger("any").error("e %d", 1)
        self.assertEqual(host.lines, [("WARNING", "w"), ("ERROR", "e 1")])

    def test_nan_cannot_be_encoded_as_json(self):
        with self.assertRaises(disperse.CodecError):
            disperse.JSON.encode(float("nan"))


if __name__ == "__main__":
    unittest.main()
