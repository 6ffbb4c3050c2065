"""Which accounts can have changed: those whose safety is smaller than what prices have moved.

All terms of a surplus are proportional to prices, so it can fall by at most H⁺·(largest fall) + H⁻·(largest rise),
where H⁺ adds up what falls when prices fall, H⁻ what falls when they rise. An account stands untouched while

    (largest relative fall + largest relative rise among the assets it holds)  <  safety = S(0) / max(H⁺, H⁻),

the least such ratio over its triggers. Accounts that hold the same assets form a group, sorted by safety once per
system: what a round can have touched is the head of each group.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from contagion.kernels import fused_screen
from contagion.kernels.accounts import unit_values
from contagion.kernels.inputs import Bools, Floats, Inputs, Ints
from contagion.kernels.packed import OWED, OWNED, QUOTES, STOP, Packed
from contagion.kernels.threads import over_chunks

_SMALL = 16
_GROUPS = 50_000


class Screen(NamedTuple):
    """Accounts by group and safety."""

    account: Ints  # (a,) sorted by group, then safety
    safety: Floats  # (a,) in that order
    start: Ints  # (g + 1,) first place of each group
    pairs: Ints  # priced pairs that matter to each group, one group after the other
    pair_start: Ints  # (g + 1,)
    marked: Bools  # (g,) whether equity, and with it the price that holders mark at, matters too
    seen: Floats  # (r,) prices at the opening that platforms see, USD
    held: Floats  # (r,) and that holders mark at


def build(inputs: Inputs, book: Packed, lines: Floats, bounds: Ints) -> Screen:
    """Return the accounts in the order in which moving prices can touch them; ``lines`` (a, 5) at the opening."""
    positions, price = inputs.positions, inputs.markets.price
    safety, signature = np.empty(book.cash.size), np.empty(book.cash.size, dtype=np.uint64)
    keys = np.random.default_rng(0).integers(1 << 63, size=positions.route.shape[0] + 1, dtype=np.uint64)
    values = unit_values(positions, price, price)
    over_chunks(
        fused_screen.safeties,
        bounds.size - 1,
        safety.size,
        book,
        values,
        lines,
        keys,
        positions.pair,
        bounds,
        safety,
        signature,
    )
    always = book.mark & (QUOTES | OWNED) > 0
    always |= book.mark & (STOP | OWED) == STOP | OWED  # its equity falls with haircuts too
    safety[always] = -np.inf
    group, marked = _groups(book, signature)
    order = np.argsort(safety, kind="stable")
    order = order[np.argsort(group[order], kind="stable")]
    start = np.searchsorted(group[order], np.arange(marked.size + 1))
    pairs, pair_start = _pairs(book, positions.pair, group, marked.size)
    seen, held = _prices(inputs, price)
    return Screen(order, safety[order], start, pairs, pair_start, marked, seen, held)


def moves(screen: Screen, inputs: Inputs, price: Floats) -> Floats:
    """Return the largest fall plus the largest rise (g,) of the prices that matter to each group."""
    seen, held = _prices(inputs, price)
    both = np.stack([relative_move(seen, screen.seen), relative_move(held, screen.held)])
    by_seen = np.stack([np.maximum(0.0, -both[0]), np.maximum(0.0, both[0])])
    by_both = np.stack([np.maximum(0.0, -both).max(axis=0), np.maximum(0.0, both).max(axis=0)])
    if not seen.size:  # nobody holds anything
        return np.zeros(screen.marked.size)
    reach = np.maximum.reduceat(np.stack([by_seen, by_both])[:, :, screen.pairs], screen.pair_start[:-1], axis=2)
    move: Floats = np.where(screen.marked, *reach.sum(axis=1)[::-1])
    return move


@np.errstate(divide="ignore", invalid="ignore")
def relative_move(now: Floats, before: Floats) -> Floats:
    """Return by which share prices have moved; infinite if they were zero."""
    return np.where(now == before, 0.0, now / before - 1.0)


def _prices(inputs: Inputs, price: Floats) -> tuple[Floats, Floats]:
    positions = inputs.positions
    return positions.oracle @ price + positions.oracle_fixed, positions.route @ price


def _groups(book: Packed, signature: np.typing.NDArray[np.uint64]) -> tuple[Ints, Bools]:
    """Return the group (a,) of each account, and which groups have stop-losses.

    Accounts with the same assets; those of which there are few join the rest of their platform.
    """
    _, group, count = np.unique(signature, return_inverse=True, return_counts=True)
    few = count < max(_SMALL, signature.size // _GROUPS)
    stops = (book.mark & STOP > 0).astype(np.int64)
    rest = count.size + 2 * book.platform[book.rule] + stops
    _, first, group = np.unique(np.where(few[group], rest, group), return_index=True, return_inverse=True)
    return group, stops[first] > 0


def _pairs(book: Packed, pair: Ints, group: Ints, count: int) -> tuple[Ints, Ints]:
    """Return the pairs that accounts of each group hold, one group after the other, and where each begins.

    A group that holds nothing is given pair 0; no price touches it.
    """
    size, held_by = int(pair.max(initial=0)) + 1, np.repeat(group, np.diff(book.start).astype(np.int64))
    idle = np.setdiff1d(np.arange(count), held_by)
    held = np.unique(np.concatenate([held_by * size + pair[book.column], idle * size]))
    return held % size, np.searchsorted(held, np.arange(count + 1) * size)
