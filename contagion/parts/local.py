"""One machine that streams the parts from disk: in memory are those at work, and little else."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm

from contagion.errors import InputError, refuse, whole
from contagion.io.paths import check_path
from contagion.kernels import threads
from contagion.kernels.inputs import Floats, Ints
from contagion.kernels.reaction import Funds
from contagion.orphans import end_with_parent
from contagion.parts.account_table import write_account_table
from contagion.parts.book import Book, State, Summary
from contagion.parts.chest import Chest
from contagion.parts.messages import Acted, Broadcast, Ending, Lost, Plan
from contagion.parts.packing import pack_part
from contagion.parts.part import Part
from contagion.parts.seal import changed, refuse_changed, refuse_closed
from contagion.parts.unique import repeated_names

__all__ = ["Streaming"]

T = TypeVar("T")


class _Packed(NamedTuple):
    """A part on disk."""

    summary: Summary
    book: Chest
    state: Chest
    names: Path


def _pack(plan: Plan, room: Path, number: int) -> _Packed:
    """Pack a part into files of a directory."""
    made = pack_part(plan, number)
    stem = room / f"{number:05}"
    names = stem.with_suffix(".npy")
    np.save(names, made.names)
    book, state = ((), ()) if made.book is None else (made.book.arrays, State.fresh(made.book))
    files = Chest.write(stem.with_suffix(".book"), book), Chest.write(stem.with_suffix(".state"), state)
    return _Packed(made.summary, *files, names)


@contextmanager
def _side_by_side(workers: int) -> Iterator[Callable[[Callable[[int], T], Iterable[int]], Iterable[T]]]:
    """Provide a map over processes; over none but this one if there is to be one."""
    if workers <= 1:
        yield map
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            yield pool.map
        except BrokenProcessPool as error:
            raise InputError(
                "Streaming: a process that was to pack parts has ended. If it did as it began: keep the work of the "
                """script under `if __name__ == "__main__":`, or leave out workers. If memory ran out: give fewer"""
            ) from error


class Streaming:
    """The engine of one machine: parts are packed into files of a scratch directory and mapped when they are needed.

    Parameters
    ----------
    scratch : str or Path, optional
        Where that directory is made; by default beside the folder of the system.
    workers : int
        Processes that read, check and pack parts side by side; each takes the memory of a part, and imports the script
        that asks for more than one (``if __name__ == "__main__":``).

    Raises
    ------
    InputError
        If ``scratch`` is no folder, or ``workers`` no whole number of at least 1.

    Notes
    -----
    The directory, ``.contagion-`` and a few letters, goes with the solution. A process that is killed, by SIGTERM too,
    leaves it behind; it may be removed once the process that made it is gone.

    Examples
    --------
    >>> import contagion as ct
    >>> engine = ct.Streaming(workers=4)  # for ct.solve(ct.open_partitioned(folder), scenario, engine=engine)
    """

    def __init__(self, scratch: str | Path | None = None, workers: int = 1) -> None:
        refuse([*_check_scratch(scratch), *whole("workers", workers, 1)], "Streaming")
        self._scratch, self._workers = scratch, int(workers)

    def open(self, plan: Plan, progress: bool = False) -> LocalParts:
        """Return the parts, read, checked and packed; see `contagion.parts.engine.Engine`."""
        room = self._room(plan)
        try:
            with _side_by_side(self._workers) as each:
                made = each(partial(_pack, plan, room), range(len(plan.parts)))
                packed = list(tqdm(made, desc="parts", unit="", total=len(plan.parts), disable=not progress))
            return LocalParts(plan, room, packed)
        except BaseException:
            shutil.rmtree(room, ignore_errors=True)
            raise

    def _room(self, plan: Plan) -> Path:
        """Return a new scratch directory."""
        where = plan.folder.absolute().parent if self._scratch is None else Path(self._scratch)
        try:
            return Path(tempfile.mkdtemp(prefix=".contagion-", dir=where))
        except OSError as error:
            raise InputError(
                f"{where}: no scratch directory can be made there ({error.strerror or error}); give a folder that you "
                'may write to, as engine=contagion.Streaming("/scratch/folder")'
            ) from None


def _check_scratch(scratch: str | Path | None) -> list[str]:
    """Return the problem of a place for scratch directories; none is chosen later."""
    if scratch is None:
        return []
    problems = check_path("scratch", scratch)
    if not problems and not os.path.isdir(scratch):  # noqa: PTH112 - which never raises
        there = "a file" if os.path.exists(scratch) else "not there"  # noqa: PTH110
        problems.append(f"scratch is {str(scratch)!r}, which is {there}; give a folder")
    return problems


class LocalParts:
    """All parts as files in a directory, which goes when this object goes; see `contagion.parts.engine.Parts`."""

    def __init__(self, plan: Plan, room: Path, packed: Sequence[_Packed]) -> None:
        self._plan = plan._replace(seals=tuple(each.summary.seal for each in packed))
        self._packed = packed
        self._columns: Sequence[Ints] = ()
        self.summaries: Sequence[Summary] = [each.summary for each in packed]
        found = [problem for summary in self.summaries for problem in summary.problems]
        if not found:
            found = repeated_names(plan, [each.names for each in packed])
        if found:
            raise InputError(found, str(plan.folder))
        for each in packed:
            each.names.unlink()
        self._clear = weakref.finalize(self, shutil.rmtree, room, ignore_errors=True)

    def place(self, columns: Sequence[Ints]) -> None:
        """Take down the numbers of term columns."""
        self._columns = columns

    def ask(self, at: Broadcast) -> list[tuple[Floats, Floats]]:
        """Return what linked accounts of each part ask for and are worth."""
        return self._visit(lambda _, part: part.ask(at), ahead=False)

    def react(self, number: int, at: Broadcast, funds: Sequence[Funds] | None) -> list[Acted]:
        """Return what the accounts of each part do."""
        return self._visit(lambda place, part: part.react(number, at, None if funds is None else funds[place]))

    def lost(self, at: Broadcast, worth: Floats, funds: Sequence[Funds] | None) -> list[Lost]:
        """Return what the accounts of each part have lost."""
        return self._visit(lambda place, part: part.lost(at, worth, None if funds is None else funds[place]))

    def write_accounts(self, folder: Path, ending: Ending, funds: Sequence[Funds] | None) -> None:
        """Write the table of accounts of each part, one after the other, if no file has changed."""
        refuse_closed(self._clear.alive)
        plan = self._plan
        refuse_changed(plan, [file for number in range(len(plan.parts)) for file in changed(plan, number)])
        for number, packed in enumerate(self._packed):
            state = State(*packed.state.open())
            write_account_table(plan, number, folder, ending, state, None if funds is None else funds[number])

    def close(self) -> None:
        """Remove the directory."""
        self._clear()

    def _visit(self, act: Callable[[int, Part], T], ahead: bool = True) -> list[T]:
        """Return what becomes of each part: as many at a time as there are threads, and the next ones on their way."""
        workers = min(threads.count(), len(self._packed))

        def visit(number: int) -> T:
            if ahead and number + workers < len(self._packed):
                self._packed[number + workers].book.ahead()
                self._packed[number + workers].state.ahead()
            with self._opened(number) as part:
                return act(number, part)

        if workers <= 1:
            return [visit(number) for number in range(len(self._packed))]
        with ThreadPoolExecutor(workers, thread_name_prefix="contagion-parts") as pool:
            return list(pool.map(visit, range(len(self._packed))))

    @contextmanager
    def _opened(self, number: int) -> Iterator[Part]:
        """Map a part into memory, and let go of it; its work stays on this thread."""
        packed = self._packed[number]
        with threads.alone():
            yield Part(Book.of(packed.book.open()), State(*packed.state.open(writable=True)), self._columns[number])
