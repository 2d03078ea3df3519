"""Several targets at a time: models in processes that share what is already imported, Python targets in threads that
each watch over a process (see `worker`)."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from threading import Event
from typing import Any, Generic, TypeVar

from .errors import UserError
from .worker import WorkerBug

T = TypeVar("T")
R = TypeVar("R")


class Died(Exception):
    """A process ended before its work was done; the code is what `Process.exitcode` says, negative for signals."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Process(Generic[T, R]):
    """A process that does one piece of work after the other."""

    def __init__(self, do: Callable[[T], R], others: Sequence[Any]) -> None:
        # A fork starts at once and shares the memory of what is imported. Elsewhere than on Linux it is not safe.
        forks = sys.platform == "linux"
        context: Any = get_context("fork" if forks else "spawn")
        self.pipe, there = context.Pipe()
        inherited = [self.pipe, *others] if forks else []
        self._process = context.Process(target=_serve, args=(do, there, inherited), daemon=True)
        with _interrupts_held_back():
            self._process.start()
        there.close()
        self.given: deque[tuple[int, T]] = deque()
        """What it is at work on, and what it does next."""

    def give(self, place: int, item: T) -> None:
        self.given.append((place, item))
        with suppress(OSError):  # it has died: its end of the pipe tells, too
            self.pipe.send(item)

    def take(self) -> R | Exception:
        try:
            result: R | Exception = self.pipe.recv()
            return result
        except (EOFError, OSError):
            self._process.join()
            return Died(self._process.exitcode or 0)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


def in_processes(do: Callable[[T], R], items: Sequence[T], count: int) -> Iterator[tuple[int, R | Exception]]:
    """What `do` makes of each item, with the item's place, as it is done. What it raises, or `Died`, is a result, too.

    A process that dies is replaced. All end when the iterator is closed.
    """
    waiting = deque(enumerate(items))
    busy: dict[Any, _Process[T, R]] = {}

    def occupy(process: _Process[T, R]) -> None:
        """One piece to work on, and while there are many one more, so that it need not wait for this process."""
        while waiting and len(process.given) < (2 if len(waiting) > 2 * count else 1):
            process.give(*waiting.popleft())
        if process.given:
            busy[process.pipe] = process
        else:
            process.end()

    try:
        for _ in range(min(count, len(items))):
            occupy(_Process(do, list(busy)))
        while busy:
            for pipe in connection.wait(list(busy)):
                process = busy.pop(pipe)
                result = process.take()
                place, _ = process.given.popleft()
                if isinstance(result, Died):
                    process.end()
                    waiting.extendleft(reversed(process.given))
                    process = _Process(do, list(busy))
                occupy(process)
                yield place, result
    finally:
        for process in busy.values():
            process.end()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """A process that is started here sees no Ctrl-C before it has chosen not to."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(do: Callable[[T], R], pipe: Any, inherited: Sequence[Any]) -> None:
    """Ends with the other side of the pipe, which must be held open there alone. Ctrl-C is the parent's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in inherited:
        other.close()
    with suppress(EOFError, OSError):
        while True:
            item: T = pipe.recv()
            pipe.send(_outcome(do, item))


def _outcome(do: Callable[[T], R], item: T) -> R | Exception:
    try:
        return do(item)
    except UserError as error:
        return error
    except Exception as error:
        from traceback import format_exc

        return WorkerBug(format_exc() if os.environ.get("NETLINT_TRACEBACK") else f"{type(error).__name__}: {error}")


def in_threads(do: Callable[[T, Event], R], items: Sequence[T], count: int) -> Iterator[tuple[int, R]]:
    """What `do` makes of each item, with the item's place, as it is done. The event tells that nobody waits."""
    from concurrent.futures import ThreadPoolExecutor, as_completed

    stop = Event()
    with ThreadPoolExecutor(count) as pool:
        places = {pool.submit(do, item, stop): place for place, item in enumerate(items)}
        try:
            for future in as_completed(places):
                yield places[future], future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
