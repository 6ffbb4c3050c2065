"""The workers of a Dask client as those who hold the parts: each reads its own, and keeps them in memory."""

from __future__ import annotations

import operator
import weakref
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from contagion import cluster
from contagion.errors import InputError, refuse
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.reaction import Funds
from contagion.parts.book import Summary
from contagion.parts.holding import Call, Packed, Raised, Shared, Told, names_of, pack, visit
from contagion.parts.messages import Acted, Broadcast, Ending, Lost, Plan
from contagion.parts.seal import refuse_changed, refuse_closed
from contagion.parts.unique import AT_ONCE, sentence, twins

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["OverCluster"]

_REPLACED = 15.0
"""Seconds that the parts of a worker that has died wait for another in its place, before they go to those left."""


class OverCluster:
    """The engine of many machines: workers read parts from the folder, which all of them must see.

    Parameters
    ----------
    client : distributed.Client
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def open(self, plan: Plan, progress: bool = False) -> ClusterParts:
        """Return the parts, read, checked and packed; see `contagion.parts.engine.Engine`."""
        cluster.ready(self._client)
        plan = plan._replace(folder=plan.folder.absolute())
        parts = ClusterParts(self._client, plan)
        try:
            parts.pack(progress)
        except BaseException:
            parts.close()
            raise
        return parts


class ClusterParts:
    """All parts in the memory of workers; see `contagion.parts.engine.Parts`.

    A round is one call a worker. Parts of a worker that has died are given new places, made from their files, and told
    all rounds so far, which are kept here.
    """

    def __init__(self, client: Client, plan: Plan) -> None:
        self._client, self._plan = client, plan
        self._shared = Shared(plan)
        self._kept = cluster.Kept.by(client, self._shared)
        self._told: list[Told] = []
        self._home = [""] * len(plan.parts)  # worker that holds each part
        self._workers = len(client.nthreads())
        self.summaries: Sequence[Summary] = ()
        self.close = weakref.finalize(self, self._kept.drop)
        self.close.atexit = False  # the connection may be gone by then; what is left goes as the next caller comes

    def pack(self, progress: bool) -> None:
        """Let workers read, check and pack the parts, as many each."""
        client, word, count = self._client, self._kept.word, len(self._plan.parts)
        workers, found = sorted(client.nthreads()), dict[int, Summary]()

        def begin(number: int) -> Future[Any]:
            worker = workers[number * len(workers) // count]
            return client.submit(pack, word, number, workers=[worker], allow_other_workers=True, pure=False)

        # neighbours stand together at home, but are begun in turn, so that all workers are busy
        waiting = deque(sorted(range(count), key=lambda number: (number * len(workers) % count, number)))
        with tqdm(total=count, desc="parts", unit="", disable=not progress) as bar:
            for some in cluster.streamed(client, begin, waiting):
                lacking = {made.worker for _, made in some if made.summary is None}
                if lacking:
                    self._kept.send(lacking)
                waiting.extendleft(number for number, made in some if made.summary is None)
                for number, made in some:
                    self._take(number, made, found)
                    bar.update(made.summary is not None)
        self.summaries = [found[number] for number in range(count)]
        problems = [problem for summary in self.summaries for problem in summary.problems] or self._repeated_names()
        if problems:
            raise InputError(problems, str(self._plan.folder))

    def place(self, columns: Sequence[Ints]) -> None:
        """Take down the numbers of term columns, and hand them to all workers."""
        plan = self._plan._replace(seals=tuple(each.seal for each in self.summaries))
        self._shared = self._shared._replace(plan=plan, columns=columns)
        self._share(None)

    def ask(self, at: Broadcast) -> list[tuple[Floats, Floats]]:
        """Return what linked accounts of each part ask for and are worth."""
        asked = [number for number, each in enumerate(self.summaries) if each.linked]
        nothing = np.zeros(0)
        found = dict(zip(asked, self._visit(Call("ask", len(self._told), at), None, asked), strict=True))
        return [found.get(number, (nothing, nothing)) for number in range(len(self._home))]

    def react(self, number: int, at: Broadcast, funds: Sequence[Funds] | None) -> list[Acted]:
        """Return what the accounts of each part do."""
        made = self._visit(Call("react", number - 1, at), funds)
        self._told.append(Told(at, funds))
        return made

    def lost(self, at: Broadcast, worth: Floats, funds: Sequence[Funds] | None) -> list[Lost]:
        """Return what the accounts of each part have lost."""
        return self._visit(Call("lost", len(self._told), at, worth), funds)

    def write_accounts(self, folder: Path, ending: Ending, funds: Sequence[Funds] | None) -> None:
        """Let workers write the tables of accounts of their parts."""
        refuse_closed(self.close.alive)
        refuse(cluster.check_engine(self._client), "write_accounts")  # its workers hold what is to be written
        call = Call("changed", len(self._told), ending=ending, folder=folder.absolute())
        refuse_changed(self._shared.plan, [file for files in self._visit(call, None) for file in files])
        self._visit(replace(call, act="write"), funds)

    def _take(self, number: int, made: Packed, found: dict[int, Summary]) -> None:
        if made.summary is not None:
            self._home[number], found[number] = made.worker, made.summary

    def _visit(self, call: Call, funds: Sequence[Funds] | None, numbers: Sequence[int] | None = None) -> list[Any]:
        """Return what some parts answer, or all, in their order."""
        with cluster.connected(self._client):
            return self._answers(call, funds, range(len(self._home)) if numbers is None else numbers)

    def _answers(self, call: Call, funds: Sequence[Funds] | None, wanted: Sequence[int]) -> list[Any]:
        found: dict[int, Any] = {}
        while len(found) < len(wanted):
            asked = self._by_home(number for number in wanted if number not in found)
            given = {
                home: (self._kept.word, call, numbers, None if funds is None else [funds[each] for each in numbers])
                for home, numbers in asked.items()
            }
            back = cluster.at_once(self._client, visit, given)
            for made in back.values():
                if isinstance(made, Raised):
                    raise made.error
                found |= made.found
            if len(found) < len(wanted):
                self._mend({home for home in back if not found.keys() >= set(asked[home])})
        return [found[number] for number in wanted]

    def _by_home(self, numbers: Iterable[int]) -> dict[str, list[int]]:
        homes: dict[str, list[int]] = {}
        for number in numbers:
            homes.setdefault(self._home[number], []).append(number)
        return homes

    def _mend(self, lacking: set[str]) -> None:
        """Give parts of which the worker is gone another, and tell those that lack something what there is to know."""
        alive, moved = self._settle()
        self._share((lacking & alive) | moved)

    def _settle(self) -> tuple[set[str], set[str]]:
        """Give parts of which the worker is gone another; return the workers there are, and those with new parts."""
        alive, moved = self._alive(), set[str]()
        load = dict.fromkeys([*sorted(alive), *self._home], 0)
        for home in self._home:
            load[home] += 1
        for number, home in enumerate(self._home):
            if home not in alive:
                self._home[number] = min(alive, key=lambda worker: (load[worker], worker))
                load[self._home[number]] += 1
                moved.add(self._home[number])
        return alive, moved

    def _alive(self) -> set[str]:
        """Return the workers that there are, once they are as many as there were or none has come for a while."""
        with suppress(TimeoutError):
            self._client.wait_for_workers(self._workers, timeout=_REPLACED)
        cluster.ready(self._client)
        self._workers = len(self._client.nthreads())
        return set(self._client.nthreads())

    def _share(self, workers: set[str] | None) -> None:
        self._shared = self._shared._replace(told=tuple(self._told))
        self._kept = self._kept._replace(thing=self._shared)
        self._kept.send(workers)

    def _repeated_names(self) -> list[str]:
        """Return a sentence on accounts that stand in two parts; names go from worker to worker, never through here."""
        client, plan = self._client, self._plan
        self._settle()
        homes = self._by_home(range(len(plan.parts)))
        ranges = max(1, min(len(homes), -(-plan.accounts // AT_ONCE)))
        everywhere = [
            client.submit(
                names_of,
                self._kept.word,
                numbers,
                plan.folder,
                [plan.parts[number] for number in numbers],
                ranges,
                workers=[home],
                allow_other_workers=True,
                pure=False,
            )
            for home, numbers in homes.items()
        ]
        pieces = [
            [client.submit(operator.getitem, names, each, pure=False) for names in everywhere] for each in range(ranges)
        ]
        found = cluster.answers(client, [client.submit(twins, piece, pure=False) for piece in pieces], homes.keys())
        if any(each is None for each in found):
            return self._repeated_names()  # all workers died at once
        twice = np.concatenate(found)
        if not twice.size:
            return []
        written = cluster.answers(client, [client.submit(sentence, plan, twice, pure=False)], homes.keys())[0]
        return self._repeated_names() if written is None else list(written)
