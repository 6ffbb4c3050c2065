"""A synthetic system of any size, on disk in parts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.errors import InputError
from contagion.generate.draws import (
    MAKER,
    QUOTING,
    Floats,
    Names,
    accounts_of,
    book_of,
    depth_of,
    draw_sizes,
    names_of,
    quotes_of,
)
from contagion.generate.rules import claims, fall, rules
from contagion.generate.whole import whole_number
from contagion.io.parquet import write_parquet
from contagion.io.partitioned import folder_in_parts, write_part
from contagion.kernels.inputs import sum_by
from contagion.scenario import Scenario

__all__ = ["partitioned"]

_FUNDED, _ACCOUNTS = 10_000, 250_000
"""Margin calls that are funded in all, and accounts of a part, at most."""


def partitioned(
    folder: str | Path, accounts: int, assets: int = 20, seed: int = 0, shorts: bool = True, parts: int | None = None
) -> Scenario:
    """Write a synthetic system of any size in parts, and return a scenario that liquidates a part of it.

    It is drawn as `system` draws one, each part from a seed of its own, and is written as it is drawn: no more than one
    part is ever in memory. At most 1,000 accounts quote, and 10,000 margin calls are funded, by accounts of any part.

    Parameters
    ----------
    folder : str or Path
        A new folder, which `contagion.open_partitioned` opens; it appears once it is whole.
    accounts, assets, seed, shorts
        As in `system`.
    parts : int, optional
        By default parts have at most 250,000 accounts.

    Raises
    ------
    InputError
        If a number is not whole or below one, there are fewer accounts than parts, or the folder is there already.

    Examples
    --------
    >>> import contagion as ct
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as room:
    ...     fall = partitioned(f"{room}/large", accounts=1_000, parts=4)
    ...     ct.open_partitioned(f"{room}/large").accounts
    (250, 250, 250, 250)
    """
    accounts, assets = whole_number("accounts", accounts), whole_number("assets", assets)
    parts = whole_number("parts", -(-accounts // _ACCOUNTS) if parts is None else parts)
    if min(accounts, assets, parts) < 1 or parts > accounts:
        raise InputError(f"accounts={accounts}, assets={assets}, parts={parts}: give at least one of each, and a part")
    rng = np.random.default_rng(seed)
    names, price = names_of("asset", assets), np.exp(rng.normal(2.0, 2.0, size=assets))
    held, total, makers, funding = np.zeros(assets), 0.0, [], []
    with folder_in_parts(Path(folder)) as made:
        for number in range(parts):
            part = _part(np.random.default_rng([seed, number]), (number, parts, accounts), (names, price), shorts)
            write_part(made, number, {"accounts": part.accounts, "positions": part.positions})
            held, total = held + part.held, total + part.size
            makers.append(part.makers)
            funding.append(part.funding)
        depth = depth_of(held)
        quotes = quotes_of(rng, pd.concat(makers, ignore_index=True), names, depth)
        tables = {"quotes": quotes, "funding": pd.concat(funding, ignore_index=True)}
        for table, frame in {**rules(names, price, depth, total), **tables}.items():
            write_parquet(frame, made / f"{table}.parquet")
        write_part(made, 0, {"claims": claims(total)})
    return fall(names)


class _Part(NamedTuple):
    """What is drawn of one part, and what the whole needs of it."""

    accounts: pd.DataFrame
    positions: pd.DataFrame
    makers: pd.DataFrame  # its accounts that quote
    funding: pd.DataFrame
    held: Floats  # USD by asset
    size: float  # USD


def _part(rng: np.random.Generator, place: tuple[int, int, int], traded: tuple[Names, Floats], shorts: bool) -> _Part:
    number, parts, accounts = place
    first, last = accounts * number // parts, accounts * (number + 1) // parts
    role, size = draw_sizes(rng, last - first)
    book = book_of(rng, role, size, traded[0].size, shorts)
    name = names_of("a", accounts, first, last)
    table, positions = accounts_of(rng, role, book, name, traded)
    asks = np.flatnonzero(table["call_policy"] == "fund")[: -(-_FUNDED // parts)]
    source = (first + asks + rng.integers(1, max(accounts, 2), size=asks.size)) % accounts
    source_name = "a" + pd.Series(source).astype("str").str.zfill(len(str(accounts - 1)))
    funding = pd.DataFrame({"account": name[asks], "source": source_name, "priority": 1.0})
    return _Part(
        accounts=table,
        positions=positions,
        makers=table[role == MAKER][: -(-QUOTING // parts)],
        funding=funding[source != first + asks],
        held=sum_by(book.asset, np.abs(book.value), traded[0].size),
        size=float(size.sum()),
    )
