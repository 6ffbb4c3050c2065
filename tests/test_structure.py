"""Structure of networks against plain loops, enumeration, networks made by hand, and networkx."""

from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array, random_array

from contagion import clearing
from contagion.clearing.structure_centralities import CENTRALITIES
from contagion.errors import InputError
from tests.clearing_systems import Floats, draw
from tests.seeds import some

SEEDS = some(40)


def equity_of(seed: int, count: int) -> Floats:
    return np.random.default_rng(seed + 77).lognormal(1.0, 1.0, count)


# Impact, vulnerability and communicability


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_impact_and_vulnerability_by_plain_loops(seed: int, binary: bool) -> None:
    debts = draw(seed).liabilities
    count = debts.shape[0]
    equity = equity_of(seed, count)
    impact = clearing.impact_matrix(debts, equity, binary=binary)
    for i, j in itertools.product(range(count), repeat=2):
        share = debts[i, j] / equity[j]
        assert impact.loc[i, j] == (float(share >= 1.0) if binary else pytest.approx(share))
    assert clearing.vulnerability_matrix(debts, equity, binary=binary).equals(impact.T)
    sparse = clearing.impact_matrix(csr_array(debts), equity, binary=binary)
    assert isinstance(sparse, csr_array)
    assert (sparse.toarray() == impact.to_numpy()).all()


def walks(matrix: Floats, terms: int = 60) -> Floats:
    """Return the sum of Mᵏ / k! by its terms."""
    total = term = np.eye(matrix.shape[0])
    for power in range(1, terms):
        term = term @ matrix / power
        total = total + term
    return total


def diffusion(impact: Floats, weights: Floats | None) -> list[tuple[float, float]]:
    """Return start and intermediate by plain loops, as NetworkRiskMeasures defines them."""
    count = impact.shape[0]
    found = []
    for node in range(count):
        out = sum(impact[node])
        without = impact.copy()
        without[node] = 0
        gone = walks(impact) - walks(without)
        lost = []
        for i in range(count):
            row = [gone[i, j] * (1.0 if weights is None else weights[j]) for j in range(count) if j != i]
            lost.append(sum(row) / (out if weights is None and out else 1.0) if out else 0.0)
        found.append((lost[node], sum(lost) - lost[node]))
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("seed", some(20))
def test_susceptibility_fluidity_and_diffusion_by_plain_loops(seed: int, binary: bool, weighted: bool) -> None:
    debts = draw(seed, largest=5).liabilities
    count = debts.shape[0]
    equity = equity_of(seed, count)
    weights = np.arange(1.0, count + 1.0) if weighted else None
    impact = np.minimum(clearing.impact_matrix(debts, equity, binary=binary).to_numpy(), 1.0)
    paths = walks(impact)
    expected = []
    for j in range(count):
        reached, direct = sum(paths[i, j] for i in range(count) if i != j), sum(impact[:, j])
        expected.append(reached * weights[j] if weights is not None else reached / direct if direct else 0.0)
    found = clearing.impact_susceptibility(debts, equity, weights, binary=binary)
    assert found.to_numpy() == pytest.approx(np.array(expected), abs=1e-12)
    fluidity = clearing.impact_fluidity(debts, equity, weights, binary=binary)
    assert fluidity == pytest.approx(sum(expected) / count, abs=1e-12)
    table = clearing.impact_diffusion(debts, equity, weights, binary=binary)
    by_loops = np.array(diffusion(impact, weights))
    assert table[["start", "intermediate"]].to_numpy() == pytest.approx(by_loops, abs=1e-10)
    assert table["total"].to_numpy() == pytest.approx(by_loops.sum(axis=1), abs=1e-10)


def test_communicability_of_two_that_are_linked_both_ways() -> None:
    """exp([[0, 1], [1, 0]]) = cosh 1 on the diagonal, sinh 1 beside it."""
    found = clearing.communicability(pd.DataFrame([[0, 1], [1, 0]], ["a", "b"], ["a", "b"]))
    assert found.to_numpy()[0] == pytest.approx([math.cosh(1), math.sinh(1)])


def test_structure_of_nothing() -> None:
    assert clearing.impact_matrix(np.zeros((0, 0)), []).shape == (0, 0)
    assert clearing.impact_fluidity(np.zeros((0, 0)), []) == 0.0
    assert clearing.communicability(np.zeros((0, 0))).shape == (0, 0)
    assert clearing.leverage_stability(np.zeros((0, 0)), []).spectral_radius == 0.0
    assert clearing.sink_rank([[0]])["distance"].tolist() == [0.0]
    assert clearing.core_periphery(np.zeros((20, 20))).score == 0.0


@pytest.mark.parametrize("function", [clearing.impact_matrix, clearing.vulnerability_matrix])
def test_impact_refuses_zero_equity(function: object) -> None:
    with pytest.raises(InputError, match="equity of 1 is zero"):
        function([[0, 1], [1, 0]], [1, 0])  # type: ignore[operator]
    with pytest.raises(InputError, match="infinite"):
        clearing.leverage_stability([[0, 1], [1, 0]], [1, 0])


# Stability of the leverage matrix


@pytest.mark.parametrize("seed", SEEDS)
def test_spectral_radius_is_the_largest_eigenvalue(seed: int) -> None:
    debts = draw(seed).liabilities
    equity = equity_of(seed, debts.shape[0])
    matrix = debts.T / equity[:, None]
    radius = max(abs(np.linalg.eigvals(matrix)))
    cycles = not nx.is_directed_acyclic_graph(nx.from_numpy_array(debts, create_using=nx.DiGraph))
    found = clearing.leverage_stability(debts, equity)
    assert found.spectral_radius == pytest.approx(radius if cycles else 0.0, rel=1e-9)
    assert found.stable == (found.spectral_radius < 1.0)
    assert found.leverage.to_numpy() == pytest.approx(matrix.sum(axis=1))
    assert found.elasticity.sum() == pytest.approx(1.0 if cycles else 0.0)
    assert found.frame["component_radius"].max() == found.spectral_radius


@pytest.mark.parametrize("seed", some(40)[0::3])
def test_elasticity_is_the_derivative_of_the_radius(seed: int) -> None:
    debts = draw(seed).liabilities + 0.1
    np.fill_diagonal(debts, 0.0)
    equity = equity_of(seed, debts.shape[0])
    base = clearing.leverage_stability(debts, equity)
    for node in range(equity.size):
        step = np.where(np.arange(equity.size) == node, 1e-5, 0.0)
        up = clearing.leverage_stability(debts, equity / np.exp(step)).spectral_radius
        down = clearing.leverage_stability(debts, equity * np.exp(step)).spectral_radius
        assert math.log(up / down) / 2e-5 == pytest.approx(base.elasticity[node], abs=1e-8)


@pytest.mark.parametrize("factor", [0.99, 1.01])
def test_distress_grows_if_and_only_if_the_radius_is_above_one(factor: float) -> None:
    """A shock of 1e-9 to a network that is not stable ends in defaults, to one that is in 1e-9 / (1 − radius) or so."""
    source = np.random.default_rng(4)
    debts = source.lognormal(0, 1, (6, 6)) * (1 - np.eye(6))
    equity = np.ones(6) * clearing.leverage_stability(debts, 1.0).spectral_radius / factor
    assert clearing.leverage_stability(debts, equity).spectral_radius == pytest.approx(factor)
    result = clearing.debtrank(debts, equity, 1e-9)
    assert result.defaulted.any() == (factor > 1.0)


def test_components_rings_and_chains() -> None:
    """A ring of three with leverage ½ each, a pair with 2 and ½, and a chain between them."""
    debts = np.zeros((6, 6))
    for debtor, creditor, amount in [
        (0, 1, 0.5),
        (1, 2, 0.5),
        (2, 0, 0.5),
        (2, 3, 9),
        (3, 4, 9),
        (4, 5, 2),
        (5, 4, 0.5),
    ]:
        debts[debtor, creditor] = amount
    found = clearing.leverage_stability(debts, 1.0)
    assert found.frame["component"].tolist() == [1, 1, 1, 2, 0, 0]
    assert found.frame["component_radius"].tolist() == pytest.approx([0.5, 0.5, 0.5, 0.0, 1.0, 1.0])
    assert found.elasticity.tolist() == pytest.approx([0, 0, 0, 0, 0.5, 0.5])
    assert found.rounds == 2


def test_large_sparse_networks_and_badly_scaled_ones() -> None:
    debts = random_array((3_000, 3_000), density=10 / 3_000, rng=np.random.default_rng(2)).tocsr()
    debts.setdiag(0.0)
    found = clearing.leverage_stability(debts, 2.0)
    from scipy.sparse.linalg import eigs

    assert found.spectral_radius == pytest.approx(abs(eigs(debts / 2.0, k=1, v0=np.ones(3_000))[0][0]), rel=1e-9)
    ring = np.roll(np.diag([1e-8, 1.0, 1e8, 1.0]), 1, axis=1)
    assert clearing.leverage_stability(ring, 1.0).spectral_radius == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("count", [3, 300, 401, 3_000])
@pytest.mark.parametrize("spread", [0.1, 3.0])
def test_rings_of_any_length_have_the_geometric_mean_of_their_links_as_radius(count: int, spread: float) -> None:
    """And each node's elasticity is the same. Powers alone need as many rounds as the square of the length."""
    links = np.exp(spread * np.random.default_rng(count).normal(size=count))
    after = (np.arange(count) + 1) % count
    found = clearing.leverage_stability(csr_array((links, (np.arange(count), after)), shape=(count, count)), 1.0)
    assert found.spectral_radius == pytest.approx(np.exp(np.log(links).mean()), rel=1e-12)
    assert found.elasticity.to_numpy() == pytest.approx(np.full(count, 1 / count), rel=1e-9)
    assert found.residual < 1e-11


def test_two_rings_with_one_link_back_and_a_chord() -> None:
    """Radius by the characteristic equation: cycles of 500 and 600 links through one node, ρ⁻⁵⁰⁰ + ρ⁻⁶⁰⁰ = 1."""
    first = [(node, (node + 1) % 500) for node in range(500)]
    second = [(0, 500), *((node, node + 1) for node in range(500, 1_098)), (1_098, 0)]
    rows, columns = np.array(first + second).T
    ring = csr_array((np.ones(rows.size), (rows, columns)), shape=(1_099, 1_099))
    low, high = 1.0, 2.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if middle**-500.0 + middle**-600.0 > 1 else (low, middle)
    assert clearing.leverage_stability(ring, 1.0).spectral_radius == pytest.approx(low, rel=1e-12)


# Core and periphery


def errors_of(lends: Floats, core: tuple[int, ...]) -> float:
    """Return the errors of Craig and von Peter by plain loops."""
    count = lends.shape[0]
    outside = [i for i in range(count) if i not in core]
    total = 0.0
    for i, j in itertools.permutations(core, 2):
        total += 1 - lends[i, j]
    for i, j in itertools.permutations(outside, 2):
        total += lends[i, j]
    for i in core:
        total += len(outside) * max(0, 1 - sum(lends[i, j] for j in outside))
        total += len(outside) * max(0, 1 - sum(lends[j, i] for j in outside))
    return total


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_core_is_the_best_of_all(seed: int) -> None:
    debts = draw(seed, largest=7).liabilities
    lends = (debts.T > 0).astype(float)
    count = debts.shape[0]
    cores = [core for size in range(count + 1) for core in itertools.combinations(range(count), size)]
    best = min(errors_of(lends, core) for core in cores)
    fit = clearing.core_periphery(debts)
    assert fit.exact
    assert fit.errors.to_numpy().sum() == best == errors_of(lends, tuple(np.flatnonzero(fit.core)))
    assert fit.score == best / max(lends.sum(), 1)
    assert fit.rounds == 2**count


@pytest.mark.parametrize("seed", SEEDS)
def test_no_single_move_improves_the_greedy_core(seed: int) -> None:
    source = np.random.default_rng(seed)
    debts = (source.random((25, 25)) < source.uniform(0.05, 0.3)) * (1.0 - np.eye(25))
    debts[:5] *= source.random() < 0.5
    lends = debts.T
    fit = clearing.core_periphery(debts)
    assert not fit.exact
    core = set(np.flatnonzero(fit.core).tolist())
    here = errors_of(lends, tuple(core))
    assert fit.errors.to_numpy().sum() == here
    assert fit.score <= 1.0
    for node in range(25):
        assert errors_of(lends, tuple(core ^ {node})) >= here


def test_greedy_nearly_always_finds_the_best_small_core() -> None:
    scores = []
    for seed in some(60):
        source = np.random.default_rng(seed)
        debts = (source.random((9, 9)) < 0.35) * (1.0 - np.eye(9))
        scores.append((clearing.core_periphery(debts, method="greedy").score, clearing.core_periphery(debts).score))
    greedy, exact = np.array(scores).T
    assert (greedy >= exact - 1e-12).all()
    assert np.mean(greedy <= exact + 1e-12) > 0.7
    assert greedy.mean() < 1.05 * exact.mean()


def tiered(core: int, customers: int) -> Floats:
    """Return a perfect network of tiers: each core bank borrows from its own customers and lends to them."""
    count = core * (1 + customers)
    debts = np.zeros((count, count))
    debts[:core, :core] = 1 - np.eye(core)
    for node in range(core, count):
        debts[(node % core, node) if node % 2 else (node, node % core)] = 1.0
    return debts


@pytest.mark.parametrize(("core", "customers"), [(3, 4), (5, 10), (7, 30)])
def test_a_perfect_core_is_found_at_any_size_and_in_any_order(core: int, customers: int) -> None:
    debts = tiered(core, customers)
    order = np.random.default_rng(0).permutation(debts.shape[0])
    fit = clearing.core_periphery(csr_array(debts[order][:, order]))
    assert fit.score == 0.0
    assert set(order[np.flatnonzero(fit.core)]) == set(range(core))
    turned = clearing.core_periphery(debts.T)
    assert turned.errors.to_numpy().tolist() == fit.errors.to_numpy().tolist()


def test_errors_by_block_by_hand() -> None:
    """Core 0 and 1: 1 does not lend to 0, nobody outside borrows from 1 (two links it could have), 2 lends to 3."""
    lends = np.array([[0, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1], [1, 1, 0, 0]], dtype=float)
    from contagion.clearing.structure_core import _sparse_errors

    found = _sparse_errors(csr_array(lends), np.array([True, True, False, False]))
    assert [float(one) for one in found] == [1.0, 2.0, 0.0, 1.0]
    assert errors_of(lends, (0, 1)) == 4.0


def test_core_periphery_refuses_what_would_never_end() -> None:
    with pytest.raises(InputError, match="at most 20"):
        clearing.core_periphery(np.zeros((21, 21)), method="exact")
    with pytest.raises(InputError, match="greedy"):
        clearing.core_periphery([[0]], method="greed")  # type: ignore[arg-type]


# SinkRank


@pytest.mark.parametrize("seed", SEEDS)
def test_sink_rank_by_one_linear_system_a_node(seed: int) -> None:
    debts = draw(seed).liabilities
    count = debts.shape[0]
    table = clearing.sink_rank(debts)
    graph = nx.from_numpy_array(debts, create_using=nx.DiGraph)
    for node in range(count):
        others = [i for i in range(count) if i != node]
        if not all(nx.has_path(graph, i, node) for i in others) or any(
            not nx.has_path(graph, i, node) for i in nx.descendants(graph, node)
        ):
            assert table.to_numpy()[node].tolist() == [0.0, math.inf]
            continue
        shares = debts[others][:, others] / debts[others].sum(axis=1)[:, None]
        steps = np.linalg.solve(np.eye(count - 1) - shares, np.ones(count - 1))
        assert table.loc[node, "distance"] == pytest.approx(steps.mean(), rel=1e-9)
        assert table.loc[node, "sink_rank"] == pytest.approx((count - 1) / steps.sum(), rel=1e-9)


def test_sink_rank_of_a_star() -> None:
    """The hub pays three others alike, they pay the hub: one step to the hub; to another, 2 · 3 − 1 from the hub."""
    star = np.zeros((4, 4))
    star[0, 1:] = star[1:, 0] = 1.0
    table = clearing.sink_rank(star)
    assert table["distance"].tolist() == pytest.approx([1.0, *[(5 + 6 + 6) / 3] * 3])
    assert table["sink_rank"].tolist() == pytest.approx([1.0, *[3 / 17] * 3])


def test_sink_rank_by_simulated_payments() -> None:
    debts = draw(4).liabilities + 0.2
    np.fill_diagonal(debts, 0.0)
    shares = debts / debts.sum(axis=1)[:, None]
    source = np.random.default_rng(0)
    count, steps = debts.shape[0], []
    for start in source.integers(1, count, 4_000):
        node, taken = int(start), 0
        while node:
            node, taken = int(source.choice(count, p=shares[node])), taken + 1
        steps.append(taken)
    mean, error = np.mean(steps), np.std(steps) / math.sqrt(len(steps))
    assert clearing.sink_rank(debts).loc[0, "distance"] == pytest.approx(float(mean), abs=4 * float(error))


# Centralities


def test_centralities_are_those_of_networkx_with_losses_first() -> None:
    book = draw(7)
    names = [f"bank {number}" for number in range(book.assets.size)]
    debts = pd.DataFrame(book.liabilities, names, names)
    losses = clearing.debtrank_all(debts, 5.0).frame
    table = clearing.centralities(debts, losses.iloc[::-1])
    assert table.columns.tolist() == [*losses.columns, *CENTRALITIES]
    assert table[losses.columns].equals(losses)
    graph = nx.from_pandas_adjacency(debts, create_using=nx.DiGraph)
    assert table["betweenness"].to_dict() == pytest.approx(nx.betweenness_centrality(graph))
    assert table["closeness"].to_dict() == pytest.approx(nx.closeness_centrality(graph))
    assert table["pagerank"].to_dict() == pytest.approx(nx.pagerank(graph, tol=1e-12, max_iter=1_000))
    assert table["core_number"].to_dict() == nx.core_number(graph)
    assert table["clustering"].to_dict() == pytest.approx(nx.clustering(graph))
    assert table["debts"].to_dict() == pytest.approx(debts.sum(axis=1).to_dict())
    assert table["claims"].to_dict() == pytest.approx(debts.sum(axis=0).to_dict())
    assert table["debtors"].to_dict() == (debts > 0).sum(axis=0).to_dict()
    both = (debts + debts.T).to_numpy()
    vector = table["eigenvector"].to_numpy()
    assert both @ vector == pytest.approx((vector @ both @ vector) * vector, abs=1e-6)


def test_centralities_take_a_series_and_name_what_is_wrong() -> None:
    losses = pd.Series([1.0, 2.0], name="loss")
    table = clearing.centralities([[0, 1], [0, 0]], losses, measures=["debts"])
    assert table.columns.tolist() == ["loss", "debts"]
    with pytest.raises(InputError, match="did you mean 'pagerank'"):
        clearing.centralities([[0, 1], [0, 0]], measures=["pagerang"])
    with pytest.raises(InputError, match="missing"):
        clearing.centralities([[0, 1], [0, 0]], {0: 1.0})
    with pytest.raises(InputError, match="twice"):
        clearing.centralities([[0, 1], [0, 0]], pd.Series([1.0, 2.0, 3.0], [0, 1, 1]))
    with pytest.raises(InputError, match="list"):
        clearing.centralities([[0, 1], [0, 0]], [1.0, 2.0])
    with pytest.raises(InputError, match="as \\['debts'\\]"):
        clearing.centralities([[0, 1], [0, 0]], measures="debts")
    with pytest.raises(InputError) as caught:
        clearing.centralities([[0, -1], [0, 0]], {0: 1.0}, measures=["debt"])
    assert len(caught.value.problems) == 3
    assert clearing.centralities(np.zeros((0, 0))).columns.tolist() == list(CENTRALITIES)


# All of them


@pytest.mark.parametrize("seed", some(10))
def test_relabelling_and_order_change_nothing(seed: int) -> None:
    book = draw(seed)
    names = list("abcdefgh")[: book.assets.size]
    order = np.random.default_rng(seed).permutation(len(names))
    debts = pd.DataFrame(book.liabilities, names, names)
    turned = debts.iloc[order, order[::-1]]
    equity = pd.Series(equity_of(seed, len(names)), names)
    for one, other in [
        (clearing.impact_matrix(debts, equity), clearing.impact_matrix(turned, equity)),
        (clearing.impact_diffusion(debts, equity), clearing.impact_diffusion(turned, equity)),
        (clearing.sink_rank(debts), clearing.sink_rank(turned)),
        (clearing.communicability(debts), clearing.communicability(turned)),
        (clearing.leverage_stability(debts, equity).frame, clearing.leverage_stability(turned, equity).frame),
        (clearing.centralities(debts), clearing.centralities(turned)),
    ]:
        columns = [name for name in one.columns if name != "component"]
        assert one.loc[names, columns].to_numpy() == pytest.approx(
            other.loc[names, columns].to_numpy(), rel=1e-9, abs=1e-6
        )
    first, second = clearing.core_periphery(debts), clearing.core_periphery(turned)
    assert first.score == second.score
