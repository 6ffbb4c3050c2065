"""Whether the names of accounts are unique across parts, without all of them in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.io.partitioned import read_part
from contagion.parts.messages import Plan

__all__ = ["AT_ONCE", "cuts", "repeated_names", "sentence", "twins"]

AT_ONCE = 4_000_000
"""Names that are compared at a time."""


def repeated_names(plan: Plan, files: Sequence[Path]) -> list[str]:
    """Return a sentence on accounts that stand in two parts; files hold the hashes of each part's names, ascending.

    Hashes are compared range by range; only those that occur twice are looked up.
    """
    names = [np.load(file, mmap_mode="r") for file in files]
    ranges = max(1, -(-plan.accounts // AT_ONCE))
    ends = [[0, *np.searchsorted(each, cuts(ranges)).tolist(), each.size] for each in names]
    found = [twins([each[end[r] : end[r + 1]] for each, end in zip(names, ends, strict=True)]) for r in range(ranges)]
    twice = np.concatenate(found)
    return sentence(plan, twice) if twice.size else []


def cuts(ranges: int) -> NDArray[np.uint64]:
    """Return where each of so many ranges of hashes begins, but the first."""
    return np.array([(1 << 64) // ranges * number for number in range(1, ranges)], dtype=np.uint64)


def twins(parts: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Return the hashes that occur more than once."""
    together = np.sort(np.concatenate(parts))
    repeated: NDArray[np.uint64] = together[1:][together[1:] == together[:-1]]
    return repeated


def sentence(plan: Plan, twice: NDArray[np.uint64]) -> list[str]:
    """Return the sentence, once names with equal hashes have turned out to be equal."""
    found = []
    for part in plan.parts:
        names = read_part(plan.folder, part)["accounts"]["account"].astype("str")
        number = pd.util.hash_array(names.to_numpy(dtype=object), categorize=False)
        found.append(pd.DataFrame({"account": names, "part": Path(part).stem})[np.isin(number, twice)])
    rows = pd.concat(found, ignore_index=True)
    repeated = rows[rows["account"].duplicated(keep=False)]
    if repeated.empty:
        return []
    shown = [
        f"{name!r} ({', '.join(group['part'])})" for name, group in list(repeated.groupby("account", sort=False))[:5]
    ]
    count = repeated["account"].nunique()
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return [
        f"accounts: {', '.join(shown)}{more} in more than one part; rename one of them, or drop the rows that repeat it"
    ]
