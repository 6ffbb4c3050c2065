"""The attribution against the slow loss graph, by hand on the worked example, and by what it must conserve."""

from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

import contagion as ct
from contagion import holdings
from contagion.attribution.accounts import shares_of_maximum
from contagion.attribution.adjoint import Stability, flow_of
from contagion.attribution.graph import PASS
from contagion.attribution.reading import reading
from tests import loss_graph
from tests.random_systems import random_tables
from tests.seeds import some
from tests.systems import to_scenario, to_system
from tests.test_loss_graph import TABLES

BLOCKS = 8
"""Seeds are tested in so many lots, which workers share."""


def slow_of(tables: Any, scenario: Any, solution: ct.Solution, layers: bool) -> loss_graph.Attribution:
    """Return the slow attribution at the very state that the package found."""
    state, labels = solution.parts.run.state, solution.parts.labels
    withdrawn = np.empty(state.withdrawn.size)
    withdrawn[labels.quote_rows] = state.withdrawn
    unknowns = loss_graph.Unknowns(
        dict(zip(labels.accounts, state.liquidated.tolist(), strict=True)),
        withdrawn.tolist(),
        dict(zip(labels.nodes, state.haircut.tolist(), strict=True)),
    )
    return loss_graph.attribute_at(tables, scenario, unknowns, layers=layers)


def solved(seed: int, shorts: bool) -> tuple[Any, Any, ct.Solution]:
    tables, scenario = random_tables(np.random.default_rng(seed), shorts=shorts)
    return tables, scenario, ct.solve(to_system(tables), to_scenario(scenario), on_failure="return")


def worked_example() -> ct.Solution:
    return ct.solve(to_system(TABLES), ct.Scenario(shocks={"A": 0.1}, depth={"x": 0.5}))


def agree(found: pd.Series, wanted: dict[str, float], scale: float, tolerance: float = 1e-9) -> None:
    """Check values by name; a name that one side lacks counts as zero."""
    for name in set(found.index) | set(wanted):
        assert found.get(name, 0.0) == pytest.approx(wanted.get(name, 0.0), abs=tolerance * scale), name


def flows_by_kind(found: ct.Attribution) -> dict[str, float]:
    """Return flows by kind of edge as the slow version names them: with one kind of sales, and no step in between."""
    kinds: dict[str, float] = defaultdict(float)
    for block in found.graph.blocks:
        if block.kind not in ("impact", "arbitrage"):
            kinds["sales" if "sale" in block.kind else block.kind] += flow_of(found.graph, block, found.through)
    return kinds


@pytest.mark.parametrize("rule", ["binding", "layers"])
@pytest.mark.parametrize("shorts", [True, False])
@pytest.mark.parametrize("lot", range(BLOCKS))
def test_agrees_with_the_slow_version_on_random_systems(rule: Any, shorts: bool, lot: int) -> None:
    for seed in some(80)[lot::BLOCKS]:
        tables, scenario, solution = solved(seed, shorts)
        slow = slow_of(tables, scenario, solution, rule == "layers")
        found = ct.attribute(solution, rule=rule)
        assert found.total == pytest.approx(slow.loss, rel=1e-10, abs=1e-12), seed
        agree(found.sources["usd"], slow.sources, slow.loss)
        agree(found.channels["usd"], slow.channels, slow.loss)
        size = max([slow.loss, *map(abs, slow.flows.values())])
        agree(pd.Series(flows_by_kind(found)), slow.flows, size)
        assert found.spectral_radius == pytest.approx(slow.rho, rel=1e-6, abs=1e-9), seed
        assert found.determinant_sign == slow.det_sign, seed
        for kind, softened in found.loss_graph.mitigated.items():
            wanted = sum(value for (of, _), value in slow.mitigated.items() if of == kind)
            assert softened.sum() == pytest.approx(wanted, rel=1e-9, abs=1e-12), (seed, kind)


@pytest.mark.parametrize("shorts", [True, False])
def test_every_target_agrees_with_the_slow_adjoint(shorts: bool) -> None:
    for seed in some(12):
        tables, scenario, solution = solved(seed, shorts)
        slow = slow_of(tables, scenario, solution, layers=False)
        for target, v in targets_of(tables, slow).items():
            y = adjoint(slow, v)
            wanted: dict[str, float] = defaultdict(float)
            for (node, source), value in slow.c.items():
                wanted[source] += value * y.get(node, 0.0)
            total = sum(weight * slow.u.get(node, 0.0) for node, weight in v.items())
            found = ct.attribute(solution, target)
            assert found.total == pytest.approx(total, rel=1e-10, abs=1e-12), (seed, target)
            agree(found.sources[found.unit], wanted, max(total, 1e-6))
            assert found.residual <= 1e-9, (seed, target)


def targets_of(tables: Any, slow: loss_graph.Attribution) -> dict[str, dict[Any, float]]:
    """Return weights of one target of each kind."""
    account, platform = tables["accounts"][0]["account"], tables["accounts"][0]["platform"]
    here = [row["account"] for row in tables["accounts"] if row["platform"] == platform]
    market, node = tables["markets"][0]["market"], tables["nodes"][0]["node"]
    drop = slow.u.get(("price", market), 0.0)
    return {
        f"equity:{account}": {("loss", account): 1.0},
        f"deficit:{platform}": {("short", name): 1.0 for name in here},
        f"price:{market}": {("price", market): -np.expm1(-drop) / drop if drop else 0.0},
        f"haircut:{node}": {("theta", node): 1.0},
    }


def adjoint(slow: loss_graph.Attribution, v: dict[Any, float]) -> dict[Any, float]:
    place = {node: k for k, node in enumerate(slow.nodes)}
    matrix = np.eye(len(place))
    for (i, j), coefficient in slow.M.items():
        matrix[place[j], place[i]] -= coefficient * slow.u[j] / slow.u[i]
    right = [v.get(node, 0.0) * slow.u[node] for node in slow.nodes]
    through = np.linalg.solve(matrix, right) if place else np.zeros(0)
    return {node: through[k] / slow.u[node] for node, k in place.items()}


@pytest.mark.parametrize("shorts", [True, False])
def test_every_row_adds_up_to_its_unknown(shorts: bool) -> None:
    for seed in some(14):
        graph = ct.attribute(solved(seed, shorts)[2]).graph
        for kind, value in graph.value.items():
            rows, largest = np.zeros(value.size), np.abs(value)
            for block in graph.blocks:
                if block.effect == kind:
                    amounts = holdings.scaled(block.amounts, columns=graph.ratio(block.cause))
                    rows += holdings.sums(amounts, 1)
                    largest = np.maximum(largest, abs(amounts).max(axis=1).toarray().ravel())
            for source in graph.sources:
                rows += np.where(source.effect == kind, source.amounts, 0.0) if source.effect == kind else 0.0
            assert (np.abs(rows - value) <= 1e-12 * np.maximum(largest, 1e-3)).all(), (seed, kind)


@pytest.mark.parametrize("shorts", [True, False])
def test_flows_are_conserved_at_every_entity(shorts: bool) -> None:
    for seed in some(14):
        found = ct.attribute(solved(seed, shorts)[2])
        into = found.edges.groupby("effect")["usd"].sum()
        out = found.edges.groupby("cause")["usd"].sum()
        gross = max(1e-9, float(found.edges["usd"].abs().sum()))
        for name, row in found.throughput.iterrows():
            assert into.get(name, 0.0) == pytest.approx(row["usd"], abs=1e-12 * gross), (seed, name)
            assert out.get(name, 0.0) + row["borne"] == pytest.approx(row["usd"], abs=1e-9 * gross), (seed, name)
        assert found.throughput["borne"].sum() == pytest.approx(found.total, rel=1e-12, abs=1e-12)


def test_the_worked_example() -> None:
    found = ct.attribute(worked_example())
    assert found.sources.loc["shock:A", "usd"] == pytest.approx(1.5963878107327891, rel=1e-12)
    assert found.sources.loc["depth:x", "usd"] == pytest.approx(0.269224736036972, rel=1e-12)
    wanted = {"own shock": 0.9271240585605919, "cost": 0.5, "sales": 0.32886636615687687, "depth": 0.10962212205229228}
    for channel, usd in wanted.items():
        assert found.channels.loc[channel, "usd"] == pytest.approx(usd, rel=1e-12)
    y_price = found.through["price"][0] / found.graph.scale["price"][0]
    assert y_price == pytest.approx(6.3521306, rel=1e-7)
    assert found.throughput.loc["x:A", "usd"] == pytest.approx(0.2058639 * 6.3521306 + 0.1551914 * 8.7995399, rel=1e-6)
    assert found.readable
    assert found.residual <= 1e-15


def test_a_market_and_its_price_split_alike() -> None:
    """The drop of one market by the attribution's channels where nothing but direct causes counts: depth 1e300."""
    system = to_system({**TABLES, "markets": [{**row, "depth": 1e300} for row in TABLES["markets"]]})
    found = ct.attribute(ct.solve(system, ct.Scenario(shocks={"A": 0.1})), "price:x:A")
    assert found.unit == "drop"
    assert found.total == pytest.approx(0.1, rel=1e-12)
    assert found.channels.loc["own shock", "drop"] == pytest.approx(0.1, rel=1e-12)


def test_nothing_happens_and_nothing_is_attributed() -> None:
    found = ct.attribute(ct.solve(to_system(TABLES)))
    assert found.total == 0.0
    assert found.edges.empty
    assert found.throughput.empty
    assert (found.sources["usd"] == 0.0).all()
    assert found.residual == 0.0


def test_an_account_below_its_level_at_the_opening_is_its_own_source() -> None:
    rows = [{**TABLES["positions"][0]}, {**TABLES["positions"][1], "quantity": 9.0}]
    found = ct.attribute(ct.solve(to_system({**TABLES, "positions": rows})))
    assert found.opening["share"].iloc[0] > 0.0
    assert found.opening["usd"].to_dict() == {"a": found.sources["usd"].to_dict()["opening"]}
    assert found.sources["share"].sum() == pytest.approx(1.0, abs=1e-12)


def test_row_order_changes_nothing() -> None:
    for seed in some(10):
        tables, scenario, solution = solved(seed, shorts=True)
        found = ct.attribute(solution)
        turned = {name: rows[::-1] if name != "funding" else rows for name, rows in tables.items()}
        again = ct.attribute(ct.solve(to_system(turned), to_scenario(scenario), on_failure="return"))
        pd.testing.assert_frame_equal(found.sources, again.sources, check_exact=True)
        pd.testing.assert_frame_equal(found.throughput, again.throughput, check_exact=True)


def test_long_only_systems_have_shares_that_may_be_read_one_by_one() -> None:
    for seed in some(20):
        found = ct.attribute(solved(seed, shorts=False)[2])
        assert found.readable, seed
        assert (found.sources["usd"] >= -1e-12 * found.total).all(), seed
        assert (found.edges["usd"] >= 0.0).all(), seed


def test_a_system_past_a_pole_says_so() -> None:
    for stability in (Stability(1.2, 1.0), Stability(0.9, -1.0)):
        assert not stability.readable
        said = reading("loss", stability, 3.5, np.zeros(0))
        assert "may not be read one by one" in said
        assert "absolute shares 3.50" in said


def test_hedged_systems_say_what_negative_shares_are() -> None:
    said = {ct.attribute(solved(seed, shorts=True)[2]).reading.split(" ")[0] for seed in range(12)}
    assert {"Every", "Negative"} <= said


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("los", "did you mean 'loss'"),
        ("price:x:B", "did you mean .*'x:A'"),
        ("deficit:y", "'y' is not a platform"),
        ("equity:nobody", "is not an account, a group"),
        ("haircut", "give 'loss'"),
    ],
)
def test_unknown_targets(target: str, message: str) -> None:
    with pytest.raises(ct.InputError, match=message):
        ct.attribute(worked_example(), target)


def test_wrong_arguments_are_all_named() -> None:
    with pytest.raises(ct.InputError) as error:
        ct.attribute("solution", rule="first")  # type: ignore[arg-type]
    assert "solution is a str" in str(error.value)
    assert "rule is 'first'" in str(error.value)
    with pytest.raises(ct.InputError) as error:
        ct.attribute(worked_example(), "prise:x:A", "layer")  # type: ignore[arg-type]
    first, second = error.value.problems
    assert first.startswith("target 'prise:x:A' is not known (did you mean 'price:'?); give 'loss', ")
    assert second == "rule is 'layer' (did you mean 'layers'?); give 'binding' or 'layers'"


def test_a_maximum_is_shared_by_whom_it_binds_or_in_layers() -> None:
    """Candidates 0.2, 0.6, 0.6, 0: the layer up to 0.2 is shared by three, that up to 0.6 by two."""
    values = np.array([[0.2], [0.6], [0.6], [0.0]])
    binding = shares_of_maximum(values, np.array([False]))
    layers = shares_of_maximum(values, np.array([True]))
    assert binding.ravel().tolist() == [0.0, 1.0, 0.0, 0.0]
    thirds = 0.2 / 3 / 0.6
    assert layers.ravel() == pytest.approx([thirds, thirds + 0.2 / 0.6, thirds + 0.2 / 0.6, 0.0], abs=1e-15)


def test_channels_of_blocks_are_known() -> None:
    """Every kind of edge is a channel, passes a loss on, or is one of the steps in between."""
    between = {"impact", "arbitrage", "liquidation", "call", "deleveraging", "funding", "stop_loss", "withdrawal"}
    between |= {"forced sale", "voluntary sale"}
    for seed in some(20):
        found = ct.attribute(solved(seed, shorts=True)[2])
        kinds = {block.kind for block in found.graph.blocks}
        assert kinds <= between | set(PASS) | set(found.channels.index), seed
        assert set(found.transmission.index) >= kinds
