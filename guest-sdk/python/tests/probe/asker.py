"""Requests actions in every way that an async operation has."""

import asyncio
import datetime
import logging
import sys
import time
import disperse


async def fails():
    raise ValueError("a sibling fails")


async def cleans_up():
    try:
        await disperse.perform("square", -1)
    finally:
        await disperse.perform("square", 1)


async def asks_again():
    while True:
        try:
            return await disperse.perform("square", -1)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)


async def exits():
    sys.exit(4)


@disperse.operation
class Probe:
    def tasks(self):
        if "trip" in disperse.arguments():
            raise ValueError("no tasks")
        yield from ["abandon", "many", "sleep", "waitfor", "group", "cancel", "forgot", "args", "raw", "kinds", "exit"]
        yield from ["left", "early", "cleanup", "again", "deadlines", "sleepers", "order", "past", "child", "words", "input", "lazy"]
        yield from ["15", "16", "17", "18"]

    @staticmethod
    async def run(task):
        if task == "abandon":     # the first failure ends the task while others are open
            return await asyncio.gather(*(disperse.perform("square", n) for n in [14, 1, 2, -1]))
        if task == "many":
            return sum(await asyncio.gather(*(disperse.perform("square", n) for n in range(20, 3020))))
        if task == "sleep":
            a = time.monotonic()
            await asyncio.sleep(2.5)
            b = await disperse.sleep(0.25)
            return [round(time.monotonic() - a, 3), round(b, 3) > 0]
        if task == "waitfor":
            try:
                await asyncio.wait_for(disperse.perform("square", -1), 0.05)
            except TimeoutError:
                return "timed out"
        if task == "group":
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(disperse.perform("square", 14))
                    group.create_task(disperse.perform("square", -1))
            except* disperse.Refusal as e:
                said = "refused" if len(e.exceptions) == 1 else str(e.exceptions)
            return said
        if task == "cancel":
            answer = disperse.submit("square", -1)
            await asyncio.sleep(0)
            answer.cancel()
            return "cancelled"
        if task == "forgot":
            disperse.submit("square", 14)
            return await disperse.perform("square", 3)
        if task == "args":
            logging.getLogger("x").info("logged %d", 3)
            disperse.log.debug("a debug line")
            return disperse.arguments()
        if task == "raw":
            return (await disperse.perform("square", b"12", codec=disperse.RAW)).decode()
        if task == "kinds":
            answers = await disperse.perform_all(
                "square", [1, 14, 2, "x"], return_exceptions=True, idempotent=True, attempts=1, timeout=2
            )
            return [one.reason.value if isinstance(one, disperse.Refusal) else str(one) for one in answers]
        if task == "exit":
            sys.exit(3)
        if task == "left":        # a request has not been sent yet when the task ends
            disperse.submit("square", 1)
            return "fine"
        if task == "early":
            asyncio.create_task(asyncio.sleep(1))
            return 1 // 0
        if task == "cleanup":     # others request more although the task has failed
            await asyncio.gather(cleans_up(), fails())
        if task == "again":
            await asyncio.gather(asks_again(), fails())
        if task == "deadlines":   # more timers than the host allows sleeps
            return sum([await asyncio.wait_for(disperse.perform("square", n % 10), 60) for n in range(1500)])
        if task == "sleepers":
            await asyncio.gather(*(asyncio.sleep(n / 10_000) for n in range(5000, 0, -1)))
            return "awake"
        if task == "order":
            said = []

            async def says(n, seconds):
                await asyncio.sleep(seconds)
                said.append(n)

            await asyncio.gather(says(1, 0.03), says(2, 0.01), says(3, 0.02), says(4, 0.01))
            return said
        if task == "past":
            loop = asyncio.get_running_loop()
            soon = loop.create_future()
            loop.call_soon(soon.set_result, "soon")
            for moment in (loop.time(), loop.time() - 5):
                try:
                    async with asyncio.timeout_at(moment):
                        await asyncio.sleep(1)
                    return "no timeout"
                except TimeoutError:
                    pass
            return await soon
        if task == "child":
            await asyncio.gather(exits(), disperse.perform("square", 1))
        if task == "words":
            disperse.log.info("half of \ud83d")
            raise ValueError("half of \ud83d")
        if task == "input":       # an input that cannot be encoded is an error of this one action
            return [type(one).__name__ for one in await asyncio.gather(
                *(disperse.submit("square", n) for n in [1, 2, {3}]), return_exceptions=True
            )]
        if task == "lazy":        # modules that the standard library imports at their first use
            moment = datetime.datetime.strptime("2026-01-02", "%Y-%m-%d")
            names = "cp1252", "utf-8-sig", "utf-16", "latin-1", "punycode", "idna"
            return [moment.day, *("é".encode(name).decode(name) for name in names)]
        if task.isdigit():
            return await disperse.perform("square", int(task), attempts=1)

    def collect(self, task, result, error):
        disperse.output_line(f"{task}: {result if error is None else error.replace('\n', ' | ')}")

    def finish(self):
        raise ValueError("finish fails")
