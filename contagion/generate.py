"""Seeded synthetic systems of any size, for tests, benchmarks and first steps."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.errors import InputError
from contagion.io.parquet import write_parquet
from contagion.io.partitioned import folder_in_parts, write_part
from contagion.kernels.inputs import sum_by
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["partitioned", "system"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.object_]

BORROWER, TRADER, MAKER = range(3)
GROUPS = np.array(["borrower", "trader", "market maker"], dtype=object)
LENDERS = np.array(["lender0", "lender1"], dtype=object)
EXCHANGES = np.array(["exchange0", "exchange1", "exchange2"], dtype=object)
SHARES = tuple(zip(EXCHANGES, (0.6, 0.3, 0.1), strict=True))

_DEPTH = 0.05
"""Market depth as a share of what all accounts hold of the asset."""

_ROLES = (0.55, 0.43, 0.02)
"""Shares of borrowers, traders and market makers among accounts."""

_QUOTING, _FUNDED, _ACCOUNTS = 1_000, 10_000, 250_000
"""Market makers that quote; margin calls that are funded, and accounts a part, of systems in parts."""


class _Book(NamedTuple):
    """Risky holdings of all accounts, row by row."""

    account: Ints
    asset: Ints
    value: Floats  # USD at opening prices, negative if short


def system(accounts: int = 1_000, assets: int = 20, seed: int = 0, shorts: bool = True) -> tuple[System, Scenario]:
    """Return a synthetic system and a scenario that liquidates a part of it.

    Two lending protocols hold borrowers with one to three collaterals against a dollar debt; three exchanges hold
    traders of perps and market makers with unified accounts, whose quotes are half of the markets' depth. Sizes are
    Pareto (tail index 1.2), popularity of assets is Zipf, and depth grows with what is held, so that a cascade looks
    alike at any size.

    Parameters
    ----------
    accounts : int
        Number of margin accounts; each has about 2.5 positions.
    assets : int
        Number of assets besides the dollar token.
    seed : int
        Seed of all draws.
    shorts : bool
        Whether some traders are short; without them the system is long-only and its solution a least fixed point.

    Returns
    -------
    (System, Scenario)
        Tables that pass `contagion.validate`, and a market-wide fall.

    Raises
    ------
    InputError
        If there is not at least one account and one asset, or their number is not whole.

    Examples
    --------
    >>> tables, fall = system(accounts=100, assets=5, seed=7)
    >>> len(tables.accounts), len(tables.markets), fall.name
    (100, 16, 'market-wide fall')
    """
    accounts, assets = _whole("accounts", accounts), _whole("assets", assets)
    if accounts < 1 or assets < 1:
        raise InputError(f"accounts={accounts}, assets={assets}: give at least one of each")
    rng = np.random.default_rng(seed)
    names = _names("asset", assets)
    role = rng.choice(3, size=accounts, p=_ROLES)
    size = 1e3 * (1.0 + rng.pareto(1.2, size=accounts))
    book = _book(rng, role, size, assets, shorts)
    price = np.exp(rng.normal(2.0, 2.0, size=assets))
    account_table, positions = _accounts(rng, role, book, _names("a", accounts), (names, price))
    depth = _DEPTH * sum_by(book.asset, np.abs(book.value), assets) + 1.0
    tables = {
        **_rules(names, price, depth, size.sum()),
        "accounts": account_table,
        "positions": positions,
        "claims": _claims(size.sum()),
        "quotes": _quotes(rng, account_table[role == MAKER], names, depth),
        "funding": _funding(rng, account_table),
    }
    return System(**tables), _fall(names)


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
    accounts, assets = _whole("accounts", accounts), _whole("assets", assets)
    parts = _whole("parts", -(-accounts // _ACCOUNTS) if parts is None else parts)
    if min(accounts, assets, parts) < 1 or parts > accounts:
        raise InputError(f"accounts={accounts}, assets={assets}, parts={parts}: give at least one of each, and a part")
    rng = np.random.default_rng(seed)
    names, price = _names("asset", assets), np.exp(rng.normal(2.0, 2.0, size=assets))
    held, total, makers, funding = np.zeros(assets), 0.0, [], []
    with folder_in_parts(Path(folder)) as made:
        for number in range(parts):
            part = _part(np.random.default_rng([seed, number]), (number, parts, accounts), (names, price), shorts)
            write_part(made, number, {"accounts": part.accounts, "positions": part.positions})
            held, total = held + part.held, total + part.size
            makers.append(part.makers)
            funding.append(part.funding)
        depth = _DEPTH * held + 1.0
        quotes = _quotes(rng, pd.concat(makers, ignore_index=True), names, depth)
        tables = {"quotes": quotes, "funding": pd.concat(funding, ignore_index=True)}
        for table, frame in {**_rules(names, price, depth, total), **tables}.items():
            write_parquet(frame, made / f"{table}.parquet")
        write_part(made, 0, {"claims": _claims(total)})
    return _fall(names)


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
    role = rng.choice(3, size=last - first, p=_ROLES)
    size = 1e3 * (1.0 + rng.pareto(1.2, size=last - first))
    book = _book(rng, role, size, traded[0].size, shorts)
    name = _names("a", accounts, first, last)
    table, positions = _accounts(rng, role, book, name, traded)
    asks = np.flatnonzero(table["call_policy"] == "fund")[: -(-_FUNDED // parts)]
    source = (first + asks + rng.integers(1, max(accounts, 2), size=asks.size)) % accounts
    source_name = "a" + pd.Series(source).astype("str").str.zfill(len(str(accounts - 1)))
    funding = pd.DataFrame({"account": name[asks], "source": source_name, "priority": 1.0})
    return _Part(
        accounts=table,
        positions=positions,
        makers=table[role == MAKER][: -(-_QUOTING // parts)],
        funding=funding[source != first + asks],
        held=sum_by(book.asset, np.abs(book.value), traded[0].size),
        size=float(size.sum()),
    )


def _rules(names: Names, price: Floats, depth: Floats, size: float) -> dict[str, pd.DataFrame]:
    """Return the tables that name no account."""
    return {
        "nodes": _nodes(size),
        "assets": pd.DataFrame({"asset": [*names, "USD"]}).assign(kind=[*["altcoin"] * names.size, "stablecoin"]),
        "markets": _markets(names, price, depth),
        "terms": _terms(names),
        "oracles": _oracles(names),
        "arbitrage": _arbitrage(names, depth),
    }


def _claims(size: float) -> pd.DataFrame:
    claims = pd.DataFrame({"creditor": ["bank", "bank"], "debtor": ["prime", "exchange0"]})
    return claims.assign(amount=0.002 * size)


def _fall(names: Names) -> Scenario:
    shocks = {str(name): 0.2 for name in names} | {str(names[0]): 0.12}
    return Scenario(shocks=shocks, arbitrage=0.5, name="market-wide fall")


def _whole(name: str, number: float) -> int:
    """Return a count as an integer; 1e6 is one."""
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole != number:
        raise InputError(f"{name}={number!r}: give a whole number")
    return whole


def _names(stem: str, count: int, first: int = 0, last: int | None = None) -> Names:
    """Return names of so many things, or of some of them."""
    width = len(str(count - 1))
    numbers = pd.Series(np.arange(first, count if last is None else last)).astype("str").str.zfill(width)
    return (stem + numbers).to_numpy(dtype=object)


def _book(rng: np.random.Generator, role: Ints, size: Floats, assets: int, shorts: bool) -> _Book:
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
    return _Book(account, asset, value)


def _accounts(
    rng: np.random.Generator, role: Ints, book: _Book, account: Names, traded: tuple[Names, Floats]
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


def _nodes(size: float) -> pd.DataFrame:
    lenders = [
        (name, "protocol", "defi", "ltv", rule) for name, rule in zip(LENDERS, ["close_factor", "full"], strict=True)
    ]
    exchanges = [(name, "exchange", "cefi", "maintenance", "restore") for name in EXCHANGES]
    firms = [("bank", "institution", "tradfi", "ltv", "restore"), ("prime", "institution", "cefi", "ltv", "restore")]
    frame = pd.DataFrame(
        [*lenders, *exchanges, *firms], columns=["node", "kind", "domain", "margin_rule", "close_rule"]
    )
    frame["buffer"] = 0.002 * size
    lender = frame["kind"] == "protocol"
    frame["call_level"] = np.where(lender, 1.05, np.nan)
    frame["target_level"] = np.where(lender, 1.1, 1.5)
    return frame


def _markets(names: Names, price: Floats, depth: Floats) -> pd.DataFrame:
    impacts = np.array(["exponential", "linear", "sqrt"], dtype=object)
    parts = [
        pd.DataFrame(
            {
                "market": venue + ":" + names,
                "venue": venue,
                "asset": names,
                "price": price,
                "depth": 0.5 * depth * share,
                "impact": impacts[0] if share > 0.2 else impacts[np.arange(names.size) % 3],
                "floor": 0.05,
            }
        )
        for venue, share in SHARES
    ]
    dollar = pd.DataFrame(
        {"market": ["exchange0:USD"], "venue": ["exchange0"], "asset": ["USD"], "price": [1.0], "depth": [np.inf]}
    )
    return pd.concat([*parts, dollar.assign(impact="exponential", floor=0.01)], ignore_index=True)


def _terms(names: Names) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"platform": platform, "asset": names, "weight": 0.8, "maintenance": 0.0, "cost": 0.05})
        for platform in LENDERS
    ]
    for platform in EXCHANGES:
        parts.append(
            pd.DataFrame({"platform": platform, "asset": names, "weight": 0.9, "maintenance": 0.02, "cost": 0.005})
        )
        parts.append(
            pd.DataFrame({"platform": [platform], "asset": "USD", "weight": 1.0, "maintenance": 0.02, "cost": 0.0})
        )
    return pd.concat(parts, ignore_index=True)


def _oracles(names: Names) -> pd.DataFrame:
    """Return what lenders read: the two largest exchanges, half each."""
    parts = [
        pd.DataFrame({"platform": platform, "asset": names, "market": venue + ":" + names, "weight": 0.5})
        for platform in LENDERS
        for venue in EXCHANGES[:2]
    ]
    return pd.concat(parts, ignore_index=True)


def _quotes(rng: np.random.Generator, makers: pd.DataFrame, names: Names, depth: Floats) -> pd.DataFrame:
    """Return quotes of at most a thousand market makers, at their own exchange, as much as the markets' own depth."""
    makers = makers.iloc[:_QUOTING]
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


def _funding(rng: np.random.Generator, accounts: pd.DataFrame) -> pd.DataFrame:
    """Return one source for each account that funds its calls."""
    asks = np.flatnonzero(accounts["call_policy"] == "fund")
    source = (asks + rng.integers(1, max(len(accounts), 2), size=asks.size)) % len(accounts)
    asks, source = asks[asks != source], source[asks != source]
    name = accounts["account"].to_numpy(dtype=object)
    return pd.DataFrame({"account": name[asks], "source": name[source], "priority": 1.0})


def _arbitrage(names: Names, depth: Floats) -> pd.DataFrame:
    """Return links from the largest exchange to the other two."""
    parts = [
        pd.DataFrame({"market_a": EXCHANGES[0] + ":" + names, "market_b": venue + ":" + names, "depth": 0.3 * depth})
        for venue in EXCHANGES[1:]
    ]
    return pd.concat(parts, ignore_index=True)
