"""Which price set whom in motion, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from contagion.frames import Parts
from contagion.frames.accounts import CAUSES
from contagion.holdings import Groups, entries, gathered, scaled, sums
from contagion.kernels.accounts import FUNDING, LIQUIDATION, STOP_LOSS, VOLUNTARY, surplus
from contagion.kernels.inputs import Floats, Ints, ratio, sum_by
from contagion.measures import margin
from contagion.timeline.replay import Path

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["triggers"]

_KINDS = ("market", "claims", "opening", None)


class Acts(NamedTuple):
    """Accounts that acted for the first time, all for the same reason."""

    reason: int
    account: Ints
    when: Ints  # round
    usd: Floats  # sold in that round


def triggers(parts: Parts, grouped: Groups, path: Path) -> pd.DataFrame:
    """Return one row a round, account group and trigger: accounts, USD, and the market that weighed most."""
    found = [_rows(parts, grouped, path, acts) for acts in _acts(parts, path)]
    return pd.concat(found).sort_values(["round", "group", "trigger"], kind="stable", ignore_index=True)


def _acts(parts: Parts, path: Path) -> list[Acts]:
    """Return calls, and sales that were no answer of the owner's to a call of the account itself."""
    run = parts.run
    called = np.flatnonzero(run.called_round)
    answered = (run.cause[called] == VOLUNTARY) & (run.liquidated_round[called] == run.called_round[called])
    acts = [Acts(VOLUNTARY, called, run.called_round[called], np.where(answered, path.first_sale[called], 0.0))]
    for reason in (LIQUIDATION, STOP_LOSS, FUNDING):
        rows = np.flatnonzero((run.liquidated_round > 0) & (run.cause == reason))
        acts.append(Acts(reason, rows, run.liquidated_round[rows], path.first_sale[rows]))
    return acts


def _rows(parts: Parts, grouped: Groups, path: Path, acts: Acts) -> pd.DataFrame:
    cells, place = np.unique(acts.when * max(len(grouped.names), 1) + grouped.member[acts.account], return_inverse=True)
    when, group = np.divmod(cells, max(len(grouped.names), 1))
    if acts.reason == FUNDING:
        source = np.searchsorted(acts.account, path.asked[:, 2])
        lost = _burden(parts, path, VOLUNTARY, path.asked[:, 1], path.asked[:, 0])
        lost = scaled(lost, ratio(path.wanted, sums(lost, 1), empty=0.0))
        lost = gathered(np.ones(source.size), place[source], np.arange(source.size), (cells.size, source.size)) @ lost
    else:
        each = _burden(parts, path, acts.reason, acts.account, acts.when)
        size = acts.account.size
        lost = gathered(np.ones(size), place, np.arange(size), (cells.size, size)) @ each
    cause, share = _heaviest(lost.tocsr())
    return pd.DataFrame(
        {
            "round": when,
            "group": grouped.names.take(group),
            "trigger": pd.array([CAUSES[acts.reason]] * cells.size, dtype="str"),
            "accounts": np.bincount(place, minlength=cells.size),
            "usd": sum_by(place, acts.usd, cells.size),
            **_causes(parts, path, cause, when),
            "share": share,
        }
    )


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _burden(parts: Parts, path: Path, reason: int, account: Ints, when: Ints) -> sparse.csr_array:
    """Return the margin that each account had lost when it acted, by cause: markets, claims on nodes, the opening.

    One row for each account and round asked for; gains are left out.
    """
    from scipy import sparse  # loaded where it is used: it would double the import time of the package

    inputs = parts.inputs
    trigger = {VOLUNTARY: margin.CALL, LIQUIDATION: margin.LIQUIDATION, STOP_LOSS: margin.STOP_LOSS}[reason]
    by_market = margin.worth(inputs, parts.labels, trigger, inputs.markets.price, account)
    row, market, worth = entries(by_market)
    fall = -np.expm1(-path.seen())
    worth = np.maximum(worth * fall[when[row] - 1, market], 0.0)
    prices = gathered(worth, row, market, by_market.shape)
    claims = sparse.csr_array((account.size, inputs.nodes.buffer.size))
    if trigger == margin.STOP_LOSS:
        row, node, owed = entries(inputs.accounts.claims[account])
        claims = gathered(owed * path.points.haircut[when[row] - 1, node], row, node, claims.shape)
    missed = np.maximum(0.0, -_opening_margin(parts, trigger)[account])
    listed = np.flatnonzero(missed)
    start = gathered(missed[listed], listed, np.zeros(listed.size, dtype=np.int64), (account.size, 1))
    together: sparse.csr_array = sparse.hstack([prices, claims, start]).tocsr()
    return together


def _opening_margin(parts: Parts, trigger: str) -> Floats:
    """Return the margin (a,) over a trigger before anything happened; of a stop-loss, what was left of the equity."""
    given, at = parts.inputs.accounts, parts.outcome.opening
    if trigger == margin.STOP_LOSS:
        found: Floats = np.nan_to_num(at.equity - given.stop_loss * at.equity)
        return found
    return surplus(given.margin_rule, at.weighted, at.debt, at.maintenance, margin.level(parts.inputs, trigger))


def _heaviest(lost: sparse.csr_array) -> tuple[Ints, Floats]:
    """Return the cause of the largest loss in each row, -1 where nothing was lost, and its share of the row."""
    row, cause, value = entries(lost)
    most = np.zeros(lost.shape[0])
    np.maximum.at(most, row, value)
    hit = np.flatnonzero((value == most[row]) & (value > 0.0))
    order = hit[np.lexsort((cause[hit], row[hit]))[::-1]]
    found = np.full(most.size, -1, dtype=np.int64)
    found[row[order]] = cause[order]  # the last one written is the first in the order of names
    return found, ratio(most, sums(lost, 1), empty=0.0)


@np.errstate(over="ignore", invalid="ignore")  # states that have not converged may hold anything
def _causes(parts: Parts, path: Path, cause: Ints, when: Ints) -> dict[str, Any]:
    """Return the columns cause, market, node and drop: what causes are, and the drop of markets as accounts saw it."""
    markets, nodes = parts.labels.markets, parts.labels.nodes
    names = [*markets, *nodes, None, None]  # the opening has no name, nor has -1
    last = np.cumsum((len(markets), len(nodes), 1))
    kind = np.where(cause < 0, len(last), np.searchsorted(last, cause, side="right"))
    drop = np.full(cause.size, np.nan)
    priced = kind == 0
    drop[priced] = -np.expm1(-path.seen()[when[priced] - 1, cause[priced]])
    return {
        "cause": pd.array([_KINDS[code] for code in kind], dtype="str"),
        "market": pd.array(
            [names[at] if code == 0 else None for at, code in zip(cause, kind, strict=True)], dtype="str"
        ),
        "node": pd.array([names[at] if code == 1 else None for at, code in zip(cause, kind, strict=True)], dtype="str"),
        "drop": drop,
    }
