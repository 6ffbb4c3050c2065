"""Tasks over the workers of a Dask client: what is prepared goes to each once, rows come back as they are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from contagion import cluster
from contagion.sweep.engine import Engine, Row
from contagion.sweep.scenarios import Plan
from contagion.sweep.tasks import Task

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["rows_of", "solved"]

_AHEAD = 4
"""Tasks a thread that are handed over ahead: enough that none waits, few enough that little is lost if it stops."""


def solved(engine: Engine, plan: Plan, tasks: Sequence[Task], client: Client) -> Iterator[tuple[Task, list[Row]]]:
    """Return tasks and their rows as they are done.

    Dask itself gives the tasks of a worker that has died to others; one that comes in its place says that it lacks
    what is prepared, and is sent it.
    """
    cluster.ready(client)
    waiting = deque(tasks)
    running: dict[Future[Any], Task] = {}
    prepared = cluster.Kept.by(client, (engine, plan))
    try:
        while waiting or running:
            while waiting and len(running) < _AHEAD * max(1, cluster.threads(client)):
                task = waiting.popleft()
                running[client.submit(rows_of, prepared.word, task.scenarios, pure=False)] = task
            lacking = set()
            for future in cluster.finished(client, list(running)):
                task, found = running.pop(future), cluster.outcome(future)
                if isinstance(found, list):
                    yield task, found
                    continue
                waiting.appendleft(task)
                if found is not None:
                    lacking.add(found)
            if lacking:
                prepared.send(lacking)
    finally:
        client.cancel(list(running))
        prepared.drop()


def rows_of(word: str, scenarios: tuple[int, ...]) -> list[Row] | str:
    """Return the rows of a task on this thread of a worker alone, or the worker's address if it lacks what it needs."""
    shared = cluster.kept(word)
    if shared is None:
        from distributed import get_worker

        return str(get_worker().address)
    engine, plan = cast("tuple[Engine, Plan]", shared)
    chosen = [plan.scenario(number) for number in scenarios]
    if engine.tally.prepared is None:
        return engine.chain(chosen)
    from contagion.kernels import threads  # loads the compiler, which small systems do not need

    with threads.alone():  # others are at work on the next scenarios
        return engine.chain(chosen)
