"""What workers keep between tasks: sent to each once, by a word, and again to those that have lost it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Kept", "kept"]

_MOST = 4
"""Things that a worker keeps: a caller that was killed never says that it is done with its own."""

_here: dict[str, object] = {}
"""What this worker keeps, oldest first."""


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
        made = cls(client, uuid4().hex, thing)
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
        """Let all workers forget it."""
        if self.client.status == "running":
            self.client.run(_drop, self.word, on_error="ignore")


def kept(word: str) -> object | None:
    """Return what this worker keeps by a word; None if it is new and has not been sent it."""
    return _here.get(word)


def _keep(word: str, thing: object) -> None:
    _here[word] = thing
    while len(_here) > _MOST:
        _here.pop(next(iter(_here)))


def _drop(word: str) -> None:
    _here.pop(word, None)
