"""What a client must be, and whether its workers are fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from contagion.errors import InputError, WorkersLost

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["check_engine", "connected", "nobody", "ready"]

PATIENCE = 60.0
"""Seconds without a single worker after which work is given up: a node of a cluster takes that long to come back."""

_SAME = ("contagion", "numpy", "scipy", "numba", "pandas")
"""Packages of which another version may give other bits, or cannot read what it is sent."""


def check_engine(engine: object, others: str = "None to work on this machine") -> list[str]:
    """Return what is wrong with the engine of a call; nothing is wrong with None, which is this process.

    ``others`` are what may be given besides a client.

    Examples
    --------
    >>> check_engine("tcp://10.0.0.1:8786")
    ["engine is 'tcp://10.0.0.1:8786'; give a distributed.Client, or None to work on this machine"]
    """
    if engine is None:
        return []
    if find_spec("distributed") is None:
        return ['engine: other machines need an extra; install it: pip install "contagion[distributed]"']
    from distributed import Client

    if not isinstance(engine, Client):
        return [f"engine is {engine!r}; give a distributed.Client, or {others}"]
    if engine.asynchronous:
        return ["engine is an asynchronous client; give one made with asynchronous=False"]
    if engine.status != "running":
        return [f"engine is a client that is {engine.status}; give one that is connected"]
    return []


def ready(client: Client) -> None:
    """Wait for a worker, and raise unless all that there are run the same code.

    Raises
    ------
    WorkersLost
        If none comes.
    InputError
        If a worker lacks a package or has another version of it.
    """
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError as error:
        raise nobody() from error
    problems = []
    for package in _SAME:
        here = version(package)
        # a function of the standard library, which workers have even where they lack all else
        there = client.run(version, package, on_error="return")
        # one that cannot be reached is about to go, whatever it runs
        reached = {worker: found for worker, found in sorted(there.items()) if not isinstance(found, OSError)}
        other = {worker: found for worker, found in reached.items() if found != here}
        if other:
            worker, found = next(iter(other.items()))
            has = "does not have it" if isinstance(found, PackageNotFoundError) else f"has {found}"
            more = f" and {len(other) - 1} more" if len(other) > 1 else ""
            problems.append(
                f"engine: {package} is {here} here, but worker {worker}{more} {has}; install the same versions on all"
            )
    if problems:
        raise InputError(problems, "engine")


@contextmanager
def connected(client: Client) -> Iterator[None]:
    """Say so if what fails in here fails because the scheduler is gone.

    Raises
    ------
    WorkersLost
        If it is.
    """
    try:
        yield
    except OSError as error:
        if client.status == "running":
            raise  # a file that a task could not read, say
        raise WorkersLost(f"the scheduler is gone: {error}; start one and call again") from error


def nobody() -> WorkersLost:
    """Return what is to be raised where there is no worker."""
    return WorkersLost(
        f"no worker for {PATIENCE:g} seconds; start some (a LocalCluster, or `dask worker ADDRESS` on each machine) "
        "and call again: what has been written to a file is kept"
    )
