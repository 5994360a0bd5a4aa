"""Provides the worker threads in which the SDK calls the resource monitor, and detects when the program is waiting.

The registrations that a program makes without waiting for the result of another one are a wave. All registrations of a
wave are planned before the first of them is executed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any

_GRACE_S = 0.02
"""How long a registration waits for running steps, so that one that fails immediately stops the registration."""

_POLL_S = 0.1
"""How often a thread that waits for the event loop checks whether the loop was closed."""

_MAX_LOOP_TURNS = 200
"""After so many turns an event loop without a `_ready` queue is assumed to be idle."""


class Workers(ThreadPoolExecutor):
    """The SDK's worker threads; counts the calls that are not yet planned or finished, and the running steps."""

    def __init__(self, size: int = 256) -> None:
        super().__init__(max_workers=size, thread_name_prefix="engine")
        self.loop: asyncio.AbstractEventLoop | None = None
        self._unplanned_calls = 0
        self._running_steps = 0
        self._wave = 0
        self._waiting_calls = 0
        self._idle_waiters = 0
        """Coroutines that wait for an idle loop; each takes one turn of the loop at a time."""
        self._condition = threading.Condition()
        self._thread_state = threading.local()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Counts a call as unplanned until it calls `mark_planned` or finishes."""
        with self._condition:
            self._unplanned_calls += 1

        def work() -> Any:
            self._thread_state.counted = True
            try:
                return fn(*args, **kwargs)
            finally:
                self.mark_planned()

        return super().submit(work)

    def mark_planned(self) -> None:
        """Counts the calling worker's registration as planned; only the execution of its steps is left."""
        if getattr(self._thread_state, "counted", False):
            self._thread_state.counted = False
            with self._condition:
                self._unplanned_calls -= 1
                self._condition.notify_all()

    def begin_steps(self) -> None:
        """Counts the planned steps of a registration, which call a provider, as running."""
        with self._condition:
            self._running_steps += 1

    def end_steps(self) -> None:
        """Counts the steps of a registration as finished or failed; after the last one a new wave starts."""
        with self._condition:
            self._running_steps -= 1
            if self._running_steps == 0:
                self._wave += 1
                self._unplanned_calls += self._waiting_calls
                self._waiting_calls = 0
            self._condition.notify_all()

    def current_wave(self) -> int:
        """Returns the number of waves that have finished."""
        with self._condition:
            return self._wave

    def wait_for_wave(self, is_over: Callable[[], bool]) -> None:
        """Waits up to `_GRACE_S` seconds for the other steps of the running wave, or until `is_over`.

        A worker calls it before it plans a registration that depends on a resource of that wave. Quick steps have
        finished by then, so that their failure stops the registration, as in Pulumi, whichever thread runs first.
        `wait_until_idle` does not wait for a worker that waits here.
        """
        with self._condition:
            if self._running_steps == 0 or not getattr(self._thread_state, "counted", False):
                return
            wave = self._wave
            self._waiting_calls += 1
            self._unplanned_calls -= 1
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._wave != wave or is_over(), _GRACE_S)
            if self._wave == wave:
                self._waiting_calls -= 1
                self._unplanned_calls += 1

    def wait_until_idle(self) -> None:
        """Blocks until the program can only continue with the results of its registrations, or has ended."""
        assert self.loop is not None
        while True:
            idle_check = self._wait_for_idle_loop()
            try:
                future = asyncio.run_coroutine_threadsafe(idle_check, self.loop)
                while not future.done() and not self.loop.is_closed():
                    wait([future], timeout=_POLL_S)
                future.result(timeout=0)
            except (CancelledError, RuntimeError, TimeoutError):
                idle_check.close()
                return
            with self._condition:
                if self._unplanned_calls == 0:
                    return
                self._condition.wait_for(lambda: self._unplanned_calls == 0)

    async def _wait_for_idle_loop(self) -> None:
        """Returns when the loop has nothing to run except other calls of this coroutine."""
        ready = getattr(asyncio.get_running_loop(), "_ready", None)
        self._idle_waiters += 1
        try:
            for _ in range(_MAX_LOOP_TURNS):
                await asyncio.sleep(0)
                if ready is not None and len(ready) < self._idle_waiters:
                    return
        finally:
            self._idle_waiters -= 1
