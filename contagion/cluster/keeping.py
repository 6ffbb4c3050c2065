"""What workers keep between tasks: what they were sent, to each once, and what they have made of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Kept", "address", "kept", "room", "turn"]

_sent: dict[str, object] = {}
"""What this worker was sent, by a word that begins with the client's name."""

_made: dict[str, dict[int, Any]] = {}
"""What it has made of it, numbered."""

_turns: dict[str, Lock] = {}


class Kept(NamedTuple):
    """A thing that workers keep for a caller."""

    client: Client
    word: str
    thing: object

    @classmethod
    def by(cls, client: Client, thing: object) -> Kept:
        """Return a thing once every worker keeps it.

        Dask's own scattered data would not do: it trims what is there more than once, and loses what was there once.
        """
        made = cls(client, f"{client.id}/{uuid4().hex}", thing)
        # callers that were killed never said that they were done
        alive = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.clients))
        client.run(_keep_only, alive, on_error="ignore")
        made.send(None)
        return made

    def send(self, workers: Iterable[str] | None) -> None:
        """Send the thing to some workers, or to all; those that have died meanwhile do not count."""
        chosen = None if workers is None else sorted(workers)
        answers = self.client.run(_keep, self.word, self.thing, workers=chosen, on_error="return")
        for answer in answers.values():
            if isinstance(answer, Exception) and not isinstance(answer, OSError):
                raise answer

    def drop(self) -> None:
        """Let all workers forget it and what they have made of it, some time soon."""
        client = self.client
        if client.status == "running" and client.loop is not None:
            # not waited for: whoever lets go of a thing may be the garbage collector, on any thread
            client.loop.add_callback(client.run, _drop, self.word, on_error="ignore", asynchronous=True)


def kept(word: str) -> object | None:
    """Return what this worker was sent by a word; None if it is new and has not been sent it."""
    return _sent.get(word)


def room(word: str) -> dict[int, Any]:
    """Return what this worker has made of what it was sent, to be added to; gone once the word is dropped."""
    return _made.setdefault(word, {})


def turn(word: str) -> Lock:
    """Return what only one thread of this worker may hold at a time."""
    return _turns.setdefault(word, Lock())


def address() -> str:
    """Return the address of the worker that runs this task."""
    from distributed import get_worker

    return str(get_worker().address)


def _keep(word: str, thing: object) -> None:
    _sent[word] = thing


def _keep_only(clients: Collection[str]) -> None:
    for word in [*_sent, *_made]:
        if word.partition("/")[0] not in clients:
            _drop(word)


def _drop(word: str) -> None:
    _sent.pop(word, None)
    _made.pop(word, None)
    _turns.pop(word, None)
