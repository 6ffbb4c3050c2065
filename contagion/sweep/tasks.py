"""Scenarios in tasks, and tasks side by side: fixed cuts, so that any number of workers gives the same bits."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from contagion.errors import InputError
from contagion.kernels.chunks import COMPILED_FROM
from contagion.orphans import end_with_parent
from contagion.sweep.engine import Engine, Row
from contagion.sweep.scenarios import Plan

__all__ = ["Task", "cut", "solved"]

_POSITIONS = 200_000
"""Positions that a task goes through in each round, about: what is lost at most if a sweep is killed."""

_MOST = 32


class Task(NamedTuple):
    """Scenarios that are solved one after the other and written down together."""

    number: int
    scenarios: tuple[int, ...]


def cut(scenarios: Sequence[int], positions: int, line: int, first: int) -> list[Task]:
    """Return the tasks of some scenarios, numbered from ``first``.

    The cuts depend on the system and the plan alone. Scenarios that differ in one thing alone stay together, at most
    32 of them, for each may set out from the one before.

    Examples
    --------
    >>> [task.scenarios for task in cut(range(5), positions=100_000, line=1, first=0)]
    [(0, 1), (2, 3), (4,)]
    """
    size = line if 1 < line <= _MOST else _MOST if line > _MOST else max(1, min(_MOST, _POSITIONS // max(positions, 1)))
    pieces = [tuple(scenarios[start : start + size]) for start in range(0, len(scenarios), size)]
    return [Task(first + number, piece) for number, piece in enumerate(pieces)]


def solved(engine: Engine, plan: Plan, tasks: Sequence[Task], workers: int | None) -> Iterator[tuple[Task, list[Row]]]:
    """Return tasks and their rows as they are done.

    Accounts of a large system are shared by threads, for the compiled pass lets go of the interpreter's lock; small
    systems, where the interpreter does most of the work, go to processes of their own.
    """
    large = engine.positions >= COMPILED_FROM
    most = min(workers or (_threads() if large else 1), len(tasks))
    if most < 2:
        return ((task, _rows(engine, plan, task)) for task in tasks)
    if large:
        return _side_by_side(ThreadPoolExecutor(most), partial(_alone, engine, plan), tasks, most)
    if _begins():
        raise InputError(f"workers: this process has only begun and may start no others; {_CURE}")
    return _by_processes(engine, plan, tasks, most)


_CURE = """keep the work of the script under `if __name__ == "__main__":`, or leave out workers"""


def _begins() -> bool:
    """Return whether this is a spawned process that still imports the script, whose work then runs anew.

    It learns of its parent only after that.
    """
    return "--multiprocessing-fork" in sys.orig_argv and multiprocessing.parent_process() is None


def _by_processes(engine: Engine, plan: Plan, tasks: Sequence[Task], most: int) -> Iterator[tuple[Task, list[Row]]]:
    """Return tasks and rows as they are done by processes of their own."""
    # by a file, for the pipe to a process that dies as it begins is never read, and holds 64 kB
    with TemporaryDirectory(prefix="contagion-") as folder:
        handed = Path(folder) / "engine.pickle"
        with handed.open("wb") as file:
            pickle.dump((engine, plan), file, pickle.HIGHEST_PROTOCOL)
        # spawned, for a fork of a process that has threads may wait for locks that nobody holds
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(most, mp_context=spawn, initializer=_open, initargs=(handed,))
        try:
            yield from _side_by_side(pool, _in_process, tasks, most)
        except BrokenProcessPool as error:
            raise InputError(
                f"workers: a process that was to solve scenarios has ended. If it did as it began: {_CURE}. If memory "
                "ran out: give fewer workers"
            ) from error


def _side_by_side(
    pool: Executor, work: Callable[[Task], list[Row]], tasks: Sequence[Task], most: int
) -> Iterator[tuple[Task, list[Row]]]:
    """Return tasks and rows as they are done; few are handed over ahead, so that little is lost if the caller stops."""
    left, running = iter(tasks), dict[Future[list[Row]], Task]()
    try:
        while True:
            while len(running) < 2 * most and (task := next(left, None)) is not None:
                running[pool.submit(work, task)] = task
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _threads() -> int:
    from contagion.kernels import threads  # loads the compiler

    return threads.count()


def _alone(engine: Engine, plan: Plan, task: Task) -> list[Row]:
    """Return the rows of a task on this thread alone: others are at work on the next scenarios."""
    from contagion.kernels import threads

    with threads.alone():
        return _rows(engine, plan, task)


def _rows(engine: Engine, plan: Plan, task: Task) -> list[Row]:
    return engine.chain([plan.scenario(number) for number in task.scenarios])


_opened: list[tuple[Engine, Plan]] = []
"""What a worker process works on, handed over once."""


def _open(handed: Path) -> None:
    end_with_parent(handed.parent)
    with handed.open("rb") as file:
        _opened[:] = [pickle.load(file)]


def _in_process(task: Task) -> list[Row]:
    return _rows(*_opened[0], task)
