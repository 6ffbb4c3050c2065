"""Ranked measures against plain loops over the tables."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from tests.seeds import some
from tests.stress_systems import squeeze
from tests.systems import draw, loose

COLUMNS = [
    "rank",
    "type",
    "throughput",
    "throughput_share",
    "passing_share",
    "amplification",
    "cross_domain_throughput",
    "caused",
    "headroom",
    "loss_passed_on",
    "own_loss",
    "deficit_caused",
    "deficit_borne",
    "usd_sold",
    "price_drop_caused",
    "hardest_hit",
    "share_liquidated",
    "leverage_before",
    "leverage_after",
    "cross_domain_exposure",
    "first_round",
]
Amounts = dict[Any, float]


class Slow:
    """Everything the measures need, by loops over rows."""

    def __init__(self, solution: ct.Solution) -> None:
        system, self.solution = solution.system, solution
        self.markets = loose(solution.markets).to_dict("index")
        self.accounts = loose(solution.accounts).to_dict("index")
        self.domain = dict(zip(system.nodes["node"], system.nodes["domain"], strict=True))
        self.group = {a: f"{row['group']} @ {row['platform']}" for a, row in self.accounts.items()}
        self.platform = {self.group[a]: row["platform"] for a, row in self.accounts.items()}
        self.net: dict[str, Amounts] = {a: defaultdict(float) for a in self.accounts}
        self.held: dict[str, Amounts] = {a: defaultdict(float) for a in self.accounts}
        self.touched: dict[str, Amounts] = {a: defaultdict(float) for a in self.accounts}
        for row in loose(system.positions).itertuples():
            for market, share in self.route(self.accounts[row.account]["platform"], row.asset).items():
                units = share * (-row.quantity if row.side == "debt" else row.quantity)
                usd = abs(units) * self.markets[market]["price_before"]
                self.net[row.account][market] += units
                self.touched[row.account][market] += usd
                if row.side != "debt":
                    self.held[row.account][market] += usd

    def route(self, platform: str, asset: str) -> Amounts:
        rows = [
            r for r in loose(self.solution.system.routes).itertuples() if (r.platform, r.asset) == (platform, asset)
        ]
        if rows:
            shares: Amounts = defaultdict(float)
            for row in rows:
                shares[row.market] += row.share
            return shares
        own_depth = dict(
            zip(self.solution.system.markets["market"], self.solution.system.markets["depth"], strict=True)
        )
        listed = [m for m, row in self.markets.items() if row["asset"] == asset]
        mine = [m for m in listed if self.markets[m]["venue"] == platform] or listed
        best = max((own_depth[m] for m in mine), default=0.0)
        if math.isinf(best):
            weight = {m: float(math.isinf(own_depth[m])) for m in mine}
        else:
            weight = {m: own_depth[m] if best > 0 else 1.0 for m in mine}
        total = sum(weight.values())
        return {m: w / total for m, w in weight.items()}

    def exposed(self, market: str, side: float, group: str | None = None) -> float:
        price = float(self.markets[market]["price_before"])
        return sum(
            max(0.0, side * float(units[market]) * price)
            for a, units in self.net.items()
            if group is None or self.group[a] == group
        )

    def pressure(self, sold: Amounts) -> Amounts:
        """Return x = (diag(D) + L)^-1 Q by a dense solve; sums where a component has no depth."""
        names = list(self.markets)
        depth = np.array([self.markets[m]["depth"] for m in names])
        flow = np.array([sold.get(m, 0.0) for m in names])
        matrix = np.zeros((len(names), len(names)))
        factor = self.solution.scenario.arbitrage
        for row in loose(self.solution.system.arbitrage).itertuples():
            i, j, link = names.index(row.market_a), names.index(row.market_b), row.depth * factor
            matrix[i, i] += link
            matrix[j, j] += link
            matrix[i, j] -= link
            matrix[j, i] -= link
        reach = np.linalg.matrix_power((matrix != 0.0) | np.eye(len(names), dtype=bool), len(names))
        x = np.zeros(len(names))
        void = [not depth[reach[i]].any() for i in range(len(names))]
        finite = [i for i in range(len(names)) if not void[i] and np.isfinite(depth[i])]
        inner = matrix[np.ix_(finite, finite)] + np.diag(depth[finite])
        x[finite] = np.linalg.solve(inner, flow[finite])
        for i in range(len(names)):
            if void[i]:
                x[i] = flow[reach[i]].sum()
        return dict(zip(names, x.tolist(), strict=True))

    def sales(self, side: float, group: str | None = None) -> Amounts:
        found: Amounts = defaultdict(float)
        for a, units in self.net.items():
            if group is None or self.group[a] == group:
                for market, amount in units.items():
                    usd = side * self.accounts[a]["liquidated"] * amount * self.markets[market]["price_before"]
                    found[market] += max(0.0, usd)
        return found

    def price_share(self, group: str) -> Amounts:
        """Return how much of each price, without sign, the group's sales and quotes moved."""
        found: Amounts = defaultdict(float)
        for side in (1.0, -1.0):
            mine, all_ = self.pressure(self.sales(side, group)), self.pressure(self.sales(side))
            for market, row in self.markets.items():
                if self.side(market) == side and all_[market] > 0.0:
                    found[market] += mine[market] / all_[market] * abs(row["drop_sales"])
        inputs, labels = self.solution.parts.inputs, self.solution.parts.labels
        factor = dict(zip(labels.markets, inputs.markets.factor, strict=True))
        raising = dict(zip(labels.markets, inputs.markets.raising_factor, strict=True))
        for row in loose(self.solution.quotes).itertuples():
            market = self.markets[row.market]
            if self.group[row.account] != group or math.isinf(market["depth_before"]):
                continue
            gone = raising[row.market] * market["depth_before"] - market["depth"]
            if gone > 0.0:
                found[row.market] += factor[row.market] * row.depth * row.withdrawn / gone * abs(market["drop_depth"])
        return found

    def side(self, market: str) -> float:
        row = self.markets[market]
        return -1.0 if row["drop_sales"] + row["drop_depth"] < 0.0 else 1.0


def near(got: float, want: float, scale: float) -> None:
    if math.isnan(want) or math.isinf(want):
        assert math.isnan(got) if math.isnan(want) else got == want
    else:
        assert abs(got - want) <= 1e-8 * max(scale, abs(want)), (got, want)


@pytest.mark.parametrize("seed", some(40))
def test_measures_are_plain_sums(seed: int) -> None:
    system, scenario = draw(seed)
    solution = ct.solve(system, scenario, on_failure="return")
    slow, ranked = Slow(solution), ct.rank(solution)
    money = float(solution.accounts["gross_assets_before"].sum()) or 1.0
    of: dict[str, dict[str, Any]] = {
        kind: loose(ranked[ranked["type"] == kind]).to_dict("index") for kind in ("node", "market", "group")
    }
    for name, got in of["market"].items():
        row, side = slow.markets[name], slow.side(name)
        near(got["loss_passed_on"], slow.exposed(name, side) * abs(row["drop_sales"] + row["drop_depth"]), money)
        falling = -1.0 if row["drop"] < 0.0 else 1.0
        near(got["own_loss"], slow.exposed(name, falling) * abs(row["drop"]), money)
        near(got["price_drop_caused"], row["drop_sales"] + row["drop_depth"], 1.0)
        sold = sum(slow.accounts[a]["liquidated"] * held[name] for a, held in slow.held.items())
        near(got["usd_sold"], sold, money)
        held_here = sum(held[name] for held in slow.held.values())
        near(got["share_liquidated"], sold / held_here if held_here > 0.0 else math.nan, 1.0)
    deepest: dict[str, Amounts] = defaultdict(lambda: defaultdict(float))
    for name, got in of["group"].items():
        members = [a for a, group in slow.group.items() if group == name]
        share = slow.price_share(name)
        others = {m: slow.exposed(m, slow.side(m)) - slow.exposed(m, slow.side(m), name) for m in share}
        damage = sum(part * others[m] for m, part in share.items())
        deficit = sum(slow.accounts[a]["deficit"] for a in members)
        near(got["loss_passed_on"], damage + deficit, money)
        near(got["deficit_caused"], deficit, money)
        near(got["own_loss"], sum(slow.accounts[a]["loss"] for a in members), money)
        falls = {m: part for m, part in share.items() if slow.side(m) > 0.0}
        near(got["price_drop_caused"], max(falls.values(), default=0.0), 1.0)
        for market, part in falls.items():
            deepest[slow.platform[name]][market] += part
        for when, suffix in (("before", "_before"), ("after", "")):
            gross = sum(slow.accounts[a][f"gross_assets{suffix}"] for a in members)
            equity = sum(max(0.0, slow.accounts[a]["equity_before" if suffix else "equity_marked"]) for a in members)
            want = gross / equity if equity > 0.0 else (math.inf if gross > 0.0 else math.nan)
            near(got[f"leverage_{when}"], want, 1.0)
    nodes = loose(solution.nodes).to_dict("index")
    for name, got in of["node"].items():
        row = nodes[name]
        beyond = max(0.0, row["loss"] - row["buffer"] - row["liabilities"])
        near(got["loss_passed_on"], row["haircut"] * row["liabilities"] + beyond, money)
        near(got["own_loss"], row["loss"], money)
        near(got["usd_sold"], row["liquidated"], money)
        near(got["deficit_borne"], row["loss_deficits"], money)
        near(got["deficit_caused"], sum(r["deficit"] for r in slow.accounts.values() if r["owner"] == name), money)
        near(got["price_drop_caused"], max(deepest[name].values(), default=0.0), 1.0)
    for kind in of:
        near(sum(row["usd_sold"] for row in of[kind].values()), solution.totals["liquidated"], money)


@pytest.mark.parametrize("seed", some(40))
def test_cross_domain_exposure(seed: int) -> None:
    system, scenario = draw(seed)
    solution = ct.solve(system, scenario, on_failure="return")
    slow, ranked = Slow(solution), ct.rank(solution)
    want: dict[str, Amounts] = {kind: defaultdict(float) for kind in ("node", "market", "group")}
    for a, held in slow.touched.items():
        platform = slow.accounts[a]["platform"]
        for market, usd in held.items():
            if slow.domain[platform] != slow.domain[slow.markets[market]["venue"]]:
                want["node"][platform] += usd
                want["market"][market] += usd
                want["group"][slow.group[a]] += usd
    for row in loose(system.claims).itertuples():
        lender = slow.accounts[row.creditor]["platform"] if row.creditor in slow.accounts else row.creditor
        if slow.domain[lender] != slow.domain[row.debtor]:
            want["node"][row.debtor] += row.amount
            if row.creditor in slow.accounts:
                want["group"][slow.group[row.creditor]] += row.amount
            else:
                want["node"][row.creditor] += row.amount
    for called, source in {(slow.group[r.account], r.source) for r in loose(system.funding).itertuples()}:
        if slow.domain[slow.platform[called]] != slow.domain[slow.accounts[source]["platform"]]:
            equity = max(0.0, slow.accounts[source]["equity_before"])
            want["group"][called] += equity
            want["group"][slow.group[source]] += equity
    scale = float(solution.accounts["gross_assets_before"].sum()) or 1.0
    for kind, amounts in want.items():
        for name, got in ranked[ranked["type"] == kind]["cross_domain_exposure"].items():
            near(got, amounts[str(name)], scale)


def test_columns_order_and_ties() -> None:
    system, fall = ct.generate.system(accounts=300)
    ranked = ct.rank(ct.solve(system, fall))
    assert list(ranked.columns) == COLUMNS
    assert ranked["rank"].tolist() == list(range(1, len(ranked) + 1))
    assert ranked.index.name == "name"
    caused = ranked[ranked["type"] == "source"]["caused"]
    assert len(ranked) == len(system.nodes) + len(system.markets) + 8 + len(caused)
    assert ranked["type"].iloc[-len(caused) :].eq("source").all()
    assert caused.is_monotonic_decreasing
    entities = ranked[ranked["type"] != "source"]
    pairs = list(zip((-entities["throughput"]).tolist(), (-entities["loss_passed_on"]).tolist(), strict=True))
    assert pairs == sorted(pairs)
    assert ranked.loc[ranked["type"] == "market", "deficit_caused"].isna().all()
    assert ranked.loc[ranked["type"] != "node", "deficit_borne"].isna().all()
    assert {"trader @ exchange0", "exchange0", "exchange0:asset00"} <= set(ranked.index)


def test_measures_of_the_attribution() -> None:
    """Sources add up to the loss, what passes at least once is what passes over how often, and domains by hand."""
    for seed in some(12):
        solution = ct.solve(*draw(seed, shorts=False))
        ranked, found = ct.rank(solution), ct.attribute(solution)
        loss = solution.totals["loss"]
        assert ranked["caused"].sum() == pytest.approx(loss, rel=1e-9, abs=1e-12)
        assert (ranked["passing_share"].dropna() <= 1.0 + 1e-9).all()
        assert (ranked["amplification"].dropna() >= 1.0 - 1e-12).all()
        ways = ranked["passing_share"] * ranked["amplification"]
        np.testing.assert_allclose(ways.dropna(), ranked["throughput_share"].dropna(), rtol=1e-9, atol=1e-12)
        slow = Slow(solution)
        of = slow.domain | {m: slow.domain[row["venue"]] for m, row in slow.markets.items()}
        of |= {group: slow.domain[platform] for group, platform in slow.platform.items()}
        across: Amounts = defaultdict(float)
        for row in loose(found.edges).itertuples():
            if row.cause in of and of[row.cause] != of[row.effect]:
                across[row.cause] += row.usd
                across[row.effect] += row.usd
        for name, got in ranked["cross_domain_throughput"].dropna().items():
            near(got, across[str(name)], max(loss, 1e-9))


def test_first_round_and_hardest_hit() -> None:
    solution = ct.solve(*ct.generate.system(accounts=300))
    ranked = ct.rank(solution)
    sold = solution.accounts.groupby(["group", "platform"])["liquidated_round"].min()
    for (group, platform), first in loose(sold).items():
        got = loose(ranked).loc[f"{group} @ {platform}", "first_round"]
        assert (got is pd.NA and first is pd.NA) or got == first
    hit = ranked[(ranked["type"] == "group") & (ranked["price_drop_caused"] > 0.0)]
    assert set(hit["hardest_hit"]) <= set(solution.markets.index)
    assert (ranked.loc[ranked["price_drop_caused"] == 0.0, "hardest_hit"] == "").all()


def test_nothing_happens() -> None:
    system, _ = ct.generate.system(accounts=100)
    ranked = ct.rank(ct.solve(system))
    for column in ("loss_passed_on", "own_loss", "usd_sold", "price_drop_caused"):
        assert (ranked[column] == 0.0).all()
    assert ranked["first_round"].isna().all()
    assert list(ranked.index) == sorted(ranked.index)


def test_empty_system() -> None:
    ranked = ct.rank(ct.solve(ct.System()))
    assert ranked.empty
    assert list(ranked.columns) == COLUMNS


def test_row_order_changes_nothing() -> None:
    system, fall = ct.generate.system(accounts=200)
    shuffled = ct.System(**{name: table.sample(frac=1.0, random_state=7) for name, table in system.tables()})
    shuffled = shuffled.with_table("funding", system.funding)
    pd.testing.assert_frame_equal(ct.rank(ct.solve(system, fall)), ct.rank(ct.solve(shuffled, fall)), check_exact=True)


def test_many_groups_are_done_in_blocks() -> None:
    system, fall = ct.generate.system(accounts=1500, assets=3)
    alone = system.with_table("accounts", system.accounts.assign(group=system.accounts["account"]))
    ranked = ct.rank(ct.solve(alone, fall))
    together = ct.rank(ct.solve(system, fall))
    assert (ranked["type"] == "group").sum() == 1500
    for kind in ("node", "market"):
        left, right = (loose(frame[frame["type"] == kind]).sort_index() for frame in (ranked, together))
        np.testing.assert_allclose(left["price_drop_caused"], right["price_drop_caused"], rtol=1e-9)


def test_wrong_argument() -> None:
    with pytest.raises(ct.InputError, match="solution is a NoneType"):
        ct.rank(None)  # type: ignore[arg-type]
    with pytest.raises(ct.InputError, match="did you mean 'avoided_if_immune'") as caught:
        ct.rank(ct.solve(ct.System()), ["avoided_if_imune", "throughput"])
    assert len(caught.value.problems) == 2
    with pytest.raises(ct.InputError, match=r"give a list of measures, as \['impact_if_failed'\]"):
        ct.rank(ct.solve(ct.System()), "impact_if_failed")
    with pytest.raises(ct.InputError, match="measures is True"):
        ct.rank(ct.solve(ct.System()), True)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(4))
def test_measures_on_request_are_those_of_their_functions(seed: int) -> None:
    solution = ct.solve(*draw(seed, shorts=False))
    plain, ranked = ct.rank(solution), loose(ct.rank(solution, ("impact_if_failed", "avoided_if_immune")))
    added = ["avoided_if_immune", "impact_if_failed"]
    pd.testing.assert_frame_equal(ranked.drop(columns=added), plain, check_exact=True)
    place = COLUMNS.index("headroom") + 1
    assert list(ranked.columns) == [*COLUMNS[:place], *added, *COLUMNS[place:]]
    avoided, failed = ct.avoided_if_immune(solution), ct.impact_if_failed(solution.system)
    for measure, table in (("avoided_if_immune", avoided), ("impact_if_failed", failed)):
        of = {(row["type"], name): row[measure] for name, row in loose(table).iterrows()}
        for name, row in ranked.iterrows():
            missing = 0.0 if measure == "avoided_if_immune" and row["type"] != "source" else math.nan
            assert row[measure] == of.get((row["type"], name), missing) or math.isnan(row[measure])
            if row["type"] == "source" or (row["type"] == "market" and measure == "impact_if_failed"):
                assert math.isnan(row[measure])
            else:
                assert math.isnan(row[measure]) == math.isnan(of.get((row["type"], name), 0.0))


def test_prices_beyond_all_numbers_are_ranked_without_a_warning() -> None:
    solution = ct.solve(squeeze(), on_failure="return")
    ranked = ct.rank(solution)
    assert ranked["throughput"].isna().all()
    assert len(ranked) == 7
    with pytest.raises(ct.InputError, match="has converged"):
        ct.rank(solution, ["avoided_if_immune"])
