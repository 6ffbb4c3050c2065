"""Reconstructed networks against plain loops, brute force, conservation and printed numbers."""

from __future__ import annotations

import itertools
import re
from importlib import import_module
from typing import NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

import contagion as ct
from contagion import reconstruct
from contagion.errors import InputError
from contagion.reconstruct.compiled import compiled
from contagion.reconstruct.cycles import swept
from contagion.reconstruct.links import listed
from contagion.reconstruct.networks import _effective
from tests.seeds import some

Floats = NDArray[np.float64]

# Anand, Craig and von Peter (2015), p. 628
OWNED = [7, 5, 3, 1, 3, 0, 1]
OWED = [4, 5, 5, 0, 0, 2, 4]


class Case(NamedTuple):
    debts: Floats
    assets: Floats
    liabilities: Floats
    known: Floats | None


def draw(seed: int) -> Case:
    """Return a network that exists, its totals, and in every second case some of its cells."""
    source = np.random.default_rng(seed)
    count = int(source.integers(2, 9))
    linked = source.random((count, count)) < source.uniform(0.15, 0.95)
    debts = np.where(linked, source.lognormal(0.0, source.uniform(0.0, 4.0), (count, count)), 0.0)
    np.fill_diagonal(debts, 0.0)
    debts = debts.round() if seed % 3 == 0 else debts
    known = np.where(source.random((count, count)) < 0.4, debts, np.nan) if seed % 2 else None
    return Case(debts, debts.sum(axis=0), debts.sum(axis=1), known)


def scaled_in_turn(case: Case, rounds: int = 20_000) -> Floats:
    """Return the network of largest entropy by rows and columns scaled in turn, cell by cell."""
    size = len(case.assets)
    known = np.full((size, size), np.nan) if case.known is None else case.known
    free = np.isnan(known) & ~np.eye(size, dtype=bool)
    fixed = np.where(np.isnan(known), 0.0, known)
    owed, owned = case.liabilities - fixed.sum(axis=1), case.assets - fixed.sum(axis=0)
    found = np.where(free, 1.0, 0.0)
    for _ in range(rounds):
        for row in range(size):
            total = found[row].sum()
            found[row] = found[row] * (owed[row] / total if total > 0 else 0.0)
        for column in range(size):
            total = found[:, column].sum()
            found[:, column] = found[:, column] * (owned[column] / total if total > 0 else 0.0)
        if (abs(found.sum(axis=1) - owed) <= 1e-13 * np.maximum(owed, 1e-300)).all():
            break
    return found + fixed


def entropy(matrix: Floats) -> float:
    return float(-sum(cell * np.log(cell) for cell in matrix.ravel() if cell > 0.0))


def right(found: Floats, case: Case) -> None:
    scale = max(case.assets.sum(), 1e-300)
    np.testing.assert_allclose(found.sum(axis=1), case.liabilities, rtol=1e-11, atol=1e-14 * scale)
    np.testing.assert_allclose(found.sum(axis=0), case.assets, rtol=1e-11, atol=1e-14 * scale)
    assert (np.diagonal(found) == 0.0).all()
    assert (found >= 0.0).all()
    if case.known is not None:
        given = ~np.isnan(case.known) & ~np.eye(len(found), dtype=bool)
        np.testing.assert_array_equal(found[given], case.known[given])


# max_entropy


@pytest.mark.parametrize("seed", some(20))
def test_max_entropy_fits_and_no_other_network_has_more_entropy(seed: int) -> None:
    case = draw(seed)
    found = reconstruct.max_entropy(case.assets, case.liabilities, case.known).frame.to_numpy()
    right(found, case)
    for share in (1e-3, 0.1, 0.5):
        assert entropy(found) >= entropy((1 - share) * found + share * case.debts) - 1e-9 * case.assets.sum()


@pytest.mark.parametrize("seed", some(20))
def test_max_entropy_is_the_limit_of_scaling(seed: int) -> None:
    source = np.random.default_rng(seed)
    debts = source.lognormal(0.0, 1.0, (5, 5)) * (1.0 - np.eye(5))
    known = np.where(source.random((5, 5)) < 0.2, debts, np.nan) if seed % 2 else None
    case = Case(debts, debts.sum(axis=0), debts.sum(axis=1), known)
    found = reconstruct.max_entropy(case.assets, case.liabilities, case.known).frame.to_numpy()
    np.testing.assert_allclose(found, scaled_in_turn(case), rtol=1e-9)


def test_max_entropy_where_one_bank_is_part_of_every_debt() -> None:
    found = reconstruct.max_entropy([10, 0, 1], [1, 4, 6]).frame.to_numpy()
    np.testing.assert_allclose(found, [[0, 0, 1], [4, 0, 0], [6, 0, 0]], atol=1e-12)


@pytest.mark.parametrize("left", [1e-3, 1e-6, 1e-9])
def test_max_entropy_where_one_bank_is_part_of_nearly_every_debt(left: float) -> None:
    debts = np.array([[0, 2.0, 3.0], [5.0, 0, left], [7.0, left, 0]])
    found = reconstruct.max_entropy(debts.sum(axis=0), debts.sum(axis=1))
    np.testing.assert_allclose(found.frame.to_numpy()[1:, 1:].sum(), 2 * left, rtol=1e-6)
    assert found.residual <= 1e-12


def test_max_entropy_empties_cells_that_known_zeros_leave_nothing() -> None:
    """Banks 0 and 1 can only owe to 2 and 3, and owe all that these are owed."""
    known = np.full((4, 4), np.nan)
    known[:2, :2] = 0.0
    found = reconstruct.max_entropy([1, 2, 4, 4], [3, 5, 2, 1], known).frame.to_numpy()
    assert found[2, 3] == found[3, 2] == 0.0
    np.testing.assert_allclose(found[:2, 2:], [[1.5, 1.5], [2.5, 2.5]], rtol=1e-12)


def test_max_entropy_with_labels_and_sparse_known_cells() -> None:
    owed, owned = pd.Series({"a": 3.0, "b": 2.0, "c": 1.0}), pd.Series({"c": 2.0, "a": 2.0, "b": 2.0})
    known = csr_array((np.array([1.5]), (np.array([1]), np.array([0]))), shape=(3, 3))
    found = reconstruct.max_entropy(owned[["a", "b", "c"]], owed, known).frame
    assert found.loc["b", "a"] == 1.5
    assert found.sum().round(12).to_dict() == {"a": 2.0, "b": 2.0, "c": 2.0}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from("cab")
    graph.add_edge("b", "a", amount=1.5)
    again = reconstruct.max_entropy(owned, owed, graph).frame.loc[list("abc"), list("abc")]
    np.testing.assert_allclose(again, found, rtol=1e-12)


@pytest.mark.parametrize("method", [reconstruct.max_entropy, reconstruct.minimum_density])
def test_totals_that_no_network_fits(method: object) -> None:
    assert callable(method)
    with pytest.raises(InputError, match=r"add up to 3 and assets to 2"):
        method([1, 1], [2, 1])
    with pytest.raises(InputError, match=r"more is owed than all possible creditors are owed by 0"):
        method([4, 1, 1], [5, 1, 0])
    with pytest.raises(InputError, match="known cells add up to more than the liabilities of 1"):
        method([3, 3, 3], [3, 3, 3], [[np.nan] * 3, [4, np.nan, np.nan], [np.nan] * 3])
    known = np.full((5, 5), np.nan)
    known[:2, [0, 1, 3, 4]] = 0.0  # 0 and 1 may only owe to 2
    with pytest.raises(InputError, match=r"0, 1 together owe 4, and all who may be their creditors are owed 3"):
        method([1, 2, 3, 4, 4], [2, 2, 3, 4, 3], known)


# minimum_density


def fewest(owed: list[int], owned: list[int]) -> int:
    """Return the fewest links that fit, by trying all supports in order of size and solving each by elimination."""
    size = len(owed)
    cells = [(row, column) for row in range(size) for column in range(size) if row != column]
    wanted = np.array([*owed, *owned], dtype=float)
    for count in range(len(cells) + 1):
        for support in itertools.combinations(cells, count):
            sums = np.zeros((2 * size, count))
            for number, (row, column) in enumerate(support):
                sums[row, number] = sums[size + column, number] = 1.0
            amounts = np.linalg.lstsq(sums, wanted, rcond=None)[0] if count else np.zeros(0)
            if np.abs(sums @ amounts - wanted).max() < 1e-9 and (amounts > -1e-9).all():
                return count
    raise AssertionError("no network fits")


def test_minimum_density_of_the_printed_example() -> None:
    """Theirs and NetworkRiskMeasures' heuristic find nine links (README, set.seed(192)); seven are enough."""
    exact = reconstruct.minimum_density(OWNED, OWED, method="exact")
    assert exact.links == 7
    assert reconstruct.minimum_density(OWNED, OWED, tries=20).links <= 9
    assert exact.density == 7 / 42


@pytest.mark.parametrize("seed", some(25))
def test_minimum_density_exact_is_the_least_of_all_supports(seed: int) -> None:
    source = np.random.default_rng(seed)
    size = 3 if seed % 2 else 4
    debts = source.integers(1, 6, (size, size)) * (source.random((size, size)) < 0.5) * (1 - np.eye(size, dtype=int))
    owed, owned = debts.sum(axis=1).tolist(), debts.sum(axis=0).tolist()
    assert reconstruct.minimum_density(owned, owed, method="exact").links == fewest(owed, owned)


@pytest.mark.parametrize("seed", some(20))
def test_minimum_density_fits_and_has_no_cycle_of_links_too_many(seed: int) -> None:
    case = draw(seed)
    heuristic = reconstruct.minimum_density(case.assets, case.liabilities, case.known, tries=2, seed=seed)
    right(heuristic.frame.to_numpy(), case)
    if case.known is None:
        most = np.count_nonzero(case.assets) + np.count_nonzero(case.liabilities)
        assert heuristic.links <= most + 2
    sizes = np.concatenate([case.assets, case.liabilities])
    if seed % 4 == 0 and len(case.assets) < 6 and sizes.max() < 1e3 * sizes[sizes > 0].min(initial=1.0):
        exact = reconstruct.minimum_density(case.assets, case.liabilities, case.known, method="exact")
        right(exact.frame.to_numpy(), case)
        assert exact.links <= min(heuristic.links, int(np.count_nonzero(case.debts)))


def test_minimum_density_is_the_same_for_the_same_seed() -> None:
    one, two = (reconstruct.minimum_density(OWNED, OWED, seed=3) for _ in range(2))
    assert one.frame.equals(two.frame)


# fitness


def test_link_probabilities_add_up_and_have_odds_in_proportion() -> None:
    found = reconstruct.link_probabilities(OWNED, OWED, density=0.3).to_numpy()
    assert found.sum() == pytest.approx(0.3 * 42, rel=1e-12)
    odds = found / (1.0 - found)
    strength = [
        odds[i, j] / (OWED[i] * OWNED[j]) for i in range(7) for j in range(7) if i != j and OWED[i] * OWNED[j] > 0
    ]
    np.testing.assert_allclose(strength, strength[0], rtol=1e-10)


def test_fitness_has_right_totals_and_links_on_average() -> None:
    samples = 8_000
    networks = reconstruct.fitness(OWNED, OWED, links=12, samples=samples, seed=5)
    chance = reconstruct.link_probabilities(OWNED, OWED, links=12).to_numpy()
    amounts = reconstruct.max_entropy(OWNED, OWED).frame.to_numpy()
    spread = np.sqrt(chance * (1.0 - chance) / samples)
    assert (np.abs(networks.link_rates.to_numpy() - chance) <= 5.0 * spread + 1e-12).all()
    at_risk = np.divide(amounts, chance, out=np.zeros_like(amounts), where=chance > 0)
    assert (np.abs(networks.mean.to_numpy() - amounts) <= 5.0 * spread * at_risk + 1e-12).all()
    deviation = np.sqrt((chance * (1.0 - chance)).sum())  # links are independent
    assert networks.links.mean() == pytest.approx(12.0, abs=5.0 * deviation / np.sqrt(samples))
    assert networks.links.std() == pytest.approx(deviation, rel=0.03)


def test_fitness_refuses_what_no_network_has() -> None:
    with pytest.raises(InputError, match="either links or density"):
        reconstruct.fitness(OWNED, OWED)
    with pytest.raises(InputError, match="only 26 pairs"):
        reconstruct.fitness(OWNED, OWED, links=30)
    for totals in (([], []), ([0, 0], [0, 0])):
        with pytest.raises(InputError, match=f"no two of {len(totals[0])} banks have something to borrow"):
            reconstruct.fitness(*totals, density=0.5)


# gandy_veraart


def test_links_that_are_all_but_impossible() -> None:
    """Totals make links certain that were next to impossible before they were known."""
    chain = reconstruct.Chain(samples=3)
    assert reconstruct.gandy_veraart([1, 2, 3.5], [3.3, 2.2, 1], 1e-300, chain=chain).residual < 1e-12


def test_gandy_veraart_on_three_banks_has_the_posterior_in_closed_form() -> None:
    """The example of the vignette of systemicrisk: one number is free, x = what 0 owes 1, from 0 to 0.4.

    At both ends a link is missing, of odds p/(1 − p)·rate each, in between the density is flat.
    """
    p, rate = np.array([[0, 0.5, 0.6], [0.7, 0, 0.5], [0.5, 0.4, 0]]), 1.5
    chain = reconstruct.Chain(samples=6_000, thin=4, burn_in=10, seed=1)
    networks = reconstruct.gandy_veraart([0.7, 2.7, 3.1], [1, 2.5, 3], p, rate, chain=chain)
    found = np.array([matrix.toarray()[0, 1] for matrix in networks])
    # x = 0 leaves out the link 0 → 1; which ones x = 0.4 leaves out: 1 → 0 has 0.4 − x, 0 → 2 has 1 − x
    ends = np.array([(1 - p[0, 1]) / p[0, 1], (1 - p[1, 0]) / p[1, 0]]) / rate
    weights = np.array([ends[0], 0.4, ends[1]]) / (ends.sum() + 0.4)
    missing = [matrix.toarray() == 0.0 for matrix in networks]
    between = [not (one[0, 1] or one[1, 0]) for one in missing]
    rates = [np.mean([one[0, 1] for one in missing]), np.mean(between), np.mean([one[1, 0] for one in missing])]
    for rate_found, weight, series in zip(rates, weights, series_of(missing), strict=True):
        assert abs(rate_found - weight) <= 4.0 * np.sqrt(weight * (1.0 - weight) / _effective(series))
    inside = found[np.array(between)]
    error = 0.4 / np.sqrt(12) / np.sqrt(_effective(inside))
    assert abs(inside.mean() - 0.2) <= 4.0 * error
    assert abs(inside.std() - 0.4 / np.sqrt(12)) <= 4.0 * np.sqrt((1.8 - 1.0) / 4.0) * error  # 1.8: kurtosis if flat
    assert networks.residual <= 5e-13  # totals are moved apart by 1e-13, and rows not scaled after columns


def series_of(missing: list[Floats]) -> list[Floats]:
    """Return whether each end is met, and what is between, by sample."""
    low, high = (np.array([one[cell] for one in missing], dtype=float) for cell in ((0, 1), (1, 0)))
    return [low, 1.0 - np.maximum(low, high), high]


def test_effective_samples_of_an_autoregression_are_those_of_its_theory() -> None:
    """With correlation ρ from one to the next, n samples are worth n·(1 − ρ)/(1 + ρ)."""
    source, rho = np.random.default_rng(5), 0.8
    noise, values = source.standard_normal(40_000), np.zeros(40_000)
    for place in range(1, noise.size):
        values[place] = rho * values[place - 1] + noise[place]
    assert _effective(values) == pytest.approx(40_000 * 0.2 / 1.8, rel=0.15)
    assert _effective(noise) == pytest.approx(40_000, rel=0.05)
    assert _effective(np.linspace(0.0, 1.0, 50)) < 3.0  # a trend: the chain has not forgotten its start


def test_gandy_veraart_of_one_debtor_of_all_matches_its_totals_alone() -> None:
    """Bank 3 owes to all others, who owe nothing: amounts are the totals, whatever p is."""
    networks = reconstruct.gandy_veraart([1, 2, 3.3, 0], [0, 0, 0, 6.3], 0.2, chain=reconstruct.Chain(samples=3))
    for matrix in networks:
        np.testing.assert_allclose(matrix.toarray()[3], [1, 2, 3.3, 0], rtol=1e-14)


@pytest.mark.parametrize(("size", "switches", "lowest"), [(4, 0.0, 0.3), (4, 1.0, 0.3), (6, 1.0, 0.15)])
def test_moves_leave_the_prior_as_it_is(size: int, switches: float, lowest: float) -> None:
    """Geweke's test: networks drawn from the prior, moved on with their own totals, are still drawn from the prior."""
    source, repeats, rate = np.random.default_rng(77), 6_000, 0.8
    p = source.uniform(lowest, 0.95, (size, size)) * (1.0 - np.eye(size))
    odds = p / (1.0 - p) * rate
    free = ~np.eye(size, dtype=bool)
    before, after = [], []
    for _ in range(repeats):
        drawn = source.exponential(1 / rate, (size, size)) * (source.random((size, size)) < p)
        links = listed(csr_array(drawn), free)
        compiled(swept, allocates=False)(links, odds, switches, 30, source)
        assert ((links.amounts > 0.0) == (links.in_row >= 0)).all()
        before.append(drawn)
        after.append(links.amounts)
    first, second = np.array(before), np.array(after)
    np.testing.assert_allclose(first.sum(axis=1), second.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(first.sum(axis=2), second.sum(axis=2), atol=1e-12)
    assert (np.abs(first - second).sum(axis=(1, 2)) > 0).mean() > 0.5
    links_of = lambda drawn: (drawn > 0).sum(axis=(1, 2)).astype(float)  # noqa: E731
    for measure in (
        lambda drawn: (drawn > 0).astype(float),
        lambda drawn: drawn,
        lambda drawn: drawn**2,
        links_of,
        lambda drawn: links_of(drawn) ** 2,
        lambda drawn: drawn[:, 0, 1] * drawn[:, 2, 3],
        lambda drawn: ((drawn[:, 0, 1] > 0) & (drawn[:, 1, 0] > 0)).astype(float),
    ):
        gap = np.atleast_1d((measure(first) - measure(second)).reshape(repeats, -1))
        error = gap.std(axis=0) / np.sqrt(repeats)
        assert (np.abs(gap.mean(axis=0)) <= 4.0 * error + 1e-12).all()


@pytest.mark.parametrize("switches", [0.0, 0.5])
def test_moves_are_the_same_compiled_and_plain(switches: float) -> None:
    source = np.random.default_rng(2)
    debts = source.lognormal(0.0, 1.0, (7, 7)) * (1.0 - np.eye(7))
    for odds in (np.full((1, 1), 0.7), np.full((7, 7), 0.2)):
        results = []
        for move in (swept, compiled(swept, allocates=False)):
            links = listed(csr_array(debts), ~np.eye(7, dtype=bool))
            move(links, odds, switches, 3_000, np.random.default_rng(4))
            results.append(links.amounts)
        np.testing.assert_allclose(results[0], results[1], rtol=1e-12, atol=1e-14)
        assert np.count_nonzero(results[0]) < 42


def test_lists_of_links_agree_with_one_another_and_get_more_room() -> None:
    """A sparse network of 60 banks: lists fill up, and moves go on where they stopped."""
    source = np.random.default_rng(6)
    debts = source.exponential(1.0, (60, 60)) * (source.random((60, 60)) < 0.05) * (1.0 - np.eye(60))
    links, left, roomier = listed(csr_array(debts), ~np.eye(60, dtype=bool)), 60_000, 0
    while left > 0:
        left -= compiled(swept, allocates=False)(links, np.full((1, 1), 2.0), 0.3, left, source)
        if links.state[0]:
            links, roomier = links.with_room(), roomier + 1
    rows, columns, amounts = links.cells
    places = links.in_row[rows, columns]
    assert roomier > 0
    assert (amounts > 0.0).all()
    assert len(set(places.tolist())) == np.count_nonzero(links.in_row >= 0) == rows.size == links.column_degree.sum()
    np.testing.assert_array_equal(links.creditors[places], columns)
    np.testing.assert_array_equal(links.debtors[links.in_column[places]], rows)
    np.testing.assert_array_equal(links.in_rows[links.in_column[places]], places)
    inside = links.in_column[places] - links.column_start[columns]
    assert ((inside >= 0) & (inside < links.column_degree[columns])).all()
    np.testing.assert_allclose(links.amounts.sum(axis=0), debts.sum(axis=0), atol=1e-11)
    np.testing.assert_allclose(links.amounts.sum(axis=1), debts.sum(axis=1), atol=1e-11)


def test_progress_is_shown_where_asked_for_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    chain = reconstruct.Chain(samples=3)
    totals = [3.1, 2, 1, 2], [2, 2.3, 2.8, 1]
    quiet, shown = (reconstruct.gandy_veraart(*totals, 0.5, chain=chain, progress=show) for show in (False, True))
    assert all(quiet[sample].equals(shown[sample]) for sample in range(3))
    reconstruct.fitness(*totals, links=6, samples=2, progress=True)
    reconstruct.minimum_density(*totals, tries=2, progress=True)
    reconstruct.ensemble_losses(ct.clearing.debtrank, shown, equity=1.0, shock=0.1, progress=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    for what, count in (("sweeps", 65), ("samples", 2), ("tries", 2), ("networks", 3)):
        assert re.search(rf"{what}: 100%.*{count}/{count}", printed.err)


@pytest.mark.parametrize("seed", some(20))
def test_gandy_veraart_keeps_totals_and_known_cells(seed: int) -> None:
    case = draw(seed)
    chain = reconstruct.Chain(samples=5, seed=seed)
    networks = reconstruct.gandy_veraart(case.assets, case.liabilities, 0.4, known=case.known, chain=chain)
    for matrix in networks:
        right(matrix.toarray(), case)


def test_gandy_veraart_with_probabilities_by_size_bars_links_of_none() -> None:
    chance = reconstruct.link_probabilities([3.1, 2, 1, 2], [2, 2.3, 2.8, 1], density=0.5)
    chance.iloc[0, 1] = 0.0
    networks = reconstruct.gandy_veraart([3.1, 2, 1, 2], [2, 2.3, 2.8, 1], chance)
    assert networks.link_rates.iloc[0, 1] == 0.0
    assert networks.links.between(4, 11).all()
    again = reconstruct.gandy_veraart([3.1, 2, 1, 2], [2, 2.3, 2.8, 1], chance)
    assert all(networks[sample].equals(again[sample]) for sample in range(len(again)))


def test_certain_links_are_always_there() -> None:
    networks = reconstruct.gandy_veraart([3.1, 2, 1, 2], [2, 2.3, 2.8, 1], 1.0)
    assert (networks.links == 12).all()


def test_totals_that_are_equal_by_chance_do_not_tear_networks_apart() -> None:
    """Each bank could owe all that it owes to one other: moves must find the way from one such network to the next."""
    networks = reconstruct.gandy_veraart(
        [1, 1, 1, 1], [1, 1, 1, 1], 0.05, chain=reconstruct.Chain(samples=800, thin=100)
    )
    assert networks.links.nunique() > 1
    seen = networks.link_rates.to_numpy()
    assert (np.abs(seen[~np.eye(4, dtype=bool)] - 1 / 3) < 0.15).all()  # nine permutations, each bank alike
    assert networks.residual <= 5e-12  # four links of up to 1e-12 of a total are left out, and totals moved apart


def test_more_likely_links_are_more() -> None:
    debts = np.random.default_rng(3).lognormal(0.0, 0.5, (6, 6)) * (1.0 - np.eye(6))
    totals = debts.sum(axis=0), debts.sum(axis=1)
    means = [reconstruct.gandy_veraart(*totals, p, rate=1.0).links.mean() for p in (0.1, 0.5, 0.9)]
    assert means == sorted(means)
    assert means[0] >= 11 - 1e-12  # one less than there are totals
    assert means[2] > means[0] + 5


def test_gandy_veraart_refuses_bad_arguments() -> None:
    with pytest.raises(InputError, match="p is 0"):
        reconstruct.gandy_veraart([1, 1], [1, 1], 0.0)
    with pytest.raises(InputError, match="rate is -1"):
        reconstruct.gandy_veraart([1, 1], [1, 1], 0.5, rate=-1)
    with pytest.raises(InputError, match="samples is 0"):
        reconstruct.Chain(samples=0)


# small and empty systems


def test_systems_without_debts_or_with_one_network_only() -> None:
    zero, pair = ([0, 0, 0], [0, 0, 0]), ([2, 3], [3, 2])
    for totals, wanted in ((zero, np.zeros((3, 3))), (pair, [[0, 3], [2, 0]]), (([0], [0]), [[0]])):
        chain = reconstruct.Chain(samples=2)
        found = [
            reconstruct.max_entropy(*totals).frame,
            reconstruct.minimum_density(*totals).frame,
            reconstruct.minimum_density(*totals, method="exact").frame,
            reconstruct.gandy_veraart(*totals, 0.5, chain=chain)[1],
        ]
        for frame in found:
            np.testing.assert_allclose(frame, wanted, rtol=1e-12)


@pytest.mark.parametrize("seed", some(10))
def test_large_chains_start_from_sparse_networks_that_fit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("contagion.reconstruct.start"), "_SMALL", 0)
    debts = np.random.default_rng(seed).lognormal(0.0, 1.0, (30, 30)) * (1.0 - np.eye(30))
    case = Case(debts, debts.sum(axis=0), debts.sum(axis=1), None)
    chain = reconstruct.Chain(samples=2, burn_in=1, thin=1, seed=seed)
    networks = reconstruct.gandy_veraart(case.assets, case.liabilities, 0.2, chain=chain)
    for matrix in networks:
        right(matrix.toarray(), case)
    assert networks.links.max() < 500
    assert "independent ones" in repr(networks) or networks.effective_samples == 2.0


# ensemble_losses, interval_losses


def test_ensemble_losses_are_those_of_each_network_in_turn() -> None:
    assets = pd.Series({"d": 0.1, "a": 0.4, "c": 0.2, "b": 0.0})
    owed, owned = (pd.Series(values, index=list("abcd"), dtype=float) for values in ([2, 2.3, 2.8, 1], [3.1, 2, 1, 2]))
    networks = reconstruct.gandy_veraart(owned, owed, 0.4, chain=reconstruct.Chain(samples=30))
    found = reconstruct.ensemble_losses(
        ct.clearing.eisenberg_noe, networks, quantiles=[0.1, 0.5], external_assets=assets, external_liabilities=0.3
    )
    for sample in range(30):
        frame = ct.clearing.eisenberg_noe(networks[sample], assets, 0.3).frame
        np.testing.assert_allclose(found.samples[sample].loc[frame.index], frame["owed"] - frame["payments"])
    assert found.total["mean"] == pytest.approx(found.samples.sum().mean())
    assert found.by_node.loc["b", "0.1"] == pytest.approx(np.quantile(found.samples.loc["b"], 0.1))
    assert list(found.total.index) == ["mean", "0.1", "0.5"]
    assert found.samples.std(axis=1).max() > 0.0


def test_ensemble_losses_leave_to_the_model_what_mappings_leave_out() -> None:
    """A shock to one bank is none to the others; external assets have no such default."""
    frame = pd.DataFrame([[0, 1.0, 2.0], [1.0, 0, 0], [0, 3.0, 0]], list("abc"), list("abc"))
    pair = [frame, 2.0 * frame]
    equity = {"c": 4.0, "a": 5.0, "b": 6.0}
    found = reconstruct.ensemble_losses(ct.clearing.debtrank, pair, loss="loss", equity=equity, shock={"b": 0.5})
    for number, network in enumerate(pair):
        alone = ct.clearing.debtrank(network, equity, {"b": 0.5}).frame["loss"]
        np.testing.assert_allclose(found.samples[number], alone.loc[list("abc")], rtol=1e-12)
    bounds = reconstruct.interval_losses(ct.clearing.debtrank, *pair, equity=equity, shock=pd.Series({"b": 0.5}))
    assert bounds.lower == pytest.approx(found.samples[0].sum())
    with pytest.raises(InputError, match="'d'"):
        reconstruct.ensemble_losses(ct.clearing.debtrank, pair, equity=equity, shock={"d": 0.5})
    with pytest.raises(InputError, match="external_assets"):
        reconstruct.ensemble_losses(ct.clearing.eisenberg_noe, pair, external_assets={"b": 0.5})


def test_ensemble_losses_by_column_and_function() -> None:
    pair = np.array([[0, 2.0], [1.0, 0]]), np.array([[0, 3.0], [1.0, 0]])
    column = reconstruct.ensemble_losses(ct.clearing.debtrank, pair, loss="loss", equity=[4, 4], shock=[0.5, 0])
    own = reconstruct.ensemble_losses(lambda debts: debts, pair, loss=lambda debts: debts.toarray().sum(axis=1))
    assert own.samples[1].tolist() == [3.0, 1.0]
    assert column.samples.sum().tolist() == pytest.approx(
        [ct.clearing.debtrank(debts, [4, 4], [0.5, 0]).frame["loss"].sum() for debts in pair]
    )


def test_one_network_is_no_ensemble() -> None:
    with pytest.raises(InputError, match="one reconstruction is no answer"):
        reconstruct.ensemble_losses(ct.clearing.eisenberg_noe, [np.zeros((2, 2))], external_assets=1)
    with pytest.raises(InputError, match=re.escape("loss is 'los'; the model's frame has")):
        reconstruct.ensemble_losses(
            ct.clearing.eisenberg_noe, [np.zeros((2, 2))] * 2, loss="los", external_assets=[1, 1]
        )


@pytest.mark.parametrize("seed", some(20))
def test_corners_bound_what_lies_between_where_losses_rise(seed: int) -> None:
    source = np.random.default_rng(seed)
    low = source.lognormal(0.0, 1.0, (6, 6)) * (1.0 - np.eye(6))
    high = low * source.uniform(1.0, 2.0, (6, 6))
    equity, shock = source.uniform(2.0, 9.0, 6), np.eye(6)[0]
    for model, given in (
        (ct.clearing.debtrank, {"equity": equity, "shock": shock}),
        (ct.clearing.threshold_cascade, {"equity": equity, "shock": shock * equity}),
    ):
        found = reconstruct.interval_losses(model, low, high, checks=2, **given)
        for _ in range(5):
            inside = low + (high - low) * source.random((6, 6))
            loss = model(inside, **given).frame["loss"]
            assert (found.by_node["lower"] <= loss + 1e-9).all()
            assert (loss <= found.by_node["upper"] + 1e-9).all()
        assert found.checks == 6


def test_corners_are_refused_where_losses_fall_with_debts() -> None:
    """More owed by 0, who can pay, saves 1: a larger debt is a smaller loss."""
    with pytest.raises(InputError, match="losses fall somewhere between"):
        reconstruct.interval_losses(
            ct.clearing.eisenberg_noe,
            [[0, 1, 0], [0, 0, 5], [0, 0, 0]],
            [[0, 4, 0], [0, 0, 5], [0, 0, 0]],
            external_assets=[9, 0, 0],
        )
    with pytest.raises(InputError, match="lower is above upper"):
        reconstruct.interval_losses(ct.clearing.debtrank, [[0, 1], [0, 0]], [[0, 0], [0, 0]], equity=1, shock=1)


def test_tables_beside_an_ensemble_are_refused_for_their_order_would_be_lost() -> None:
    network = pd.DataFrame([[0.0, 4.0], [0.0, 0.0]], ["b", "a"], ["b", "a"])
    table = pd.DataFrame(np.eye(2) * 0.0, ["a", "b"], ["a", "b"])
    with pytest.raises(ct.InputError, match="holdings has labels, and the networks are handed over"):
        ct.reconstruct.ensemble_losses(lambda net, **_: net, [network, network], holdings=table)


def test_results_stay_what_they_are() -> None:
    one, many = reconstruct.max_entropy([2, 2, 2], [2, 2, 2]), reconstruct.fitness([2, 1], [1, 2], links=1, samples=2)
    for amounts in (one.matrix, many.matrices[1].data, reconstruct.minimum_density([1, 0], [0, 1]).matrix.data):
        with pytest.raises(ValueError, match="read-only"):
            np.asarray(amounts)[:] = 9.0
    losses = reconstruct.ensemble_losses(ct.clearing.threshold_cascade, many, equity=1.0, shock=1.0)
    total = losses.total
    total[:] = 9.0
    assert losses.total["mean"] != 9.0
