"""A system in parts as one: what the parts have in common, and the pass over accounts that asks them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from contagion.arrays import Labels
from contagion.arrays.shared import levels_of_columns, lower_shared, united
from contagion.kernels import Inputs
from contagion.kernels.accounts import net_units, unit_values
from contagion.kernels.chunks import in_order
from contagion.kernels.credit import borne
from contagion.kernels.fused_funds import raised
from contagion.kernels.inputs import DEBT, Floats, Ints, sign_of, sum_by
from contagion.kernels.markets import prices
from contagion.kernels.packed import surplus_of_unit
from contagion.kernels.reaction import Firsts, Funds, Reaction, State
from contagion.lookup import code
from contagion.parts.book import Summary
from contagion.parts.engine import Parts
from contagion.parts.messages import Acted, Broadcast
from contagion.scenario import Scenario
from contagion.system import System

__all__ = ["PartsPass", "Whole"]


class Whole(NamedTuple):
    """What the parts have in common; small, wherever they are."""

    inputs: Inputs  # without accounts; quotes number the accounts that quote, part by part
    labels: Labels
    columns: tuple[Ints, ...]  # number of each part's term columns
    strict: Floats  # (k,) margin rule of each column's platform
    levels: Floats  # (2, k) and liquidation and call level
    doubled: Floats  # (2, k) twice the size of each term column's part in either surplus at the opening
    opening: Floats  # (q,) equity of accounts that quote before anything has happened, USD
    funded: Ints  # (f,) called account, among the linked ones of all parts, in the order in which money is asked for
    source: Ints  # (f,) account that gives
    linked: Ints  # (parts + 1,) first of each part's linked accounts
    outside: Floats  # (n,) liabilities that nobody inside holds, USD

    @classmethod
    def of(cls, system: System, scenario: Scenario, summaries: Sequence[Summary]) -> Whole:
        """Return what parts have in common; ``system`` holds the small tables, overrides applied."""
        together, columns = united([each.columns for each in summaries])
        claims = pd.concat([each.claims for each in summaries], ignore_index=True)
        owed = in_order(np.concatenate([each.owed for each in summaries]))
        quoting = [name for each in summaries for name in each.quoting]
        inputs, labels = lower_shared(system.with_table("claims", claims), scenario, together, quoting, owed)
        strict, levels = levels_of_columns(system, together)
        price = inputs.markets.price
        surplus = surplus_of_unit(strict, levels, unit_values(inputs.positions, price, price))
        linked = pd.Index([name for each in summaries for name in each.linked], dtype="str")
        funding = system.funding.sort_values("priority", kind="stable")
        made = cls(
            inputs=inputs,
            labels=labels,
            columns=tuple(columns),
            strict=strict,
            levels=levels,
            doubled=2.0 * np.abs(surplus),
            opening=np.concatenate([each.opening for each in summaries]),
            funded=code(funding["account"], linked),
            source=code(funding["source"], linked),
            linked=np.cumsum([0, *(len(each.linked) for each in summaries)]),
            outside=np.zeros(0),
        )
        return made._replace(outside=made._held_by_nobody(system, summaries, owed))

    @property
    def opening_price(self) -> Floats:
        """Price (k,) of each term column along its platform's route before anything has happened, USD per unit."""
        positions = self.inputs.positions
        price: Floats = (positions.route @ self.inputs.markets.price)[positions.pair]
        return price

    @property
    def worth(self) -> Floats:
        """What a unit of collateral or perps in each term column (k,) is worth at the opening, USD; 0 for debts."""
        return np.where(self.inputs.positions.side == DEBT, 0.0, self.opening_price)

    def told(self, price: Floats, average: Floats, haircut: Floats, everybody: bool = False) -> Broadcast:
        """Return what parts are told at prices, sellers' average prices (m,) and haircuts (n,)."""
        values = unit_values(self.inputs.positions, price, average)
        return Broadcast(values, surplus_of_unit(self.strict, self.levels, values), 1.0 - haircut, everybody)

    def raised(self, parts: Parts, at: Broadcast) -> list[Funds] | None:
        """Return the funds of each part that margin calls raise; None if nobody asks for any."""
        if not self.funded.size:
            return None
        answers = parts.ask(at)
        asked, worth = (np.concatenate([answer[column] for answer in answers]) for column in range(2))
        funds = raised(asked, worth, self.funded, self.source)
        if funds is None:
            return None
        split = [np.split(each, self.linked[1:-1]) for each in funds]
        return [Funds(*each) for each in zip(*split, strict=True)]

    def closed(self, acted: Sequence[Acted]) -> Floats:
        """Return the units (k,) closed in each term column, chunk by chunk."""
        total = np.zeros(self.strict.size)
        for columns, part in zip(self.columns, acted, strict=True):
            for chunk in part.closed:
                total[columns] += chunk
        return total

    def _held_by_nobody(self, system: System, summaries: Sequence[Summary], owed: Floats) -> Floats:
        """Return liabilities (n,) that are held outside; see `contagion.frames.nodes.outside_liabilities`."""
        units, nodes = np.zeros(self.strict.size), self.inputs.nodes
        for columns, each in zip(self.columns, summaries, strict=True):
            units[columns] += each.units
        value = sign_of(self.inputs.positions.side) * units * self.opening_price
        issuers = system.assets.set_index("asset")["issuer"].reindex(self.labels.assets)
        issuer = code(issuers, self.labels.nodes)[self.labels.columns["asset"].to_numpy()]
        tokens = sum_by(issuer[issuer >= 0], value[issuer >= 0], nodes.buffer.size)
        claims = nodes.claims.sum(axis=0) + owed
        free: Floats = np.maximum(0.0, nodes.liabilities - claims - np.maximum(0.0, tokens))
        return free


class PartsPass:
    """All accounts, part by part; see `contagion.kernels.reaction.Pass`."""

    def __init__(self, whole: Whole, parts: Parts) -> None:
        self._whole, self._parts, self._everybody = whole, parts, False
        self.firsts = Firsts.of(0)
        self.opening = whole.opening[whole.inputs.quotes.account]

    def __call__(self, number: int, state: State) -> Reaction:
        """Return what accounts do in round ``number`` at the prices and haircuts of a state."""
        whole, inputs = self._whole, self._whole.inputs
        at = whole.told(prices(inputs.markets.price, state.log_drop), state.average, state.haircut)
        self._everybody |= not (np.abs(at.surplus) <= whole.doubled).all()
        at = at._replace(everybody=self._everybody)
        acted = self._parts.react(number, at, whole.raised(self._parts, at))
        units = net_units(inputs.positions, whole.closed(acted))
        deficits, owned = (in_order(np.concatenate([getattr(part, name) for part in acted])) for name in _BY_NODE)
        counts = np.concatenate([part.counts for part in acted]).sum(axis=0)
        quoting, closing = (np.concatenate([getattr(part, name) for part in acted]) for name in ("quoting", "closing"))
        return Reaction(
            liquidated=state.liquidated,
            sold=(inputs.positions.route.T @ units) * inputs.markets.price,
            quoting=quoting[inputs.quotes.account],
            closing=closing[inputs.quotes.account],
            haircut=borne(inputs.nodes, deficits, owned, state.haircut)[2],
            moved=float(np.concatenate([part.moved for part in acted]).max(initial=0.0)),
            deficit=float(deficits.sum()),
            evaluated_count=int(counts[2]),
            called_count=int(counts[0]),
            liquidated_count=int(counts[1]),
        )

    def flush(self) -> None:
        """Nothing is left to be done: the parts keep their accounts to themselves."""


_BY_NODE = ("deficits", "owned")
