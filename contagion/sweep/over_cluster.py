"""Tasks over the workers of a Dask client: what is prepared goes to each once, rows come back as they are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

from contagion import cluster
from contagion.sweep.engine import Engine, Row
from contagion.sweep.scenarios import Plan
from contagion.sweep.tasks import Task

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["rows_of", "solved"]


def solved(engine: Engine, plan: Plan, tasks: Sequence[Task], client: Client) -> Iterator[tuple[Task, list[Row]]]:
    """Return tasks and their rows as they are done.

    Dask itself gives the tasks of a worker that has died to others; one that comes in its place says that it lacks
    what is prepared, and is sent it.
    """
    cluster.ready(client)
    prepared, waiting = cluster.Kept.by(client, (engine, plan)), deque(tasks)

    def begin(task: Task) -> Future[Any]:
        return client.submit(rows_of, prepared.word, task.scenarios, pure=False)

    back = cluster.streamed(client, begin, waiting)
    try:
        with cluster.connected(client), closing(back):  # type: ignore[type-var]  # generators close
            for some in back:
                lacking = {found for _, found in some if isinstance(found, str)}
                if lacking:
                    prepared.send(lacking)
                waiting.extendleft(task for task, found in some if isinstance(found, str))
                yield from ((task, found) for task, found in some if not isinstance(found, str))
    finally:
        prepared.drop()


def rows_of(word: str, scenarios: tuple[int, ...]) -> list[Row] | str:
    """Return the rows of a task on this thread of a worker alone, or the worker's address if it lacks what it needs."""
    shared = cluster.kept(word)
    if shared is None:
        return cluster.address()
    engine, plan = cast("tuple[Engine, Plan]", shared)
    chosen = [plan.scenario(number) for number in scenarios]
    if engine.tally.prepared is None:
        return engine.chain(chosen)
    from contagion.kernels import threads  # loads the compiler, which small systems do not need

    with threads.alone():  # others are at work on the next scenarios
        return engine.chain(chosen)
