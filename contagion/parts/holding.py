"""What a worker does with the parts that it holds: they stay in its memory from round to round.

A part is a consequence of its files and of what it was told, so one that is lost is made again, by whoever is asked:
read, packed, and told all rounds anew. Nothing is saved in between, and no other part repeats anything.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from contagion import cluster
from contagion.errors import refuse
from contagion.io.partitioned import read_part
from contagion.kernels import threads
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.reaction import Funds
from contagion.parts.account_table import write_account_table
from contagion.parts.book import Book, State, Summary
from contagion.parts.messages import Broadcast, Ending, Plan
from contagion.parts.packing import hashes, pack_part, refused
from contagion.parts.part import Part
from contagion.parts.seal import changed, refuse_changed
from contagion.parts.unique import cuts

__all__ = ["Answers", "Call", "Packed", "Raised", "Shared", "Told", "names_of", "pack", "visit"]


class Told(NamedTuple):
    """What all parts were told in a round."""

    at: Broadcast
    funds: Sequence[Funds] | None  # by part


class Shared(NamedTuple):
    """What it takes to make any part as it stands; see `contagion.cluster.Kept`."""

    plan: Plan
    columns: Sequence[Ints] = ()  # by part, see `contagion.parts.engine.Parts.place`
    told: Sequence[Told] = ()  # round by round


@dataclass(frozen=True)
class Packed:
    """Where a part has been packed."""

    worker: str
    summary: Summary | None  # none if the worker has not been sent the plan


@dataclass(frozen=True)
class Call:
    """What parts are asked to do."""

    act: str  # a key of `_ACTS`
    rounds: int  # that parts have been through before
    at: Broadcast | None = None
    worth: Floats | None = None  # (k,)
    ending: Ending | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Answers:
    """What parts have answered, by number; of those that are not there the worker was not told enough."""

    found: dict[int, Any]
    seconds: float  # at work


@dataclass(frozen=True)
class Raised:
    """What went wrong with parts, as against with the way to them."""

    error: Exception


@dataclass
class _Held:
    """A part in the memory of this worker."""

    book: Book
    names: NDArray[np.uint64] | None  # until they have been compared
    part: Part | None = None
    rounds: int = 0  # that it has been through
    last: Any = None  # its answer to the last of them, which may be asked for again


def pack(word: str, number: int) -> Packed:
    """Read, check and pack a part, and hold it; a task of Dask."""
    shared, worker = cast("Shared | None", cluster.kept(word)), cluster.address()
    if shared is None:
        return Packed(worker, None)
    with threads.alone():
        return Packed(worker, _pack(word, shared.plan, number, worker))


def _pack(word: str, plan: Plan, number: int, worker: str) -> Summary:
    file = plan.folder / "accounts" / plan.parts[number]
    if not file.exists():
        found = f"{file}: worker {worker} does not see it; put the system in a folder that all machines share"
        return refused(plan, number, [found]).summary
    made = pack_part(plan, number)
    if made.book is not None:
        cluster.room(word)[number] = _Held(made.book, made.names)
    return made.summary


def names_of(
    word: str, numbers: Sequence[int], folder: Path, files: Sequence[str], ranges: int
) -> list[NDArray[np.uint64]]:
    """Return the hashes of the names of all accounts of some parts, ascending, in so many ranges; a task of Dask."""
    names = [_names(cluster.room(word).get(number), folder, file) for number, file in zip(numbers, files, strict=True)]
    together = np.sort(np.concatenate(names))
    return np.split(together, np.searchsorted(together, cuts(ranges)))


def _names(held: _Held | None, folder: Path, file: str) -> NDArray[np.uint64]:
    if held is None or held.names is None:  # they were with a worker that has died
        return hashes(read_part(folder, file)["accounts"]["account"])
    names, held.names = held.names, None
    return names


async def visit(
    word: str, call: Call, numbers: Sequence[int], funds: Sequence[Funds] | None, dask_worker: Any
) -> Answers | Raised:
    """Return what some parts answer, or what was raised; the worker's own loop is left free to say that it is alive."""
    own = [None] * len(numbers) if funds is None else funds
    try:
        return await asyncio.to_thread(_in_turn, word, call, dict(zip(numbers, own, strict=True)), dask_worker)
    except Exception as error:
        return Raised(error)


def _in_turn(word: str, call: Call, funds: dict[int, Funds | None], worker: Any) -> Answers:
    with cluster.turn(word):  # the caller may have given up on somebody who is still at work on the same parts
        return _visited(word, call, funds, worker.address, worker.state.nthreads)


def _visited(word: str, call: Call, funds: dict[int, Funds | None], worker: str, most: int) -> Answers:
    shared = cast("Shared | None", cluster.kept(word))
    begun, workers = time.perf_counter(), min(most, len(funds))

    def act(number: int, own: Funds | None) -> Any:
        with threads.alone():
            held = _ready(word, shared, number, call, worker)
            return None if held is None else (_ACTS[call.act](held, call, own, shared, number),)

    if workers <= 1:
        made = [act(*each) for each in funds.items()]
    else:
        with ThreadPoolExecutor(workers, thread_name_prefix="contagion-parts") as pool:
            made = list(pool.map(act, funds.keys(), funds.values()))
    found = {number: answer[0] for number, answer in zip(funds, made, strict=True) if answer is not None}
    return Answers(found, time.perf_counter() - begun)


def _ready(word: str, shared: Shared | None, number: int, call: Call, worker: str) -> _Held | None:
    """Return a part that has been through all rounds before a call; None if this worker was not told of them."""
    held = cast("_Held | None", cluster.room(word).get(number))
    if held is not None and held.part is not None and _fits(held, call) and (shared is not None or not call.folder):
        return held
    if shared is None or len(shared.told) < call.rounds or not shared.columns:
        return None
    if held is None:
        summary = _pack(word, shared.plan, number, worker)
        refuse_changed(shared.plan, changed(shared.plan, number, summary.seal))
        refuse(summary.problems, str(shared.plan.folder))
        held = cast(_Held, cluster.room(word)[number])
        held.names = None
    held.part = Part(held.book, State.fresh(held.book), shared.columns[number])
    for done, told in enumerate(shared.told[: call.rounds]):
        held.last = held.part.react(done + 1, told.at, None if told.funds is None else told.funds[number])
    held.rounds = call.rounds
    return held


def _fits(held: _Held, call: Call) -> bool:
    """Return whether a part stands where a call wants it, or has just answered it to somebody who died."""
    return held.rounds == call.rounds or (call.act == "react" and held.rounds == call.rounds + 1)


def _part(held: _Held) -> Part:
    assert held.part is not None
    return held.part


def _ask(held: _Held, call: Call, *_: object) -> tuple[Floats, Floats]:
    return _part(held).ask(cast(Broadcast, call.at))


def _react(held: _Held, call: Call, funds: Funds | None, *_: object) -> Any:
    if held.rounds == call.rounds:
        held.last = _part(held).react(call.rounds + 1, cast(Broadcast, call.at), funds)
        held.rounds += 1
    return held.last


def _lost(held: _Held, call: Call, funds: Funds | None, *_: object) -> Any:
    return _part(held).lost(cast(Broadcast, call.at), cast(Floats, call.worth), funds)


def _changed(_held: _Held, _call: Call, _funds: object, shared: Shared | None, number: int) -> list[str]:
    assert shared is not None
    return changed(shared.plan, number)


def _write(held: _Held, call: Call, funds: Funds | None, shared: Shared | None, number: int) -> None:
    assert shared is not None
    state = _part(held).state
    write_account_table(shared.plan, number, cast(Path, call.folder), cast(Ending, call.ending), state, funds)


_ACTS: dict[str, Callable[..., Any]] = {
    "ask": _ask,
    "react": _react,
    "lost": _lost,
    "changed": _changed,
    "write": _write,
}
