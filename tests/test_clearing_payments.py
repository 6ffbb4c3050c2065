"""Clearing vectors against plain loops, linear programmes, brute force over default sets, and what must hold anyway."""

from __future__ import annotations

from itertools import product
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.optimize import linprog

from contagion.clearing.eisenberg_noe import eisenberg_noe
from contagion.clearing.rogers_veraart import rogers_veraart
from contagion.errors import InputError
from tests.clearing_systems import SEEDS, Book, Floats, draw, picard, shares_of
from tests.seeds import some


def large(seed: int, count: int = 400) -> Book:
    source = np.random.default_rng(seed)
    debts = np.where(source.random((count, count)) < 10 / count, source.lognormal(0.0, 1.0, (count, count)), 0.0)
    np.fill_diagonal(debts, 0.0)
    assets = source.lognormal(1.5, 1.0, count)
    return Book(debts, assets, source.lognormal(1.0, 1.0, count))


def default_sets(book: Book, alpha: float, beta: float) -> list[Floats]:
    """Return every clearing vector, one for each set of defaults that makes itself true: brute force."""
    shares, owed = shares_of(book.liabilities, book.external)
    found = []
    for chosen in product([False, True], repeat=owed.size):
        down = np.array(chosen)
        paid = owed.copy()
        inside = shares[np.ix_(down, down)].T
        system = np.eye(down.sum()) - beta * inside
        if abs(np.linalg.det(system)) < 1e-9:
            continue
        right = alpha * book.assets[down] + beta * shares[:, down].T @ np.where(down, 0.0, owed)
        paid[down] = np.linalg.solve(system, right)
        able = book.assets + shares.T @ paid >= owed - 1e-10
        if (able == ~down).all():
            found.append(paid)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_eisenberg_noe_agrees_with_plain_loops(seed: int) -> None:
    book = draw(seed)
    result = eisenberg_noe(*book)
    assert result.payments.to_numpy() == pytest.approx(picard(book), abs=1e-7)
    assert result.residual < 1e-14


@pytest.mark.parametrize("seed", SEEDS)
def test_eisenberg_noe_2001_lemma_4_largest_total_payments(seed: int) -> None:
    book = draw(seed)
    shares, owed = shares_of(book.liabilities, book.external)
    best = linprog(-np.ones(owed.size), np.eye(owed.size) - shares.T, book.assets, bounds=[(0.0, due) for due in owed])
    assert eisenberg_noe(*book).payments.to_numpy() == pytest.approx(best.x, abs=1e-7)


@pytest.mark.parametrize("seed", some(6))
def test_large_networks_clear_to_rounding(seed: int) -> None:
    book = large(seed)
    result = eisenberg_noe(*book)
    shares, owed = shares_of(book.liabilities, book.external)
    paid = result.payments.to_numpy()
    assert 65 < result.defaulted.sum() < 400  # more than are factorised densely
    assert paid == pytest.approx(np.minimum(owed, book.assets + shares.T @ paid), rel=1e-13)
    kept = rogers_veraart(book.liabilities, book.assets, 0.7, 0.8, book.external).payments.to_numpy()
    value = book.assets + shares.T @ kept
    costs = 0.7 * book.assets + 0.8 * shares.T @ kept
    assert kept == pytest.approx(np.where(value >= owed * (1 - 1e-12), owed, costs), rel=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_without_costs(seed: int) -> None:
    """What banks own and outside creditors get is what came in (Eisenberg and Noe 2001, conservation of value)."""
    book = draw(seed)
    frame = eisenberg_noe(*book).frame
    assert frame["equity"].sum() + frame["external_payments"].sum() == pytest.approx(book.assets.sum(), abs=1e-12)
    inside = frame["payments"].sum() - frame["external_payments"].sum()
    assert inside == pytest.approx(frame["received"].sum(), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_senior_creditors_come_first(seed: int) -> None:
    book = draw(seed)
    frame = eisenberg_noe(*book, external="senior").frame
    inside = np.maximum(0.0, np.minimum(book.liabilities.sum(1), book.assets - book.external + frame["received"]))
    assert (frame["payments"] - frame["external_payments"]).to_numpy() == pytest.approx(inside.to_numpy(), abs=1e-9)
    assert frame["external_payments"].to_numpy() == pytest.approx(
        np.minimum(book.external, book.assets + frame["received"]).to_numpy(), abs=1e-9
    )
    assert frame["equity"].sum() + frame["external_payments"].sum() == pytest.approx(book.assets.sum(), abs=1e-9)
    assert (frame["equity"] * frame["defaulted"] == 0).all()
    short = frame["owed"] - frame["payments"] > 1e-9
    assert (short == frame["defaulted"]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_senior_payments_are_the_greatest(seed: int) -> None:
    """Plain iteration from payment in full, which can only fall to the greatest fixed point."""
    book = draw(seed)
    shares, owed = shares_of(book.liabilities, np.zeros_like(book.external))
    paid = owed
    for _ in range(100_000):
        after = np.minimum(owed, np.maximum(0.0, book.assets - book.external + shares.T @ paid))
        if np.abs(after - paid).max() == 0.0:
            break
        paid = after
    frame = eisenberg_noe(*book, external="senior").frame
    assert (frame["payments"] - frame["external_payments"]).to_numpy() == pytest.approx(paid, abs=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_default_rounds_are_those_of_the_fictitious_default_algorithm(seed: int) -> None:
    """Round by round with plain iteration; the first wave are those who fail even if all others pay."""
    book = draw(seed)
    shares, owed = shares_of(book.liabilities, book.external)
    paid, rounds = owed.copy(), np.zeros(owed.size)
    for wave in range(1, owed.size + 1):
        rounds[(owed - book.assets - shares.T @ paid > 1e-10) & (rounds == 0)] = wave
        for _ in range(1_500):
            paid = np.where(rounds > 0, book.assets + shares.T @ paid, owed)
    assert eisenberg_noe(*book).default_round.tolist() == rounds.tolist()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.7), (0.9, 0.4), (0.0, 0.0), (1.0, 0.5)])
def test_rogers_veraart_agrees_with_every_set_of_defaults(seed: int, alpha: float, beta: float) -> None:
    book = draw(seed, largest=6)
    known = default_sets(book, alpha, beta)
    for solution, pick in (("greatest", np.max), ("least", np.min)):
        arguments: Any = {"external_liabilities": book.external, "solution": solution}
        result = rogers_veraart(book.liabilities, book.assets, alpha, beta, **arguments)
        assert result.payments.to_numpy() == pytest.approx(pick(known, axis=0), abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_least_without_costs_agrees_with_plain_loops(seed: int) -> None:
    book = draw(seed)
    result = rogers_veraart(book.liabilities, book.assets, 1.0, 1.0, book.external, solution="least")
    assert result.payments.to_numpy() == pytest.approx(picard(book, from_below=True), abs=1e-7)


@pytest.mark.parametrize("seed", SEEDS)
def test_uniqueness_is_what_greatest_and_least_say(seed: int) -> None:
    book = draw(seed)
    greatest = eisenberg_noe(*book)
    least = rogers_veraart(book.liabilities, book.assets, 1.0, 1.0, book.external, solution="least")
    same = np.allclose(greatest.payments, least.payments, atol=1e-9)
    assert greatest.unique == same
    assert same or not greatest.regular
    assert greatest.equity.to_numpy() == pytest.approx(least.equity.to_numpy(), abs=1e-9)  # theorem 1


def test_a_ring_without_money_clears_in_more_than_one_way() -> None:
    ring = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    greatest = eisenberg_noe(ring, 0.0)
    least = rogers_veraart(ring, 0.0, 1.0, 1.0, solution="least")
    assert (greatest.payments.tolist(), least.payments.tolist()) == ([1, 1, 1], [0, 0, 0])
    assert (greatest.unique, greatest.regular) == (False, False)
    fed = eisenberg_noe(ring, [0.1, 0, 0])
    assert (fed.unique, fed.regular) == (True, True)
    leaking = eisenberg_noe(ring, 0.0, [0.1, 0, 0])
    assert (leaking.unique, leaking.regular) == (True, False)
    assert leaking.payments.tolist() == pytest.approx([0, 0, 0])


def test_money_from_outside_of_a_ring_settles_it() -> None:
    """The first node feeds a ring that has nothing: not regular, but there is only one way to clear it."""
    fed = np.array([[0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    with_money = eisenberg_noe(fed, [0.5, 0, 0, 0])
    assert with_money.payments.tolist() == pytest.approx([0.5, 1, 1, 1])
    assert (with_money.unique, with_money.regular) == (True, False)
    without = eisenberg_noe(fed, 0.0)
    assert without.payments.tolist() == pytest.approx([0, 1, 1, 1])
    assert (without.unique, without.regular) == (False, False)


def test_creditors_without_debts_need_no_assets_for_regularity() -> None:
    assert eisenberg_noe([[0, 1], [0, 0]], [1, 0]).regular


def test_rounding_alone_makes_nobody_default() -> None:
    """0.1 + 0.2 is more than 0.3 in binary; with costs of default that would cost half of it."""
    debts = [[0, 0.1, 0.2], [0, 0, 0], [0, 0, 0]]
    assert 0.1 + 0.2 > 0.3
    assert not eisenberg_noe(debts, [0.3, 0, 0]).defaulted.any()
    assert not eisenberg_noe(debts, [0.3, 0, 0], external="senior").defaulted.any()
    for solution in ("greatest", "least"):
        kind: Any = solution
        assert not rogers_veraart(debts, [0.3, 0, 0], 0.5, 0.5, solution=kind).defaulted.any()


def test_recovery_rates_are_those_of_debts_in_the_network() -> None:
    """The first owes 2 inside and 2 outside and has 3; the second owes only outside, and cannot pay."""
    debts, assets, external = [[0, 2, 0], [0, 0, 0], [0, 0, 0]], [3, 0, 1], [2, 4, 1]
    senior = eisenberg_noe(debts, assets, external, external="senior")
    assert senior.recovery_rate.tolist() == [0.5, 0.0, 1.0]
    assert senior.frame["external_payments"].tolist() == [2, 1, 1]
    equal = eisenberg_noe(debts, assets, external)
    assert equal.recovery_rate.tolist() == [0.75, 0.375, 1.0]


@pytest.mark.parametrize("seed", SEEDS)
def test_more_assets_never_lower_payments(seed: int) -> None:
    book = draw(seed)
    richer = book.assets + np.random.default_rng(seed).random(book.assets.size)
    for before, after in [
        (eisenberg_noe(*book), eisenberg_noe(book.liabilities, richer, book.external)),
        (
            rogers_veraart(book.liabilities, book.assets, 0.6, 0.8, book.external),
            rogers_veraart(book.liabilities, richer, 0.6, 0.8, book.external),
        ),
    ]:
        assert (after.payments >= before.payments - 1e-12).all()
        assert (after.equity >= before.equity - 1e-12).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_costs_only_lower_payments_and_least_is_below_greatest(seed: int) -> None:
    book = draw(seed)
    free = eisenberg_noe(*book).payments
    greatest = rogers_veraart(book.liabilities, book.assets, 0.6, 0.8, book.external).payments
    least = rogers_veraart(book.liabilities, book.assets, 0.6, 0.8, book.external, solution="least").payments
    assert (greatest <= free + 1e-12).all()
    assert (least <= greatest + 1e-12).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_order_of_banks_does_not_matter(seed: int) -> None:
    book = draw(seed)
    order = np.random.default_rng(seed).permutation(book.assets.size)
    moved = eisenberg_noe(book.liabilities[np.ix_(order, order)], book.assets[order], book.external[order])
    frame = eisenberg_noe(*book).frame.iloc[order].reset_index(drop=True)
    pd.testing.assert_frame_equal(moved.frame.reset_index(drop=True), frame, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_splitting_a_bank_in_two_halves_changes_nobody_else(seed: int) -> None:
    book = draw(seed)
    halved = np.block([[book.liabilities, book.liabilities[:, :1] / 2], [book.liabilities[:1] / 2, np.zeros((1, 1))]])
    halved[0] /= 2
    halved[:-1, 0] = book.liabilities[:, 0] / 2
    assets = np.append(book.assets, book.assets[0] / 2)
    external = np.append(book.external, book.external[0] / 2)
    assets[0], external[0] = assets[0] / 2, external[0] / 2
    whole, split = eisenberg_noe(*book).payments, eisenberg_noe(halved, assets, external).payments
    assert split[1:-1].to_numpy() == pytest.approx(whole[1:].to_numpy(), abs=1e-10)
    assert split.iloc[0] + split.iloc[-1] == pytest.approx(whole.iloc[0], abs=1e-10)


def test_every_kind_of_input_gives_the_same() -> None:
    book = draw(4)
    names = [f"bank {number}" for number in range(book.assets.size)]
    table = pd.DataFrame(book.liabilities, names, names)
    graph = nx.from_pandas_adjacency(table, create_using=nx.DiGraph)
    for *_, edge in graph.edges(data=True):
        edge["amount"] = edge.pop("weight")
    assets = pd.Series(book.assets, names)
    plain = eisenberg_noe(*book).frame
    for liabilities, own, external in [
        (table, assets, book.external),
        (table[names[::-1]], assets[::-1], dict(zip(names, book.external, strict=True))),
        (graph, assets.to_dict(), book.external),
        (sp.csc_matrix(book.liabilities), assets, book.external),
        (sp.coo_array(book.liabilities), assets, list(book.external)),
    ]:
        frame = eisenberg_noe(liabilities, own, external).frame
        assert frame.index.tolist() == names
        assert frame.index.name == "node"
        np.testing.assert_array_equal(frame.to_numpy(dtype=float), plain.to_numpy(dtype=float))


def test_nothing_that_was_given_is_written_to() -> None:
    book = draw(5)
    debts = sp.csr_matrix(book.liabilities)
    kept = debts.copy()
    result = eisenberg_noe(debts, book.assets, book.external)
    frame, payments = result.frame, result.payments
    frame["payments"] = 0.0
    payments.iloc[0] = -1.0
    np.testing.assert_array_equal(debts.toarray(), kept.toarray())
    assert result.payments.sum() > 0.0


def test_no_banks_and_no_debts() -> None:
    assert eisenberg_noe(np.zeros((0, 0)), []).frame.empty
    alone = eisenberg_noe(np.zeros((2, 2)), [1.0, 0.0])
    assert (alone.equity.tolist(), alone.recovery_rate.tolist()) == ([1.0, 0.0], [1.0, 1.0])
    assert rogers_veraart(np.zeros((2, 2)), 1.0, 0.5, 0.5, solution="least").payments.tolist() == [0.0, 0.0]


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        rogers_veraart([[0, -1], [2, 3]], [1, 2, 3], 1.5, "x", solution="gratest", on_failure="ignore")  # type: ignore[arg-type]
    text = str(caught.value)
    for part in ("negative", "diagonal", "3 entries for 2", "alpha", "beta", "did you mean 'greatest'", "on_failure"):
        assert part in text


@pytest.mark.parametrize("seed", some(12))
def test_debts_from_cents_to_trillions_and_rings_that_hardly_leak(seed: int) -> None:
    """Where iterating alone stalls or loses small banks: the equation of each bank holds, as a share of its debts."""
    source = np.random.default_rng(seed)
    count = 300
    if seed % 3:
        linked = source.random((count, count)) < 2 / count
        debts = np.where(linked, np.exp(source.normal(0.0, 6.0, (count, count))), 0.0) * (1 - np.eye(count))
    else:
        debts = 7.0 * np.roll(np.eye(count), 1, axis=1)
    owed = debts.sum(axis=1)
    external = 1e-9 * owed * source.random(count)
    assets = np.maximum(owed + external - debts.sum(axis=0), 0.0) * source.uniform(0.3, 1.2, count)
    assets *= source.random(count) < 0.05
    for result in (
        eisenberg_noe(debts, assets, external),
        eisenberg_noe(debts, assets, external, external="senior"),
        rogers_veraart(debts, assets, 0.9, 1.0, external),
        rogers_veraart(debts, assets, 0.7, 1.0, external, solution="least"),
    ):
        assert result.residual < (1e-9 if seed % 3 else 1e-14)
