"""An attribution as tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from contagion import display, holdings
from contagion.attribution.adjoint import Stability, flow_of, flows, stability
from contagion.attribution.build import LossGraph
from contagion.attribution.entities import Entities, channel_of, edges, entities
from contagion.attribution.graph import PASS, Graph
from contagion.attribution.kinds import CHANNELS, TRANSMISSIONS
from contagion.attribution.reading import reading
from contagion.attribution.state import Terminal
from contagion.frozen import HandsOutCopies
from contagion.kernels.inputs import Floats, sum_by

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Attribution"]

_TRIGGERS = ("liquidation", "call", "deleveraging")
_VISIBLE = 1e-12
_LEVELS = {"need": "call", "lam": "sale", "eta": "quote"}


@dataclass(frozen=True, eq=False)
class Attribution(HandsOutCopies):
    """Where a loss came from, exactly; made by `contagion.attribute`.

    Attributes
    ----------
    target : str
        What is attributed.
    unit : str
        "usd", or "drop" or "haircut": the name of the column of amounts in every table.
    total : float
        The whole target; sources and channels each add up to it.
    """

    target: str
    unit: str
    total: float
    terminal: Terminal = field(repr=False)
    loss_graph: LossGraph = field(repr=False)
    between: list[sparse.csr_array] = field(repr=False)
    through: Mapping[str, Floats] = field(repr=False)
    revalued: Mapping[str, Floats] = field(repr=False)
    amounts: Mapping[str, Floats] = field(repr=False)

    def __repr__(self) -> str:
        first = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.sources["share"].head(3).items())
        return f"Attribution({self.target!r}, {self.unit} {self.total:,.6g}: {first or 'no sources'})"

    def _repr_html_(self) -> str | None:
        """Return the summary and the paths that a notebook shows; see `contagion.notebook`."""
        return display.html(self)

    def _repr_svg_(self) -> str | None:
        """Return the picture of the paths alone; see `contagion.notebook`."""
        return display.svg(self)

    @property
    def graph(self) -> Graph:
        """The loss graph."""
        return self.loss_graph.graph

    @cached_property
    def sources(self) -> pd.DataFrame:
        """One row a source, largest first: what each source caused, feedback included.

        Index source: ``shock:<key>``, ``depth:<key>``, ``loss:<node>`` with the scenario's keys, ``opening`` (accounts
        below a level in the opening tables) and ``overshoot`` (what the ratchet holds above its terminal cause).
        Columns: usd (or the unit of the target), share. Adds up to the target.
        """
        amounts = dict.fromkeys(self._source_names(), 0.0)
        for source in self.graph.sources:
            adjoint = self.through[source.effect] / self.graph.scale[source.effect]
            amounts[source.name] += float(source.amounts @ adjoint)
        return self._table(amounts, "source")

    @cached_property
    def channels(self) -> pd.DataFrame:
        """One row a channel, largest first: how the loss last came to its bearer.

        Index channel: own shock, peg, issuer, sales, depth (quotes that left, and depth that the scenario took), cost
        (of liquidations), claims (haircuts on them), deficit (bad debt), external (write-offs), opening, overshoot.
        Columns: usd (or the unit of the target), share. Adds up to the target.
        """
        amounts = dict.fromkeys(CHANNELS, 0.0)
        for block in self.graph.blocks:
            if block.kind not in PASS:
                channel = "sales" if block.kind in ("impact", "arbitrage") else block.kind
                if channel in amounts:
                    amounts[channel] += flow_of(self.graph, block, self.revalued)
        for source in self.graph.sources:
            adjoint = self.revalued[source.effect] / self.graph.scale[source.effect]
            amounts[channel_of(source.name)] += float(source.amounts @ adjoint)
        return self._table(amounts, "channel")

    @cached_property
    def transmission(self) -> pd.DataFrame:
        """One row a kind of edge of the loss graph: what flows over all of them. They overlap: never add them up.

        Index transmission, in the order of the cascade: liquidation, call, deleveraging (an owner sells to meet a
        call), funding (another account sells to meet it), stop_loss, withdrawal (of quotes), oracle (the part of
        liquidations, calls and deleveraging that a platform saw in the price of another venue), forced sale, voluntary
        sale, impact (on the market of the sale), arbitrage (on other markets), depth (that quotes took along), peg,
        issuer, mark, proceeds, cost, claims, deficit, owned (accounts of nodes), haircut. Columns: usd (or the unit of
        the target), share of the target. One dollar passes several kinds on its way.
        """
        amounts = dict.fromkeys(TRANSMISSIONS, 0.0)
        venue = self.terminal.parts.labels.nodes.get_indexer(self.terminal.venue)
        platform = self.terminal.parts.inputs.accounts.platform
        for block in self.graph.blocks:
            amounts[block.kind] += flow_of(self.graph, block, self.through)
            if block.kind in _TRIGGERS and block.cause == "price":
                account, market, usd = holdings.entries(flows(self.graph, block, self.through))
                amounts["oracle"] += float(usd[venue[market] != platform[account]].sum())
        return self._table(amounts, "transmission", in_order=True)

    @cached_property
    def edges(self) -> pd.DataFrame:
        """One row for each pair of entities and kind of edge, largest first: the conserved flows between them.

        cause, effect (source, account group @ platform, market, node), cause_type, effect_type, channel (kind of edge,
        of a source its channel), usd (or the unit of the target), share. At every entity, what flows in is what flows
        out or ends there.
        """
        which = self.entities()
        found = self.flows_between(which)
        for end in ("cause", "effect"):
            number = found[end].to_numpy()
            found[f"{end}_type"] = which.types.take(number)
            found[end] = which.names.take(number)
        found["share"] = self._shares(found["usd"].to_numpy())
        found = found.rename(columns={"usd": self.unit})
        columns = ["cause", "cause_type", "effect", "effect_type", "channel", self.unit, "share"]
        order = np.lexsort((found["channel"], found["effect"], found["cause"], -found["share"].abs()))
        return found[columns].take(order).reset_index(drop=True)

    @cached_property
    def throughput(self) -> pd.DataFrame:
        """One row an entity, largest first: what passes through it, each time it passes.

        Index name: account group @ platform, market, node. Columns: type, usd (or the unit of the target), share,
        borne (what ends there). With feedback a dollar passes several times, so a share may exceed one.
        """
        which = self.entities()
        found, size = self.flows_between(which), len(which.names)
        into = sum_by(found["effect"].to_numpy(), found["usd"].to_numpy(), size)
        borne = self.borne(which)
        rows = np.flatnonzero((which.types != "source") & ((into != 0.0) | (borne != 0.0)))
        frame = pd.DataFrame(
            {
                "type": which.types.take(rows),
                self.unit: into[rows],
                "share": self._shares(into[rows]),
                "borne": borne[rows],
            },
            index=which.names.take(rows).rename("name"),
        )
        return frame.take(np.lexsort((frame.index, -frame["share"].abs())))

    @cached_property
    def opening(self) -> pd.DataFrame:
        """The source ``opening`` by account: index account, columns usd (or the unit of the target), share."""
        labels, quotes = self.terminal.parts.labels, self.terminal.parts.inputs.quotes
        total = np.zeros(len(labels.accounts))
        for source in self.graph.sources:
            if source.name == "opening":
                usd = source.amounts * self.through[source.effect] / self.graph.scale[source.effect]
                total += sum_by(quotes.account, usd, total.size) if source.effect == "eta" else usd
        return self._table(
            dict(zip(labels.accounts[total != 0.0], total[total != 0.0].tolist(), strict=True)), "account"
        )

    @cached_property
    def mitigated(self) -> pd.DataFrame:
        """What hedges softened, largest first: one row an account and trigger.

        account, group, trigger (call, sale or quote), mitigated (USD that gains gave back per dollar that adverse
        prices took from the surplus), usd (or the unit of the target): what passed through the trigger all the same.
        """
        frames = []
        for kind, word in _LEVELS.items():
            softened = self.loss_graph.mitigated[kind]
            rows = np.flatnonzero(softened)
            account = self.terminal.parts.inputs.quotes.account[rows] if kind == "eta" else rows
            frames.append(
                pd.DataFrame(
                    {
                        "account": self.terminal.parts.labels.accounts.take(account),
                        "trigger": word,
                        "mitigated": softened[rows],
                        self.unit: self.through[kind][rows],
                    }
                )
            )
        found = pd.concat(frames, ignore_index=True)
        group = self.terminal.parts.system.accounts.set_index("account")["group"]
        found.insert(1, "group", group.reindex(found["account"]).to_numpy())
        order = np.lexsort((found["trigger"], found["account"], -found[self.unit].abs()))
        return found.take(order).reset_index(drop=True)

    @property
    def residual(self) -> float:
        """How far sources and channels are from adding up to the target, relative to it."""
        scale = abs(self.total) or 1.0
        apart = [abs(float(table[self.unit].sum()) - self.total) for table in (self.sources, self.channels)]
        return max(apart) / scale

    @property
    def spectral_radius(self) -> float:
        """ρ(M) of the loss graph: below one in long-only systems, even past a tipping point."""
        return self._stability.spectral_radius

    @property
    def determinant_sign(self) -> float:
        """Sign of det(I − M), 1 unless hedges have taken the system past a pole."""
        return self._stability.determinant_sign

    @property
    def absolute_shares(self) -> float:
        """Sum of the absolute shares of sources: 1 if none is negative."""
        return float(self.sources["share"].abs().sum())

    @property
    def readable(self) -> bool:
        """Whether shares may be read one by one: ρ(M) < 1 and det(I − M) > 0."""
        return self._stability.readable

    @property
    def reading(self) -> str:
        """How the shares may be read, in one sentence."""
        shares = self.edges["share"].to_numpy()
        said = reading(self.target, self._stability, self.absolute_shares, shares[shares < -_VISIBLE])
        if not self.terminal.parts.run.converged:
            return f"NOT CONVERGED: this attributes the state that the rounds had reached, not a result. {said}"
        return said

    def entities(self, by: tuple[str, ...] = ("group", "platform")) -> Entities:
        """Return the entities, accounts grouped by columns of the table of accounts."""
        return entities(self.terminal.parts, self.graph, by)

    def flows_between(self, which: Entities) -> pd.DataFrame:
        """Return the flows between entities, by number: cause, effect, channel, usd."""
        return edges(self.graph, self.through, which)

    def borne(self, which: Entities) -> Floats:
        """Return what of the target ends at each entity (e,)."""
        total = np.zeros(len(which.names))
        for kind, amounts in self.amounts.items():
            total += which.total(kind, amounts)
        return total

    @cached_property
    def _stability(self) -> Stability:
        return stability(self.between)

    def _source_names(self) -> list[str]:
        scenario = self.terminal.scenario
        thinned = [key for key, value in scenario.depth.items() if value < 1.0]
        named = {"shock": scenario.shocks, "depth": thinned, "loss": scenario.losses}
        return [f"{word}:{key}" for word, keys in named.items() for key in keys] + ["opening", "overshoot"]

    def _shares(self, amounts: Floats) -> Floats:
        return amounts / self.total if self.total else np.zeros_like(amounts)

    def _table(self, amounts: Mapping[str, float], index: str, in_order: bool = False) -> pd.DataFrame:
        values = np.array(list(amounts.values()), dtype=np.float64)
        names = pd.Index(list(amounts), dtype="str", name=index)
        frame = pd.DataFrame({self.unit: values, "share": self._shares(values)}, index=names)
        return frame if in_order else frame.take(np.argsort(-np.abs(values), kind="stable"))
