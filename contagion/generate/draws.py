"""Accounts of a synthetic system: who they are, what they hold, who quotes and who funds whom."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Book", "accounts_of", "book_of", "depth_of", "draw_sizes", "funding_of", "names_of", "quotes_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.object_]

BORROWER, TRADER, MAKER = range(3)
GROUPS = np.array(["borrower", "trader", "market maker"], dtype=object)
LENDERS = np.array(["lender0", "lender1"], dtype=object)
EXCHANGES = np.array(["exchange0", "exchange1", "exchange2"], dtype=object)
SHARES = tuple(zip(EXCHANGES, (0.6, 0.3, 0.1), strict=True))

QUOTING = 1_000
"""Market makers that quote, at most."""

_DEPTH = 0.05
"""Market depth as a share of what all accounts hold of the asset."""

_ROLES = (0.55, 0.43, 0.02)
"""Shares of borrowers, traders and market makers among accounts."""


class Book(NamedTuple):
    """Risky holdings of all accounts, row by row."""

    account: Ints
    asset: Ints
    value: Floats  # USD at opening prices, negative if short


def draw_sizes(rng: np.random.Generator, accounts: int) -> tuple[Ints, Floats]:
    """Return the role of each account and its size in USD: Pareto, of tail index 1.2."""
    role = rng.choice(3, size=accounts, p=_ROLES)
    return role, 1e3 * (1.0 + rng.pareto(1.2, size=accounts))


def depth_of(held: Floats) -> Floats:
    """Return the depth of each asset's markets, from what all accounts hold of it (USD)."""
    return _DEPTH * held + 1.0


def names_of(stem: str, count: int, first: int = 0, last: int | None = None) -> Names:
    """Return names of so many things, or of some of them."""
    width = len(str(count - 1))
    numbers = pd.Series(np.arange(first, count if last is None else last)).astype("str").str.zfill(width)
    return (stem + numbers).to_numpy(dtype=object)


def book_of(rng: np.random.Generator, role: Ints, size: Floats, assets: int, shorts: bool) -> Book:
    """Return one to three holdings an account; a trader's are 2 to 10 times its size, and a quarter of them short."""
    popularity = 1.0 / np.arange(1, assets + 1)
    count = rng.choice([1, 2, 3], size=role.size, p=[0.35, 0.35, 0.3])
    account = np.repeat(np.arange(role.size), count)
    asset = rng.choice(assets, size=account.size, p=popularity / popularity.sum())
    part = rng.exponential(size=account.size)
    value = size[account] * part / np.bincount(account, part)[account]
    trader = role[account] == TRADER
    value[trader] *= rng.uniform(2.0, 10.0, size=role.size)[account[trader]]
    if shorts:
        value[trader] *= np.where(rng.random(int(trader.sum())) < 0.25, -1.0, 1.0)
    return Book(account, asset, value)


def accounts_of(
    rng: np.random.Generator, role: Ints, book: Book, account: Names, traded: tuple[Names, Floats]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return accounts above their liquidation levels, and their positions."""
    count, (names, price) = role.size, traded
    gross = np.bincount(book.account, np.abs(book.value), minlength=count)
    owing = role != TRADER
    # collateral counts 0.8 at a lender and 0.9 at an exchange, so debts below leave health between 1.05 and 2.5
    debt = np.where(role == BORROWER, 0.8, 0.9) * gross * rng.uniform(0.4, 0.95, size=count)
    calls = np.where(role == BORROWER, rng.choice(["none", "delever", "fund"], size=count, p=[0.9, 0.07, 0.03]), "none")
    table = pd.DataFrame(
        {
            "account": account,
            "platform": np.where(role == BORROWER, rng.choice(LENDERS, size=count), rng.choice(EXCHANGES, size=count)),
            "owner": np.where((role == MAKER) & (rng.random(count) < 0.2), "prime", ""),
            "group": GROUPS[role],
            "cash": np.where(owing, 0.0, gross * rng.uniform(0.1, 0.4, size=count)),
            "call_policy": calls,
            "stop_loss": np.where((role == TRADER) & (rng.random(count) < 0.1), 0.3, np.nan),
        }
    )
    perp = role[book.account] == TRADER
    risky = pd.DataFrame(
        {
            "account": account[book.account],
            "asset": names[book.asset],
            "side": np.where(perp, "perp", "collateral"),
            "quantity": book.value / price[book.asset],
            "entry_price": np.where(perp, price[book.asset], np.nan),
        }
    )
    debts = pd.DataFrame({"account": account[owing], "asset": "USD", "side": "debt", "quantity": debt[owing]})
    return table, pd.concat([risky, debts], ignore_index=True)


def quotes_of(rng: np.random.Generator, makers: pd.DataFrame, names: Names, depth: Floats) -> pd.DataFrame:
    """Return quotes of at most a thousand market makers, at their own exchange, as much as the markets' own depth."""
    makers = makers.iloc[:QUOTING]
    quoted = rng.integers(names.size, size=len(makers))
    venue = makers["platform"].to_numpy(dtype=object)
    share = pd.Series(dict(SHARES))
    quoting = pd.Series(1.0).reindex(range(len(makers)), fill_value=1.0).groupby([venue, quoted]).transform("sum")
    return pd.DataFrame(
        {
            "account": makers["account"].to_numpy(dtype=object),
            "market": venue + ":" + names[quoted],
            "depth": 0.5 * depth[quoted] * share.reindex(venue).to_numpy() / quoting.to_numpy(),
            "full_at": 0.95,
            "withdrawn_at": 0.5,
        }
    )


def funding_of(rng: np.random.Generator, accounts: pd.DataFrame) -> pd.DataFrame:
    """Return one source for each account that funds its calls."""
    asks = np.flatnonzero(accounts["call_policy"] == "fund")
    source = (asks + rng.integers(1, max(len(accounts), 2), size=asks.size)) % len(accounts)
    asks, source = asks[asks != source], source[asks != source]
    name = accounts["account"].to_numpy(dtype=object)
    return pd.DataFrame({"account": name[asks], "source": name[source], "priority": 1.0})
