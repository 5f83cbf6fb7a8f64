"""Asks in every way that an async operation has."""

import asyncio
import logging
import sys
import time
import disperse


@disperse.operation
class Probe:
    def tasks(self):
        yield from ["abandon", "many", "sleep", "waitfor", "group", "cancel", "forgot", "args", "raw", "kinds", "exit"]

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

    def collect(self, task, result, error):
        disperse.output_line(f"{task}: {result if error is None else error.splitlines()[0]}")

    def finish(self):
        raise ValueError("finish fails")
