"""The attribution where theory knows the answer: Aumann–Shapley, Leontief, Eisenberg–Noe, tipping points, balances."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, linprog

import contagion as ct
from contagion import kernels
from contagion.attribution import feedback
from contagion.kernels import rounds
from tests.random_systems import random_tables
from tests.seeds import THOROUGH, some
from tests.systems import draw, to_scenario, to_system
from tests.test_attribution import slow_of, solved
from tests.test_loss_graph import TABLES
from tests.test_properties import split_account

pytestmark = pytest.mark.skipif(not THOROUGH, reason="minutes long; CONTAGION_TESTS=thorough")

INF = float("inf")

Loss = Callable[[Sequence[float]], float]
"""Loss where each source has come so far: 0 not at all, 1 in full."""


# ---------------------------------------------------------------------------------------------------------------------
# Aumann–Shapley: every cause grows from zero in proportion, and is charged its marginal loss on the way


def aumann_shapley(loss: Loss, steps: int) -> list[float]:
    """Return the Aumann–Shapley shares ∫ ∂L/∂c_i(t·c)·c_i dt of two causes, by the trapezoidal rule on increments.

    Between two points of the diagonal each cause goes first once and second once; the increments add up to the loss
    exactly, and what is charged to each is wrong by the square of the step only.
    """
    shares, there = [0.0, 0.0], loss((0.0, 0.0))
    for low, high in pairwise(np.linspace(0.0, 1.0, steps + 1).tolist()):
        here, there = there, loss((high, high))
        first, second = loss((high, low)), loss((low, high))
        shares[0] += (first - here + there - second) / 2
        shares[1] += (second - here + there - first) / 2
    return shares


def grown(shock: float, by: float) -> float:
    """Return the shock whose log drop is so many times that of another."""
    return float(-np.expm1(by * np.log1p(-shock)))


def sources(solution: ct.Solution, *names: str, target: str = "loss") -> list[float]:
    found = ct.attribute(solution, target)
    return [float(share) for share in found.sources.loc[list(names), found.unit]]


def one_lender(markets: list[dict[str, Any]], accounts: list[dict[str, Any]], positions: list[dict[str, Any]]) -> Any:
    """Return the tables of one lender that restores accounts, weight 0.9 and cost 2 % on A and B."""
    return {
        "nodes": [{"node": "x", "kind": "protocol", "buffer": 1e6}],
        "assets": [{"asset": "A"}, {"asset": "B"}],
        "markets": [{"venue": "x", "price": 1.0, **row} for row in markets],
        "terms": [{"platform": "x", "asset": asset, "weight": 0.9, "cost": 0.02} for asset in ("A", "B")],
        "accounts": [{"platform": "x", **row} for row in accounts],
        "positions": positions,
    }


def two_shocks(system: ct.System, first: float, second: float) -> tuple[ct.Solution, Loss]:
    """Return the solution with two shocks in full, and the loss as a function of how far each has come."""

    def at(steps: Sequence[float]) -> ct.Solution:
        return ct.solve(system, ct.Scenario(shocks={"A": grown(first, steps[0]), "B": grown(second, steps[1])}))

    return at((1.0, 1.0)), lambda steps: float(at(steps).totals["loss"])


def test_aumann_shapley_agrees_where_losses_are_separable() -> None:
    """Shares are what each asset lost alone, however non-linear: 100·20 % and 50·30 %."""
    tables = one_lender(
        [{"market": "x:A", "asset": "A", "depth": INF}, {"market": "x:B", "asset": "B", "depth": INF}],
        [{"account": "a"}],
        [{"account": "a", "asset": "A", "quantity": 100.0}, {"account": "a", "asset": "B", "quantity": 50.0}],
    )
    solution, loss = two_shocks(to_system(tables), 0.2, 0.3)
    secant = sources(solution, "shock:A", "shock:B")
    assert secant == pytest.approx([20.0, 15.0], rel=1e-12)
    assert aumann_shapley(loss, 1) == pytest.approx(secant, rel=1e-12)


def pegged(debt: float) -> ct.System:
    """Return a system in which B bears the shock of A, to which it is pegged, and its own; 100 B secure a debt."""
    tables = one_lender(
        [
            {"market": "x:A", "asset": "A", "depth": INF},
            {"market": "x:B", "asset": "B", "depth": 400.0, "pegged_to": "x:A"},
        ],
        [{"account": "a", "cash": -debt}, {"account": "b", "cash": -0.9 * debt}],
        [{"account": name, "asset": "B", "quantity": 100.0} for name in "ab"],
    )
    return to_system(tables)


@pytest.mark.parametrize(("debt", "steps"), [(0.0, 8), (70.0, 16)])
def test_aumann_shapley_agrees_where_causes_enter_as_a_sum(debt: float, steps: int) -> None:
    """Two shocks of one log price are shared as their log drops, before a cascade and after it.

    L = F(a + b), so that Aumann and Shapley charge ∫ F'(t(a + b))·a dt = L·a/(a + b), kinks and feedback and all.
    """
    solution, loss = two_shocks(pegged(debt), 0.1, 0.15)
    assert (solution.accounts["liquidated"].max() > 0.0) == (debt > 0.0)
    logs = -np.log1p([-0.1, -0.15])
    wanted = solution.totals["loss"] * logs / logs.sum()
    assert sources(solution, "shock:A", "shock:B") == pytest.approx(wanted, rel=1e-9)
    assert aumann_shapley(loss, steps) == pytest.approx(wanted, rel=2e-4)


def write_offs(network: "Network", lost: np.ndarray) -> ct.Solution:
    return ct.solve(network.system, ct.Scenario(losses=dict(zip(network.names, lost.tolist(), strict=True))))


def test_aumann_shapley_agrees_where_losses_are_linear() -> None:
    network = linear_network(0)
    lost = np.array([7.0, 11.0, 0.0, 0.0, 0.0])

    def haircut(steps: Sequence[float]) -> float:
        moved = lost * np.array([*steps, 0.0, 0.0, 0.0])
        return float(write_offs(network, moved).nodes["haircut"]["n4"])

    secant = sources(write_offs(network, lost), "loss:n0", "loss:n1", target="haircut:n4")
    assert min(secant) > 0.0
    assert aumann_shapley(haircut, 1) == pytest.approx(secant, rel=1e-9)


def token(shock: float, cut: float) -> tuple[ct.Solution, Loss]:
    """Return 100 tokens of an issuer that owes nothing else, under a shock and a write-off, and the loss."""
    tables = one_lender([{"market": "x:A", "asset": "A", "depth": INF}], [{"account": "a"}], [])
    tables["nodes"].append({"node": "i", "liabilities": 100.0})
    tables["assets"][0]["issuer"] = "i"
    tables["positions"] = [{"account": "a", "asset": "A", "quantity": 100.0}]
    system = to_system(tables)

    def at(steps: Sequence[float]) -> ct.Solution:
        losses = {"i": 100.0 * cut * steps[1]}
        return ct.solve(system, ct.Scenario(shocks={"A": grown(shock, steps[0])}, losses=losses))

    return at((1.0, 1.0)), lambda steps: float(at(steps).totals["loss"])


def test_aumann_shapley_differs_where_causes_multiply() -> None:
    """L = 100·(1 − (1 − s)(1 − θ)), s = 20 %, θ = 50 %: which part of the product is whose is a convention.

    The secant shares it as the log drops stand at the end, ln 0.8 : ln 0.5. Aumann and Shapley let the write-off grow
    in dollars, not in logs: ∫ 100·θ·0.8^t dt = 100·θ·s/ln(1/0.8) is charged to it.
    """
    solution, loss = token(0.2, 0.5)
    assert solution.totals["loss"] == pytest.approx(60.0, rel=1e-12)
    secant = sources(solution, "shock:A", "loss:i")
    logs = -np.log([0.8, 0.5])
    assert secant == pytest.approx(60.0 * logs / logs.sum(), rel=1e-12)
    of_issuer = 100.0 * 0.5 * 0.2 / logs[0]
    assert aumann_shapley(loss, 12) == pytest.approx([60.0 - of_issuer, of_issuer], rel=1e-4)
    assert secant[1] - of_issuer == pytest.approx(0.5740, abs=1e-4)


def test_aumann_shapley_agrees_for_small_causes() -> None:
    """Half the causes, a quarter of the distance between the shares of the two."""
    apart = []
    for size in (0.02, 0.01):
        solution, loss = token(size, 3 * size)
        total = solution.totals["loss"]
        one, two = aumann_shapley(loss, 8), sources(solution, "shock:A", "loss:i")
        apart.append(abs(one[0] - two[0]) / total)
    assert 0.0 < apart[0] < 1e-4
    assert apart[1] == pytest.approx(apart[0] / 4, rel=0.05)


# ---------------------------------------------------------------------------------------------------------------------
# Leontief and Eisenberg–Noe: claims alone


class Network(NamedTuple):
    """Nodes that owe each other: owed[i, j] is the claim of node i on node j."""

    system: ct.System
    names: list[str]
    owed: np.ndarray
    liabilities: np.ndarray
    buffer: np.ndarray


def network_of(owed: np.ndarray, outside: np.ndarray, buffer: np.ndarray, recovery: float = 1.0) -> Network:
    names = [f"n{i}" for i in range(len(owed))]
    liabilities = owed.sum(axis=0) + outside
    nodes = {"node": names, "buffer": buffer, "liabilities": liabilities, "recovery_rate": recovery}
    rows = [(names[i], names[j], float(owed[i, j])) for i, j in np.argwhere(owed > 0.0).tolist()]
    claims = pd.DataFrame(rows, columns=["creditor", "debtor", "amount"])
    return Network(ct.System(nodes=pd.DataFrame(nodes), claims=claims), names, owed, liabilities, buffer)


def random_network(seed: int, buffers: bool, recovery: float = 1.0, count: int = 5) -> Network:
    rng = np.random.default_rng(seed)
    owed = rng.uniform(5.0, 60.0, (count, count)) * (rng.random((count, count)) < 0.7)
    np.fill_diagonal(owed, 0.0)
    buffer = rng.uniform(0.0, 8.0, count) * buffers
    return network_of(owed, rng.uniform(20.0, 60.0, count), buffer, recovery)


def linear_network(seed: int) -> Network:
    return random_network(seed, buffers=False)


@pytest.mark.parametrize("seed", range(3))
def test_haircuts_have_the_multipliers_of_the_leontief_inverse(seed: int) -> None:
    """Without buffers Y = c + A·θ, θ = Y/liabilities: Y = (I − A·diag(1/liabilities))⁻¹c."""
    network = linear_network(seed)
    lost = np.random.default_rng(seed).uniform(1.0, 10.0, len(network.names))
    solution = write_offs(network, lost)
    inverse = np.linalg.inv(np.eye(lost.size) - network.owed / network.liabilities)
    assert solution.nodes.loc[network.names, "loss"].to_numpy() == pytest.approx(inverse @ lost, rel=1e-9)
    for j, name in enumerate(network.names):
        found = ct.attribute(solution, f"haircut:{name}")
        wanted = inverse[j] * lost / network.liabilities[j]
        assert found.sources.loc[[f"loss:{n}" for n in network.names], "haircut"].to_numpy() == pytest.approx(
            wanted, rel=1e-9
        )
        through = inverse[j] * (inverse @ lost) / network.liabilities[j]
        assert found.throughput["haircut"].reindex(network.names).to_numpy() == pytest.approx(through, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_of_claimants_outside_is_the_write_offs_and_feedback_is_the_diagonal(seed: int) -> None:
    """Without default costs every dollar ends outside, so multipliers of the total are one; dollars pass N_jj times."""
    network = linear_network(seed)
    lost = np.random.default_rng(seed).uniform(1.0, 10.0, len(network.names))
    found = ct.attribute(write_offs(network, lost))
    inverse = np.linalg.inv(np.eye(lost.size) - network.owed / network.liabilities)
    assert found.sources["usd"].reindex([f"loss:{n}" for n in network.names]).to_numpy() == pytest.approx(
        lost, rel=1e-9
    )
    assert found.throughput["usd"].reindex(network.names).to_numpy() == pytest.approx(inverse @ lost, rel=1e-9)
    again = feedback(found)["amplification"].reindex(network.names).to_numpy()
    assert again == pytest.approx(np.diag(inverse), rel=1e-9)


def test_two_banks_that_owe_each_other_by_hand() -> None:
    """Equity 10 and 5; n0 owes 60 to n1 and 40 outside, n1 owes 50 to n0 and 30 outside; write-offs of 30 and 20.

    θ0 = (30 + 50·θ1 − 10)/100 and θ1 = (20 + 60·θ0 − 5)/80 give 47 % and 54 %. Equity bears 15, the outside
    40·0.47 + 30·0.54 = 35: the 50 written off. With m = θ/Y, θ0 = m0·(30 + 50·m1·(20 + 60·θ0)).
    """
    network = network_of(np.array([[0.0, 50.0], [60.0, 0.0]]), np.array([40.0, 30.0]), np.array([10.0, 5.0]))
    solution = write_offs(network, np.array([30.0, 20.0]))
    assert solution.nodes.loc[["n0", "n1"], "haircut"].to_numpy() == pytest.approx([0.47, 0.54], rel=1e-9)
    assert sources(solution, "loss:n0", "loss:n1") == pytest.approx([30.0, 20.0], rel=1e-9)
    m0, m1 = 0.47 / (30.0 + 50.0 * 0.54), 0.54 / (20.0 + 60.0 * 0.47)
    wanted = np.array([30.0 * m0, 50.0 * m0 * 20.0 * m1]) / (1.0 - 50.0 * m0 * 60.0 * m1)
    assert wanted.sum() == pytest.approx(0.47, rel=1e-12)
    assert sources(solution, "loss:n0", "loss:n1", target="haircut:n0") == pytest.approx(wanted, rel=1e-9)


def clearing_payments(network: Network, lost: np.ndarray) -> np.ndarray:
    """Return the payments of Eisenberg and Noe (2001, lemma 4): the largest that limited liability allows."""
    inside = network.owed.sum(axis=1)
    assets = network.buffer + network.liabilities - inside - lost
    shares = network.owed / network.liabilities
    bounds = [(0.0, owes) for owes in network.liabilities.tolist()]
    found = linprog(-np.ones(lost.size), np.eye(lost.size) - shares, assets, bounds=bounds, method="highs")
    assert found.status == 0
    return np.asarray(found.x)


@pytest.mark.parametrize("seed", some(5))
def test_clearing_vectors_are_shared_by_the_inverse_of_their_secants(seed: int) -> None:
    """Haircuts are those of the linear programme; shares of each are those of (I − A·diag(θ/Y))⁻¹, written out."""
    network = random_network(seed, buffers=True)
    lost = np.random.default_rng(100 + seed).uniform(0.0, 25.0, len(network.names))
    solution = write_offs(network, lost)
    cut = 1.0 - clearing_payments(network, lost) / network.liabilities
    assert (cut > 1e-6).sum() >= 2
    assert solution.nodes.loc[network.names, "haircut"].to_numpy() == pytest.approx(cut, abs=1e-8)
    fallen = lost + network.owed @ cut
    secant = cut / fallen
    inverse = np.linalg.inv(np.eye(cut.size) - network.owed * secant)
    names = [f"loss:{name}" for name in network.names]
    worst = int(cut.argmax())
    wanted = secant[worst] * inverse[worst] * lost
    found = ct.attribute(solution, f"haircut:{network.names[worst]}")
    assert found.sources.loc[names, "haircut"].to_numpy() == pytest.approx(wanted, abs=1e-7)
    assert sources(solution, *names) == pytest.approx(lost, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_default_costs_multiply_what_is_written_off(seed: int) -> None:
    """With 80 % recovery the multipliers exceed one, and are still those of the secants' inverse."""
    network = random_network(seed, buffers=True, recovery=0.8)
    lost = np.random.default_rng(100 + seed).uniform(0.0, 25.0, len(network.names))
    solution = write_offs(network, lost)
    frame = solution.nodes.loc[network.names]
    secant = (frame["haircut"] / frame["loss"]).to_numpy()
    borne = np.minimum(frame["loss"], network.buffer).to_numpy() + np.maximum(
        0.0, frame["loss"].to_numpy() - network.buffer - network.liabilities
    )
    outside = network.liabilities - network.owed.sum(axis=0)
    weight = borne / frame["loss"].to_numpy() + outside * secant
    inverse = np.linalg.inv(np.eye(lost.size) - network.owed * secant)
    multiplier = weight @ inverse
    assert (multiplier >= 1.0 - 1e-9).all()
    assert multiplier.max() > 1.05
    found = sources(solution, *[f"loss:{name}" for name in network.names])
    assert found == pytest.approx(multiplier * lost, rel=1e-8)


# ---------------------------------------------------------------------------------------------------------------------
# Past a tipping point


def crowd(levels: np.ndarray, depth: float) -> ct.System:
    """Return accounts with one A each, weight 0.9, that are liquidated once A is below the given prices."""
    names = [f"a{i:02}" for i in range(levels.size)]
    tables: dict[str, Any] = {
        "nodes": [{"node": "x", "kind": "protocol", "buffer": 1.0, "liabilities": 50.0}],
        "assets": [{"asset": "A"}],
        "markets": [{"market": "x:A", "venue": "x", "asset": "A", "price": 1.0, "depth": depth}],
        "terms": [{"platform": "x", "asset": "A", "weight": 0.9, "cost": 0.02}],
        "accounts": [
            {"account": name, "platform": "x", "cash": -0.9 * level} for name, level in zip(names, levels, strict=True)
        ],
        "positions": [{"account": name, "asset": "A", "quantity": 1.0} for name in names],
    }
    return to_system(tables)


def next_drop(solution: ct.Solution, drop: float) -> tuple[float, kernels.State]:
    """Return the log drop one round after a given one, and the state then; sellers' prices are those of that drop."""
    inputs = solution.parts.inputs
    before = rounds.start(inputs)
    moved = np.maximum(1e-12, drop - before.log_drop)
    state = before._replace(log_drop=np.array([drop]), average=before.average * -np.expm1(-moved) / moved)
    after = rounds.step(inputs, state, rounds.opening_lines(inputs).equity)[0]
    return float(after.log_drop[0]), after


def slope(solution: ct.Solution, drop: float, width: float = 1e-7) -> float:
    """Return the Jacobian of a round, its only unknown the drop: central differences."""
    return (next_drop(solution, drop + width)[0] - next_drop(solution, drop - width)[0]) / (2.0 * width)


def steepest(solution: ct.Solution) -> float:
    """Return the largest slope of a round between the shock and the solution."""
    state = solution.parts.run.state
    first, last = float(rounds.start(solution.parts.inputs).log_drop[0]), float(state.log_drop[0])
    return max(slope(solution, drop) for drop in np.linspace(first, last, 301)[1:-1])


def exact_and_readable(solution: ct.Solution, rule: Any = "binding") -> ct.Attribution:
    found = ct.attribute(solution, rule=rule)
    assert found.total > 0.0
    assert found.spectral_radius < 1.0
    assert found.determinant_sign == 1.0
    assert found.sources["usd"].sum() == pytest.approx(found.total, rel=1e-12)
    assert found.channels["usd"].sum() == pytest.approx(found.total, rel=1e-12)
    assert (found.sources["usd"] >= 0.0).all()
    assert (found.channels["usd"] >= 0.0).all()
    assert (found.edges["usd"] >= 0.0).all()
    return found


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.04])
def test_a_cascade_through_its_tipping_point_is_shared_exactly(spread: float) -> None:
    """One dollar of sales calls for more than one on the way: the Jacobian exceeds 1, the secants' radius does not."""
    system = crowd(np.linspace(0.9 - spread, 0.9, 20), depth=1.0)
    calm = ct.solve(system, ct.Scenario(shocks={"A": 0.09}))
    solution = ct.solve(system, ct.Scenario(shocks={"A": 0.11}, depth={"x": 0.9}))
    assert solution.totals["loss"] > 1.5 * calm.totals["loss"]
    assert steepest(solution) > 1.8
    assert slope(solution, float(solution.parts.run.state.log_drop[0])) < 1.0
    found = exact_and_readable(solution)
    assert found.sources["usd"]["depth:x"] > 0.0


@pytest.mark.parametrize("rule", ["binding", "layers"])
def test_an_unstable_solution_is_shared_exactly_too(rule: Any) -> None:
    """At a fixed point where the Jacobian of a round is 1.7 the radius of the secants is still below 1.

    The least solution never is one: where a monotone map has a slope above one there is a point below that it maps
    below itself, and so a smaller fixed point. Between the calm solution and the collapsed one there is a third, a
    cascade that only itself supports; it fulfils the same equations, so it has a loss graph of its own.
    """
    system = crowd(np.linspace(0.89, 0.91, 20), depth=1.0)
    least = ct.solve(system, ct.Scenario(shocks={"A": 0.085}))
    assert least.accounts["liquidated"].max() == 0.0
    first = float(least.parts.run.state.log_drop[0])
    grid = np.linspace(first + 1e-6, 1.0, 400)
    beyond = [next_drop(least, drop)[0] - drop for drop in grid]
    crossing = next(i for i, value in enumerate(beyond) if value > 0.0)
    drop = brentq(lambda x: next_drop(least, x)[0] - x, grid[crossing - 1], grid[crossing], xtol=1e-15)
    assert slope(least, drop) > 1.5
    state = next_drop(least, drop)[1]
    parts = least.parts
    unstable = replace(
        least,
        parts=parts._replace(run=parts.run._replace(state=state), outcome=kernels.settle(parts.inputs, state)),
    )
    assert unstable.markets.loc["x:A", "drop"] == pytest.approx(-np.expm1(-drop), rel=1e-9)
    found = exact_and_readable(unstable, rule)
    assert found.sources["share"]["shock:A"] == pytest.approx(1.0, abs=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Invariants (docs/model.md, section 15)


def converged(shorts: bool, count: int, first: int = 0) -> Iterator[tuple[int, ct.System, ct.Scenario, ct.Solution]]:
    """Yield so many random systems with a loss."""
    seed = first
    while count:
        system, scenario = draw(seed, shorts=shorts)
        solution = ct.solve(system, scenario, on_failure="return")
        if solution.converged and solution.totals["loss"] > 0.0:
            yield seed, system, scenario, solution
            count -= 1
        seed += 1


def apart(one: pd.Series, two: pd.Series) -> float:
    """Return the largest distance between two series by name; a name that one lacks counts as zero."""
    return float(one.sub(two, fill_value=0.0).abs().max())


@pytest.mark.parametrize("shorts", [True, False])
def test_6_what_does_not_happen_has_no_share(shorts: bool) -> None:
    """A shock of zero, a depth factor of one and a write-off of zero have no share and change no other."""
    for seed, system, scenario, solution in converged(shorts, 12):
        market = next(name for name in system.markets["market"] if name not in {**scenario.shocks, **scenario.depth})
        node = next((name for name in system.nodes["node"] if name not in scenario.losses), None)
        idle = replace(
            scenario,
            depth={**scenario.depth, market: 1.0},
            losses={**scenario.losses} if node is None else {**scenario.losses, node: 0.0},
        )
        asset = system.markets.set_index("market").loc[market, "asset"]
        if asset not in scenario.shocks:
            idle = replace(idle, shocks={**scenario.shocks, market: 0.0})
        found, again = ct.attribute(solution), ct.attribute(ct.solve(system, idle, on_failure="return"))
        new = again.sources.index.difference(found.sources.index)
        assert (again.sources.loc[new, "usd"] == 0.0).all(), seed
        assert apart(found.sources["usd"], again.sources["usd"]) == 0.0, seed


def test_6_only_sources_that_reach_a_target_share_it() -> None:
    """Of two lenders with nothing in common, what is written off at one has no part in the loss at the other."""
    network = network_of(np.zeros((2, 2)), np.array([50.0, 50.0]), np.array([5.0, 5.0]))
    solution = write_offs(network, np.array([20.0, 10.0]))
    assert sources(solution, "loss:n0", "loss:n1", target="haircut:n0") == pytest.approx([0.3, 0.0], abs=1e-15)


@pytest.mark.parametrize(("shorts", "rule"), [(True, "binding"), (False, "binding"), (False, "layers")])
@pytest.mark.parametrize("parts", [2, 3])
def test_5_splitting_an_account_moves_no_share(shorts: bool, rule: Any, parts: int) -> None:
    tried = 0
    for seed, system, scenario, solution in converged(shorts, 15):
        tied = solution.accounts.index.isin(pd.concat([system.funding["account"], system.funding["source"]]))
        sold = solution.accounts.loc[~tied, "liquidated"]
        if not (sold > 0.0).any():
            continue
        found = ct.attribute(solution, rule=rule)
        if not found.readable:
            continue
        again = ct.attribute(ct.solve(split_account(system, str(sold.idxmax()), parts), scenario), rule=rule)
        assert again.total == pytest.approx(found.total, rel=1e-9), seed
        scale = found.total * max(1.0, found.absolute_shares)
        assert apart(found.sources["usd"], again.sources["usd"]) <= 1e-9 * scale, seed
        assert apart(found.channels["usd"], again.channels["usd"]) <= 1e-9 * scale, seed
        tried += 1
    assert tried >= 5


def test_7_removing_an_account_that_was_not_touched_changes_no_share_of_others() -> None:
    """What befell every market has the same sources without it."""
    tried = 0
    for seed, system, scenario, solution in converged(False, 16):
        tied = [system.quotes["account"], system.funding["account"], system.funding["source"]]
        tied += [system.claims["creditor"], system.accounts.loc[system.accounts["owner"] != "", "account"]]
        touched = solution.accounts["liquidated"].gt(0) | solution.accounts["called_round"].notna()
        free = solution.accounts.index[~touched & ~solution.accounts.index.isin(pd.concat(tied))]
        if not len(free):
            continue
        without = system
        for table in ("accounts", "positions"):
            frame = getattr(system, table)
            without = without.with_table(table, frame[frame["account"] != free[0]])
        two = ct.solve(without, scenario)
        for market in system.markets["market"]:
            one, other = (ct.attribute(at, f"price:{market}").sources["drop"] for at in (solution, two))
            assert apart(one, other) <= 1e-8, (seed, market)
        tried += 1
    assert tried >= 5


@pytest.mark.parametrize("shorts", [True, False])
def test_8_the_loss_balances(shorts: bool) -> None:
    """L = what owners lost + gains − hidden + write-offs + default costs − what inside claims and tokens lost.

    Deficits that stood at the opening and claims in excess of liabilities are the two terms that the plain balance
    forgets (docs/decisions/0010).
    """
    seen: set[str] = set()
    for seed in some(30):
        tables, scenario, solution = solved(seed, shorts)
        terms = slow_of(tables, scenario, solution, layers=False).balance
        seen |= {name for name, value in terms.items() if value != 0.0}
        found = ct.attribute(solution)
        largest = max([1e-6, found.total, *map(abs, terms.values())])
        assert sum(terms.values()) == pytest.approx(found.total, abs=1e-9 * largest), seed
        assert found.channels["usd"].sum() == pytest.approx(sum(terms.values()), abs=1e-9 * largest), seed
    wanted = {"fallen", "write-offs", "opening deficits", "default costs", "inside claims", "inside tokens"}
    assert wanted | ({"gains"} if shorts else set()) <= seen


def test_8_a_deficit_that_stood_at_the_opening_is_a_loss_without_a_shock() -> None:
    """10 A against 12 of debt, closed in full at no cost: 2 were missing before anything happened."""
    tables = {**TABLES, "terms": [{"platform": "x", "asset": "A", "weight": 0.8}]}
    tables["positions"] = [TABLES["positions"][0], {**TABLES["positions"][1], "quantity": 12.0}]
    tables["markets"] = [{**row, "depth": INF} for row in TABLES["markets"]]
    found = ct.attribute(ct.solve(to_system(tables)))
    assert found.total == pytest.approx(2.0, rel=1e-12)
    assert found.sources.loc["opening", "usd"] == pytest.approx(2.0, rel=1e-12)


def test_8_claims_in_excess_of_liabilities_count_where_they_end() -> None:
    """Claims of 120 on a node that lists liabilities of 80 and lost 40 of them: the holder is 60 short, not 40."""
    nodes = pd.DataFrame({"node": ["d", "c"], "liabilities": [80.0, 100.0], "buffer": [0.0, 1e3]})
    claims = pd.DataFrame({"creditor": ["c"], "debtor": ["d"], "amount": [120.0]})
    found = ct.attribute(ct.solve(ct.System(nodes=nodes, claims=claims), ct.Scenario(losses={"d": 40.0})))
    assert found.total == pytest.approx(60.0, rel=1e-12)
    assert found.sources.loc["loss:d", "usd"] == pytest.approx(60.0, rel=1e-12)


@pytest.mark.parametrize("rule", ["full", "restore"])
def test_9_deficits_of_perps_are_shared_and_at_most_winners_gains(rule: str) -> None:
    """One perp, its quantities adding up to zero: bad debt comes from the shock, and the winners paid for it."""
    tried = 0
    for seed in some(12):
        solution = perps(seed, rule)
        if not solution.totals["deficit"] > 0.0:
            continue
        found = ct.attribute(solution, "deficit:x")
        assert found.total == pytest.approx(solution.totals["deficit"], rel=1e-9), seed
        assert found.total <= solution.totals["gains"] * (1.0 + 1e-12), seed
        assert found.residual <= 1e-9 * max(1.0, found.absolute_shares), seed
        assert found.sources["usd"].sum() == pytest.approx(found.total, rel=1e-9), seed
        assert set(found.sources.index[found.sources["usd"].abs() > 1e-12]) <= {"shock:A", "overshoot"}, seed
        tried += 1
    assert tried >= 4


def perps(seed: int, rule: str) -> ct.Solution:
    rng = np.random.default_rng(seed)
    quantity = rng.normal(size=8)
    quantity -= quantity.mean()
    names = [f"a{i}" for i in range(quantity.size)]
    cash = np.abs(quantity) * rng.uniform(0.1, 0.3, quantity.size)
    book = {"account": names, "asset": "A", "side": "perp", "quantity": quantity, "entry_price": 1.0}
    system = ct.System(
        nodes=pd.DataFrame({"node": ["x"], "margin_rule": "maintenance", "close_rule": rule}),
        assets=pd.DataFrame({"asset": ["A"]}),
        markets=pd.DataFrame({"market": ["x:A"], "venue": "x", "asset": "A", "price": 1.0, "depth": 20.0}),
        terms=pd.DataFrame({"platform": ["x"], "asset": "A", "maintenance": 0.05}),
        accounts=pd.DataFrame({"account": names, "platform": "x", "cash": cash}),
        positions=pd.DataFrame(book),
    )
    return ct.solve(system, ct.Scenario(shocks={"A": 0.35}), on_failure="return")


# ---------------------------------------------------------------------------------------------------------------------
# Paths by enumeration


def enumerated(found: ct.Attribution) -> dict[tuple[str, ...], float]:
    """Return every simple path and its weight by the determinant formula, from the table of edges alone.

    With P the flows divided by what passes through their cause, a path weighs its first flow, times P along it, times
    the share that its last entity bears, times det(I − P without the path)/det(I − P).
    """
    flow: dict[tuple[str, str], float] = {}
    start: dict[tuple[str, str], float] = {}
    columns = (found.edges[name].tolist() for name in ("cause_type", "cause", "effect", "usd"))
    for kind, cause, effect, usd in zip(*columns, strict=True):
        where = start if kind == "source" else flow
        where[cause, effect] = where.get((cause, effect), 0.0) + usd
    names = list(found.throughput.index)
    through = found.throughput["usd"].to_dict()
    move = np.array([[flow.get((j, i), 0.0) / through[j] if through[j] else 0.0 for j in names] for i in names])
    place = {name: number for number, name in enumerate(names)}

    def without(path: tuple[str, ...]) -> float:
        rest = [place[name] for name in names if name not in path]
        return float(np.linalg.det(np.eye(len(rest)) - move[np.ix_(rest, rest)]))

    weights: dict[tuple[str, ...], float] = {}

    def walk(path: tuple[str, ...], carried: float) -> None:
        last = path[-1]
        borne = found.throughput["borne"][last] / through[last] if through[last] else 0.0
        if borne:
            weights[path] = carried * borne * without(path) / without(())
        for following in names:
            step = move[place[following], place[last]]
            if step and following not in path:
                walk((*path, following), carried * float(step))

    for (source, first), usd in start.items():
        walk((source, first), usd)
    return weights


def small(solution: ct.Solution) -> ct.Attribution | None:
    """Return the attribution if its entities are few enough to enumerate every path."""
    found = ct.attribute(solution)
    return found if 2 <= len(found.throughput) <= 9 and found.total > 0.0 else None


def test_paths_are_those_of_the_determinant_formula_and_add_up_to_the_loss() -> None:
    tried, longest = 0, 0
    for seed in some(30):
        tables, scenario = random_tables(np.random.default_rng(seed), shorts=False, size="tiny")
        found = small(ct.solve(to_system(tables), to_scenario(scenario), on_failure="return"))
        if found is None:
            continue
        wanted = {path: usd for path, usd in enumerated(found).items() if usd > 1e-9 * found.total}
        listed = ct.paths(found, k=20_000)
        assert sum(wanted.values()) == pytest.approx(found.total, rel=1e-6), seed
        assert listed["share"].sum() + listed.attrs["unlisted_share"] == pytest.approx(1.0, abs=1e-12), seed
        assert abs(listed.attrs["unlisted_share"]) <= 1e-6, seed
        by_path = dict(zip(listed["path"], listed["usd"], strict=True))
        for path, usd in wanted.items():
            assert by_path[path] == pytest.approx(usd, abs=1e-9 * found.total), (seed, path)
        tried, longest = tried + 1, max([longest, *map(len, wanted)])
    assert tried >= 20
    assert longest >= 5
