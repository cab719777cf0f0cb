"""Coroutines made of threads: exactly one runs at a time, and it says itself when another may."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Coroutine:
    """`resume` runs it until it pauses or ends, in a thread of its own; what it raises is raised by `resume`."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._go, self._back = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._back.acquire()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def is_caller(self) -> bool:
        return threading.current_thread() is self._thread

    def resume(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            raise self._error

    def pause(self) -> None:
        """Let the caller of `resume` go on; called by the coroutine itself."""
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever resumes
            self._error = error
        finally:
            self._back.release()
