"""Runs a limited number of jobs at a time, first in, first out, and stops them on request."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Literal

from bedplate.local.runtime.child_process import ChildProcess

SLOTS = 2
GRACE_S = 30.0

Outcome = Literal["exited", "stopped", "timed_out", "interrupted"]


class PooledJob:
    """One job of the pool. `is_stopping` is true once a stop was requested."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = threading.Condition()
        self.is_stopping = False
        self._ended = False
        self._interrupted = False
        self._child: ChildProcess | None = None

    def request_stop(self) -> None:
        with self._changed:
            self.is_stopping = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Ends the current process as a spot interruption does; the job may continue with another `run`."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def on_exit(self, _: int) -> None:
        """Callback for the child process's exit."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def run(self, child: ChildProcess, max_runtime_s: float) -> tuple[Outcome, int]:
        """Waits for the child process's end, or ends it; returns the outcome and the exit code, -1 if unknown."""
        self._child = child
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.is_stopping or self._interrupted, max_runtime_s)
            outcome = self._outcome()
        code = child.wait(10) if outcome == "exited" else child.stop(GRACE_S)
        with self._changed:
            self._ended = self._interrupted = False
        return outcome, -1 if code is None else code

    def _outcome(self) -> Outcome:
        if self._ended:
            return "exited"
        if self.is_stopping:
            return "stopped"
        return "interrupted" if self._interrupted else "timed_out"

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()


class JobPool:
    """Runs `work(job)` of each submitted job in its own thread, at most `slots` at once."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self.is_closed = False
        self._waiting: deque[tuple[PooledJob, Callable[[PooledJob], None]]] = deque()
        self._running: dict[str, PooledJob] = {}

    def submit(self, name: str, work: Callable[[PooledJob], None]) -> bool:
        """Returns whether the job starts at once; otherwise it waits for a free slot."""
        with self._lock:
            must_wait = len(self._running) >= self._slots or bool(self._waiting)
            self._waiting.append((PooledJob(name), work))
        self._start_waiting()
        return not must_wait

    def stop(self, name: str) -> None:
        """Requests a job to stop; a waiting job runs at once, so that it can report that it was stopped."""
        with self._lock:
            running = self._running.get(name)
            entry = next((entry for entry in self._waiting if entry[0].name == name), None)
            if entry:
                self._waiting.remove(entry)
        if running:
            running.request_stop()
        elif entry:
            entry[0].request_stop()
            threading.Thread(target=entry[1], args=(entry[0],), name=f"job-{name}", daemon=True).start()

    def close(self) -> list[str]:
        """Kills running jobs and drops waiting ones; returns the names of both."""
        with self._lock:
            self.is_closed = True
            names = [*self._running, *(job.name for job, _ in self._waiting)]
            running = list(self._running.values())
            self._waiting.clear()
        for job in running:
            job.kill()
        return names

    def _start_waiting(self) -> None:
        with self._lock:
            while self._waiting and len(self._running) < self._slots and not self.is_closed:
                job, work = self._waiting.popleft()
                self._running[job.name] = job
                threading.Thread(target=self._run_job, args=(job, work), name=f"job-{job.name}", daemon=True).start()

    def _run_job(self, job: PooledJob, work: Callable[[PooledJob], None]) -> None:
        try:
            work(job)
        finally:
            with self._lock:
                self._running.pop(job.name, None)
            self._start_waiting()
