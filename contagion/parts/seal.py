"""Whether the files of a part are still those that were solved: what is read again later must be the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from contagion.errors import InputError
from contagion.io.partitioned import PARTITIONED, read_part
from contagion.io.paths import few
from contagion.parts.messages import Plan

__all__ = ["changed", "refuse_changed", "refuse_closed", "rows_as_solved", "seal_of"]


def seal_of(plan: Plan, number: int) -> tuple[str, ...]:
    """Return a short word for the bytes of each file of a part, in the order of `PARTITIONED`; none for no file."""
    return tuple(_word(plan.folder / table / plan.parts[number]) for table in PARTITIONED)


def changed(plan: Plan, number: int, now: Sequence[str] | None = None) -> list[str]:
    """Return the files of a part that are not what the plan's seal says; ``now`` is its seal, if it is known."""
    now = seal_of(plan, number) if now is None else now
    each = zip(PARTITIONED, plan.seals[number], now, strict=False)  # a part that nobody has read has no seal
    return [f"{table}/{plan.parts[number]}" for table, then, word in each if then != word]


def refuse_changed(plan: Plan, files: Sequence[str]) -> None:
    """Raise which files have changed, if there are any.

    Raises
    ------
    InputError
        If there are; the message names the first few.
    """
    if not files:
        return
    verb = "has" if len(files) == 1 else "have"
    raise InputError(
        f"{plan.folder}: {few(files)} {verb} changed, or gone, since the solve began; solve again "
        "(contagion.open_partitioned, then contagion.solve)"
    )


def refuse_closed(alive: bool) -> None:
    """Raise that parts are asked for what they do not hold any more, if they do not.

    Raises
    ------
    InputError
        If they have been let go.
    """
    if not alive:
        raise InputError("write_accounts: the solution is closed; write before close(), or solve again")


def rows_as_solved(plan: Plan, number: int) -> dict[str, pd.DataFrame]:
    """Return the rows of a part by table, read again.

    Raises
    ------
    InputError
        If a file of the part has changed since it was sealed.
    """
    frames = read_part(plan.folder, plan.parts[number])
    refuse_changed(plan, changed(plan, number))  # after the rows were read, so that it speaks for them
    return frames


def _word(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, hashlib.blake2b).hexdigest()[:32]
    except OSError:
        return ""
