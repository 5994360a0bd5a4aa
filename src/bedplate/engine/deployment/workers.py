"""The worker threads that the SDK calls the monitor from; they know when the program has nothing more to say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import Any

_GRACE_S = 0.02
"""How long a registration waits for steps that are under way, so that one which fails at once stops what follows."""

_LOOK_S = 0.1
"""How often who waits for an event loop looks whether it was closed, and will never answer."""

_TICKS = 200
"""Turns of an event loop after which it is taken for idle if it cannot be asked."""


class Workers(ThreadPoolExecutor):
    """The SDK's worker threads; knows when every call that was handed in is finished or has been planned."""

    def __init__(self, size: int = 256) -> None:
        super().__init__(max_workers=size, thread_name_prefix="engine")
        self.loop: asyncio.AbstractEventLoop | None = None
        self._unplanned = 0
        self._at_work = 0
        self._wave = 0
        self._waiting = 0
        self._idlers = 0
        """Who waits on the loop's own thread for its being idle; each takes a turn of it at a time."""
        self._calm = threading.Condition()
        self._mine = threading.local()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        with self._calm:
            self._unplanned += 1

        def work() -> Any:
            self._mine.counted = True
            try:
                return fn(*args, **kwargs)
            finally:
                self.planned()

        return super().submit(work)

    def planned(self) -> None:
        """Said by a worker when nothing more is to be expected of its call but its being carried out."""
        if getattr(self._mine, "counted", False):
            self._mine.counted = False
            with self._calm:
                self._unplanned -= 1
                self._calm.notify_all()

    def begin(self) -> None:
        """A step that takes its time was decided upon."""
        with self._calm:
            self._at_work += 1

    def end(self) -> None:
        """It was taken, or failed."""
        with self._calm:
            self._at_work -= 1
            if self._at_work == 0:
                self._wave += 1
                self._unplanned += self._waiting
                self._waiting = 0
            self._calm.notify_all()

    def wave(self) -> int:
        """Counts how often all that was decided upon had been taken."""
        with self._calm:
            return self._wave

    def let_wave_end(self, over: Callable[[], bool]) -> None:
        """Said by a worker before it plans what depends on a resource of the wave that is still under way.

        Such a registration comes a moment after the step that it depends on, and by then the siblings of that step have
        ended too, if they are quick. So whether one of them fails decides what is done, as in Pulumi, and not which of
        two threads runs first. Who waits here, for a moment or until `over`, is not waited for by `settle`.
        """
        with self._calm:
            if self._at_work == 0 or not getattr(self._mine, "counted", False):
                return
            wave = self._wave
            self._waiting += 1
            self._unplanned -= 1
            self._calm.notify_all()
            self._calm.wait_for(lambda: self._wave != wave or over(), _GRACE_S)
            if self._wave == wave:
                self._waiting -= 1
                self._unplanned += 1

    def settle(self) -> None:
        """Wait until the program has nothing more to say without an answer to what it has said, or is over."""
        assert self.loop is not None
        while True:
            idle = self._idle()
            try:
                turned = asyncio.run_coroutine_threadsafe(idle, self.loop)
                while not turned.done() and not self.loop.is_closed():
                    wait([turned], timeout=_LOOK_S)
                turned.result(timeout=0)
            except (CancelledError, RuntimeError, TimeoutError):
                idle.close()
                return
            with self._calm:
                if self._unplanned == 0:
                    return
                self._calm.wait_for(lambda: self._unplanned == 0)

    async def _idle(self) -> None:
        """Ends when the loop has nothing to run but others that wait for the same."""
        ready = getattr(asyncio.get_running_loop(), "_ready", None)
        self._idlers += 1
        try:
            for _ in range(_TICKS):
                await asyncio.sleep(0)
                if ready is not None and len(ready) < self._idlers:
                    return
        finally:
            self._idlers -= 1
