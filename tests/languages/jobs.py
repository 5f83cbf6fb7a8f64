"""Runs commands at the same time, as many as the machine has cores and memory for."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

# The memory of one job, in bytes. The largest, which compiles yosys, was seen to take 2 GiB.
MEMORY = 3 << 30

# Seconds that jobs have to end by themselves when this process is interrupted.
GRACE = 10


def slots():
    """The number of jobs at a time, at least one."""
    with open("/proc/meminfo") as lines:
        [available] = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return max(1, min(len(os.sched_getaffinity(0)), available // MEMORY))


class Job:
    """A command that runs in a process group of its own."""

    def __init__(self, name, command):
        self.name, self.began = name, time.monotonic()
        self.output = tempfile.TemporaryFile()
        # Ctrl-C at the terminal reaches this process alone, which then ends its jobs.
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.exited = os.pidfd_open(self.process.pid)

    def fileno(self):
        """The descriptor that is readable once the process has exited."""
        return self.exited

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGTERM)

    def end(self):
        """Kills the process and what is left of its group, and takes its exit code."""
        # It was not waited for before, so its ID is not that of another group.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.code = self.process.wait()
        self.seconds = time.monotonic() - self.began
        os.close(self.exited)

    def show(self):
        self.output.seek(0)
        shutil.copyfileobj(self.output, sys.stdout.buffer)
        how = f"ended with {self.code} after" if self.code else "ok in"
        print(f"  {self.name}: {how} {self.seconds:.0f} s", flush=True)


def interrupts():
    """A socket that receives the number of each signal that ends this process otherwise."""
    numbers, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.detach())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    return numbers


def run(commands, after):
    """Runs commands by name, each after those that `after` names, and returns an exit code. The output of each is printed
    as a whole, in the order of the commands. After a failure none is started, and the output of what failed comes last."""
    signals, most = interrupts(), slots()
    waiting, running, ended, hidden = list(commands), [], {}, list(commands)
    print(f"{len(waiting)} parts, {most} at a time", flush=True)
    try:
        while running or waiting:
            ahead = {*waiting, *(job.name for job in running)}
            ready = [name for name in waiting if not ahead & after.get(name, set())]
            for name in ready[:most - len(running)]:
                waiting.remove(name)
                running.append(Job(name, commands[name]))
            readable, _, _ = select.select([signals, *running], [], [])
            if signals in readable:
                sys.exit(128 + signals.recv(1)[0])
            for job in readable:
                job.end()
                running.remove(job)
                ended[job.name] = job
                if job.code:
                    waiting = []
            while hidden and hidden[0] in ended and not ended[hidden[0]].code:
                ended[hidden.pop(0)].show()
    finally:
        for job in running:
            job.interrupt()
        deadline = time.monotonic() + GRACE
        for job in running:
            select.select([job], [], [], max(0, deadline - time.monotonic()))
            job.end()
            ended[job.name] = job
        never = [name for name in hidden if name not in ended]
        if never:
            print(f"not started: {', '.join(never)}", flush=True)
        for job in sorted((ended[name] for name in hidden if name in ended), key=lambda job: job.code != 0):
            job.show()
    return int(any(job.code for job in ended.values()))
