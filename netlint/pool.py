"""Several targets at a time: models in processes that share what is already imported, Python targets in threads that
each watch over a process (see `worker`)."""

from __future__ import annotations

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from threading import Event
from time import monotonic
from typing import Any, Generic, TypeVar

from .errors import UserError
from .frontends import bug

T = TypeVar("T")
R = TypeVar("R")

MOST_TOGETHER = 16
"""Pieces of work that a process is given at once."""
SECONDS_UNTOLD = 0.1
"""How long a process keeps results to itself, in order to send several at once."""


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
        """What it is at work on, and what it does next: places and items whose results have not come."""

    def give(self, pieces: Sequence[tuple[int, T]]) -> None:
        self.given.extend(pieces)
        with suppress(OSError):  # it has died: its end of the pipe tells, too
            self.pipe.send([item for _, item in pieces])

    def take(self) -> list[R | Exception] | Died:
        """The next results, in the order in which the work was given."""
        try:
            results: list[R | Exception] = self.pipe.recv()
            return results
        except (EOFError, OSError):
            self._process.join()
            return Died(self._process.exitcode or 0)

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.pipe.close()


class _Work(Generic[T]):
    """What is still to be given to a process."""

    def __init__(self, items: Sequence[T], count: int) -> None:
        self._waiting = deque(enumerate(items))
        self._suspects: deque[tuple[int, T]] = deque()
        """One of these ended a process; which one shows when each is alone."""
        self._count = count

    def next(self, busy: int) -> list[tuple[int, T]]:
        """For a process that has `busy` pieces already; it gets more before it is done, so that it need not wait.

        Many pieces go together: what their results have in common then travels once. Towards the end they get few, so
        that all processes end at about the same time."""
        if self._suspects:
            return [] if busy else [self._suspects.popleft()]
        size = min(MOST_TOGETHER, 1 + len(self._waiting) // (8 * self._count))
        wanted = 0 if busy and (busy > size or len(self._waiting) <= 2 * self._count) else size
        return [self._waiting.popleft() for _ in range(min(wanted, len(self._waiting)))]

    def suspect(self, pieces: Sequence[tuple[int, T]]) -> None:
        self._suspects.extend(pieces)


def in_processes(do: Callable[[T], R], items: Sequence[T], count: int) -> Iterator[tuple[int, R | Exception]]:
    """What `do` makes of each item, with the item's place, as it is done. What it raises, or `Died`, is a result, too.

    A process that dies is replaced. All end when the iterator is closed.
    """
    work = _Work(items, count)
    busy: dict[Any, _Process[T, R]] = {}

    def occupy(process: _Process[T, R]) -> None:
        if pieces := work.next(len(process.given)):
            process.give(pieces)
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
                results, given = process.take(), process.given
                if isinstance(results, Died):
                    process.end()
                    results = [results] if len(given) == 1 else []
                    work.suspect(list(given)[len(results) :])
                    process = _Process(do, list(busy))
                done = [(given.popleft()[0], result) for result in results]
                occupy(process)
                yield from done
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
            for results in _sometimes(_outcome(do, item) for item in pipe.recv()):
                pipe.send(results)


def _sometimes(results: Iterable[R]) -> Iterator[list[R]]:
    """The results so far, as often as somebody who waits for them should see."""
    done, told = [], monotonic()
    for result in results:
        done.append(result)
        if monotonic() - told > SECONDS_UNTOLD:
            yield done
            done, told = [], monotonic()
    if done:
        yield done


def _outcome(do: Callable[[T], R], item: T) -> R | Exception:
    try:
        return do(item)
    except UserError as error:
        return error
    except Exception as error:
        return bug(error)


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
