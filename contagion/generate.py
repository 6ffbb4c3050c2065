"""Seeded synthetic systems of any size, for tests, benchmarks and first steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contagion.errors import InputError
from contagion.kernels.inputs import sum_by
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["system"]

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
    role = rng.choice(3, size=accounts, p=[0.55, 0.43, 0.02])
    size = 1e3 * (1.0 + rng.pareto(1.2, size=accounts))
    book = _book(rng, role, size, assets, shorts)
    price = np.exp(rng.normal(2.0, 2.0, size=assets))
    account_table, positions = _accounts(rng, role, book, names, price)
    depth = _DEPTH * sum_by(book.asset, np.abs(book.value), assets) + 1.0
    tables = {
        "nodes": _nodes(size.sum()),
        "assets": pd.DataFrame({"asset": [*names, "USD"]}).assign(kind=[*["altcoin"] * assets, "stablecoin"]),
        "markets": _markets(names, price, depth),
        "terms": _terms(names),
        "oracles": _oracles(names),
        "accounts": account_table,
        "positions": positions,
        "claims": pd.DataFrame({"creditor": ["bank", "bank"], "debtor": ["prime", "exchange0"]}).assign(
            amount=0.002 * size.sum()
        ),
        "quotes": _quotes(rng, role, account_table, names, depth),
        "funding": _funding(rng, account_table),
        "arbitrage": _arbitrage(names, depth),
    }
    shocks = {str(name): 0.2 for name in names} | {str(names[0]): 0.12}
    return System(**tables), Scenario(shocks=shocks, arbitrage=0.5, name="market-wide fall")


def _whole(name: str, number: float) -> int:
    """Return a count as an integer; 1e6 is one."""
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or whole != number:
        raise InputError(f"{name}={number!r}: give a whole number")
    return whole


def _names(stem: str, count: int) -> Names:
    width = len(str(count - 1))
    numbers = pd.Series(np.arange(count)).astype("str").str.zfill(width)
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
    rng: np.random.Generator, role: Ints, book: _Book, names: Names, price: Floats
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return accounts above their liquidation levels, and their positions."""
    count = role.size
    account = _names("a", count)
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


def _quotes(rng: np.random.Generator, role: Ints, accounts: pd.DataFrame, names: Names, depth: Floats) -> pd.DataFrame:
    """Return quotes of at most a thousand market makers, at their own exchange, as much as the markets' own depth."""
    makers = np.flatnonzero(role == MAKER)[:1000]
    quoted = rng.integers(names.size, size=makers.size)
    venue = accounts["platform"].to_numpy(dtype=object)[makers]
    share = pd.Series(dict(SHARES))
    quoting = pd.Series(1.0).reindex(range(makers.size), fill_value=1.0).groupby([venue, quoted]).transform("sum")
    return pd.DataFrame(
        {
            "account": accounts["account"].to_numpy(dtype=object)[makers],
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
