"""Waiting for workers: what has come back, what has to be done again, and when it is time to give up."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from contagion.cluster import clients
from contagion.errors import WorkersLost

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["answers", "at_once", "streamed"]

T = TypeVar("T")

_LOOK = 1.0
"""Seconds after which it is asked whether anybody is still at work."""

_AHEAD = 4
"""Tasks a thread that are handed over ahead: enough that none waits, few enough that little is lost if it stops."""


def streamed(client: Client, begin: Callable[[T], Future[Any]], waiting: deque[T]) -> Iterator[list[tuple[T, Any]]]:
    """Return what has been begun, with what has come back, a few at a time as they are done.

    The caller may add to what is ``waiting``, as for what has to be done again. Lost ones are begun anew.

    Raises
    ------
    WorkersLost
        If there is no worker left and none comes, or a task has taken several down with it.
    """
    running: dict[Future[Any], tuple[T, Collection[str]]] = {}
    try:
        while waiting or running:
            workers = client.nthreads()
            while waiting and len(running) < _AHEAD * max(1, sum(workers.values())):
                item = waiting.popleft()
                running[begin(item)] = item, set(workers)
            done = _finished(client, {future: begun for future, (_, begun) in running.items()}, "FIRST_COMPLETED")
            back = [(running.pop(future)[0], found) for future, found in zip(done, _results(client, done), strict=True)]
            waiting.extendleft(item for item, found in back if found is None)
            yield [(item, found) for item, found in back if found is not None]
    finally:
        _cancel(client, list(running))


def answers(client: Client, futures: Sequence[Future[Any]], workers: Collection[str]) -> list[Any]:
    """Return what all futures hold, in their order; None for those that are lost.

    ``workers`` were there as they were begun.

    Raises
    ------
    WorkersLost
        If there is no worker left and none comes, or a task has taken several down with it.
    """
    try:
        _finished(client, dict.fromkeys(futures, workers), "ALL_COMPLETED")
        return _results(client, futures)
    except BaseException:
        _cancel(client, futures)
        raise


def at_once(client: Client, function: Callable[..., Any], given: Mapping[str, tuple[Any, ...]]) -> dict[str, Any]:
    """Return what a function returns on each worker for its own arguments; nothing for workers that are gone.

    Not tasks: those go through the scheduler's books, which takes several times as long as a call.
    """

    async def called() -> dict[str, Any]:
        runs = {
            asyncio.ensure_future(
                client.run(function, *arguments, workers=[worker], on_error="return", asynchronous=True)
            ): worker
            for worker, arguments in given.items()
        }
        pending = set(runs)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=_LOOK)
            alive = await client.nthreads(asynchronous=True) if pending else {}
            for run in [each for each in pending if runs[each] not in alive]:
                run.cancel()  # Dask would try for half a minute to reach who is gone
                pending.discard(run)
        return {worker: run.result()[worker] for run, worker in runs.items() if run.done() and not run.cancelled()}

    found = client.sync(called)
    for answer in found.values():
        if isinstance(answer, Exception) and not isinstance(answer, OSError):
            raise answer
    return {worker: answer for worker, answer in found.items() if not isinstance(answer, OSError)}


def _cancel(client: Client, futures: Sequence[Future[Any]]) -> None:
    if client.status == "running":
        client.cancel(list(futures))


def _finished(client: Client, futures: Mapping[Future[Any], Collection[str]], when: str) -> list[Future[Any]]:
    """Return those futures that have come to an end, lost ones included, once there is one or all have.

    Futures come with the workers that were there as they were begun. If none of these is left they are lost: Dask
    holds work that was meant for a certain worker back for good where nobody was left as that worker died.
    """
    from distributed import CancelledError, wait

    alone_since = None
    while True:
        try:
            wait(list(futures), timeout=_LOOK, return_when=when)
        except TimeoutError:
            alive = client.nthreads()
            if alive:
                alone_since = None
                stuck = [future for future, begun in futures.items() if alive.keys().isdisjoint(begun)]
                client.cancel([future for future in stuck if future.status == "pending"])
            else:
                alone_since = alone_since or time.monotonic()
                if time.monotonic() - alone_since > clients.PATIENCE:
                    raise clients.nobody() from None
        except CancelledError:
            pass  # seen by their status
        done = [future for future in futures if future.status != "pending"]
        if len(done) == len(futures) or (done and when == "FIRST_COMPLETED"):
            return done


def _results(client: Client, futures: Sequence[Future[Any]]) -> list[Any]:
    from distributed import CancelledError, KilledWorker

    there = [future for future in futures if future.status != "cancelled"]
    try:
        found = dict(zip(there, client.gather(there), strict=True))
    except CancelledError:
        return [None] * len(futures)  # the rest went while they were fetched
    except KilledWorker as error:
        raise WorkersLost(
            f"{error.allowed_failures + 1} workers died, one after the other, at the same work; most often they have "
            "run out of memory: give them more, or use more workers"
        ) from error
    return [found.get(future) for future in futures]
