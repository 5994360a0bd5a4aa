"""The bench where jobs run: a few at a time, first come first served, each one stoppable."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from bedplate.local.runtime.child_process import ChildProcess

SLOTS = 2
GRACE_S = 30.0

Outcome = Literal["exited", "stopped", "late", "interrupted"]


class PooledJob:
    """One job on the bench: whether it was asked to stop, and the process that does its work."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._changed = threading.Condition()
        self._stop_asked = False
        self._ended = False
        self._interrupted = False
        self._child: ChildProcess | None = None

    @property
    def stop_asked(self) -> bool:
        return self._stop_asked

    def ask_stop(self) -> None:
        with self._changed:
            self._stop_asked = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """Take the machine away from what runs now; the job itself may go on with another `run`."""
        with self._changed:
            self._interrupted = True
            self._changed.notify_all()

    def on_exit(self, _: int) -> None:
        """To be given to the child."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def run(self, child: ChildProcess, max_runtime_s: float) -> tuple[Outcome, int]:
        """See the child through to its end: how it came to it, and the exit code (-1 when it could not be had)."""
        self._child = child
        deadline = time.monotonic() + max_runtime_s
        with self._changed:
            self._changed.wait_for(self._over, max(0.0, deadline - time.monotonic()))
            outcome = self._outcome()
        code = child.wait(10) if outcome == "exited" else child.stop(GRACE_S)
        with self._changed:
            self._ended = self._interrupted = False
        return outcome, -1 if code is None else code

    def _over(self) -> bool:
        return self._ended or self._stop_asked or self._interrupted

    def _outcome(self) -> Outcome:
        if self._ended:
            return "exited"
        if self._stop_asked:
            return "stopped"
        return "interrupted" if self._interrupted else "late"

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()


class JobPool:
    """Runs `work(ticket)` of each job in a thread of its own, at most `slots` at once."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._closed = False
        self._waiting: deque[tuple[PooledJob, Callable[[PooledJob], None]]] = deque()
        self._running: dict[str, PooledJob] = {}

    @property
    def closed(self) -> bool:
        return self._closed

    def submit(self, name: str, work: Callable[[PooledJob], None]) -> bool:
        """Whether it starts at once; otherwise it waits for a free place."""
        with self._lock:
            waits = len(self._running) >= self._slots or bool(self._waiting)
            self._waiting.append((PooledJob(name), work))
        self._fill()
        return not waits

    def stop(self, name: str) -> None:
        """Ask a job to stop; one that waits is let through at once, to say that it was stopped."""
        with self._lock:
            ticket = self._running.get(name)
            queued = next((entry for entry in self._waiting if entry[0].name == name), None)
            if queued:
                self._waiting.remove(queued)
        if ticket:
            ticket.ask_stop()
        elif queued:
            queued[0].ask_stop()
            threading.Thread(target=queued[1], args=(queued[0],), name=f"job-{name}", daemon=True).start()

    def close(self) -> list[str]:
        """Kill what runs and forget what waits; the names of both."""
        with self._lock:
            self._closed = True
            names = [*self._running, *(ticket.name for ticket, _ in self._waiting)]
            running = list(self._running.values())
            self._waiting.clear()
        for ticket in running:
            ticket.kill()
        return names

    def _fill(self) -> None:
        with self._lock:
            while self._waiting and len(self._running) < self._slots and not self._closed:
                ticket, work = self._waiting.popleft()
                self._running[ticket.name] = ticket
                threading.Thread(target=self._work, args=(ticket, work), name=f"job-{ticket.name}", daemon=True).start()

    def _work(self, ticket: PooledJob, work: Callable[[PooledJob], None]) -> None:
        try:
            work(ticket)
        finally:
            with self._lock:
                self._running.pop(ticket.name, None)
            self._fill()
