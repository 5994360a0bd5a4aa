"""The worker threads that the SDK calls the monitor from; they know when the program has nothing more to say."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

_TICKS = 200
"""Turns of an event loop after which it is taken for idle if it cannot be asked."""


class Workers(ThreadPoolExecutor):
    """The SDK's worker threads; knows when every call that was handed in is finished or has been planned."""

    def __init__(self, size: int = 256) -> None:
        super().__init__(max_workers=size, thread_name_prefix="engine")
        self.loop: asyncio.AbstractEventLoop | None = None
        self._unplanned = 0
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

    def settle(self) -> None:
        """Wait until the program has nothing more to say without an answer to what it has said, or is over."""
        assert self.loop is not None
        while True:
            idle = _idle()
            try:
                asyncio.run_coroutine_threadsafe(idle, self.loop).result()
            except (CancelledError, RuntimeError):
                idle.close()
                return
            with self._calm:
                if self._unplanned == 0:
                    return
                self._calm.wait_for(lambda: self._unplanned == 0)


async def _idle() -> None:
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    for _ in range(_TICKS):
        await asyncio.sleep(0)
        if ready is not None and not ready:
            return
