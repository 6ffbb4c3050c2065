"""What comes in: every form of matrix and vector, and every mistake in one error."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from contagion.clearing.network import Matrix, Table, Vector, read
from contagion.errors import InputError

DEBTS = np.array([[0.0, 2.0, 0.0], [0.0, 0.0, 3.0], [1.0, 0.0, 0.0]])


def one(liabilities: Any, assets: Any = 1.0, **vectors: Vector) -> Table:
    return read("model", {"liabilities": Matrix(liabilities)}, {"assets": Vector(assets), **vectors})


def problems(*arguments: Any, **vectors: Vector) -> str:
    with pytest.raises(InputError) as caught:
        one(*arguments, **vectors)
    return str(caught.value)


def graph(names: str) -> nx.DiGraph[str]:
    found: nx.DiGraph[str] = nx.DiGraph()
    found.add_nodes_from(names)
    for debtor, creditor in np.argwhere(DEBTS):
        found.add_edge(names[debtor], names[creditor], amount=DEBTS[debtor, creditor])
    return found


@pytest.mark.parametrize(
    "given",
    [
        DEBTS,
        DEBTS.tolist(),
        DEBTS.astype(np.float32),
        sp.csr_matrix(DEBTS),
        sp.csc_array(DEBTS),
        sp.coo_matrix(DEBTS.astype(int)),
        sp.lil_array(DEBTS),
        pd.DataFrame(DEBTS),
        pd.DataFrame(DEBTS)[[2, 0, 1]],
    ],
)
def test_every_form_of_matrix(given: Any) -> None:
    table = one(given)
    matrix = table.matrices["liabilities"]
    assert (type(matrix).__name__, str(matrix.dtype), matrix.nnz) == ("csr_array", "float64", 3)
    np.testing.assert_array_equal(matrix.toarray(), DEBTS)
    assert table.vectors["assets"].tolist() == [1.0, 1.0, 1.0]


def test_labels_are_kept_and_aligned() -> None:
    frame = pd.DataFrame(DEBTS, list("abc"), list("abc")).loc[:, list("cab")]
    for given in (frame, graph("abc")):
        table = one(given, {"c": 3, "b": 2, "a": 1}, shock=Vector(pd.Series({"b": 0.5}), default=0.0))
        assert table.labels["node"].tolist() == list("abc")
        np.testing.assert_array_equal(table.matrices["liabilities"].toarray(), DEBTS)
        assert table.vectors["assets"].tolist() == [1, 2, 3]
        assert table.vectors["shock"].tolist() == [0, 0.5, 0]


def test_labels_of_a_vector_name_the_rows_of_an_array() -> None:
    assert one(DEBTS, {"x": 1, "y": 2, "z": 3}).labels["node"].tolist() == list("xyz")
    assert one(DEBTS, 1.0, debts=Vector({"x": 1, "y": 2, "z": 3}, default=0.0)).labels["node"].tolist() == list("xyz")


def test_numbers_as_labels_of_an_array_are_positions() -> None:
    table = one(DEBTS, pd.Series([3, 1, 2], [2, 0, 1]), shock=Vector({1: 0.5}, default=0.0))
    assert table.vectors["assets"].tolist() == [1, 2, 3]
    assert table.vectors["shock"].tolist() == [0, 0.5, 0]


def test_parallel_edges_and_repeated_cells_add_up() -> None:
    many: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    many.add_edge("a", "b", amount=1.0)
    many.add_edge("a", "b", amount=2.0)
    assert one(many).matrices["liabilities"].toarray().tolist() == [[0, 3], [0, 0]]
    cells = sp.coo_array(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert one(cells).matrices["liabilities"].nnz == 1


def test_rectangles_have_two_sets_of_labels() -> None:
    holdings = pd.DataFrame([[1.0, 2.0]], ["bank"], ["bond", "share"])
    vectors = {"price": Vector({"share": 3, "bond": 5}, axis="asset"), "equity": Vector([7.0], axis="bank")}
    table = read("model", {"holdings": Matrix(holdings, rows="bank", columns="asset")}, vectors)
    assert table.vectors["price"].tolist() == [5, 3]
    assert table.labels["bank"].tolist() == ["bank"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((np.zeros((2, 3)),), "shape (2, 3)"),
        ((np.zeros(3),), "1 dimensions"),
        (("debts",), "cannot be read as a matrix"),
        (([[0, -1], [0, 0]],), "[0, 1] = -1 is negative"),
        (([[0, np.inf], [0, 0]],), "not a finite number"),
        (([[0, np.nan], [0, 0]],), "not a finite number"),
        (([[1, 0], [0, 0]],), "diagonal 0 is not zero"),
        ((pd.DataFrame(DEBTS, list("abc"), list("abd")),), "node 'd'"),
        ((pd.DataFrame(DEBTS, list("aab"), list("aab")),), "listed twice"),
        ((DEBTS, [1.0, 2.0]), "2 entries for 3 nodes"),
        ((DEBTS, [[1.0], [2.0], [3.0]]), "one dimension"),
        ((DEBTS, [1.0, -2.0, 3.0]), "[1] = -2 is below 0"),
        ((DEBTS, [1.0, np.nan, 3.0]), "[1] = nan is not a finite number"),
        ((DEBTS, None), "assets is missing"),
        ((DEBTS, "rich"), "cannot be read as numbers"),
        ((pd.DataFrame(DEBTS, list("abc"), list("abc")), {"a": 1, "b": 2}), "'c' is missing"),
        ((pd.DataFrame(DEBTS, ["Alpha", "B", "C"], ["Alpha", "B", "C"]), {"Alfa": 1, "B": 2, "C": 3}), "did you mean"),
        ((nx.Graph([("a", "b", {"amount": 1.0})]),), "edges need a direction"),
        ((nx.DiGraph([("a", "b")]),), "no attribute 'amount'"),
    ],
)
def test_each_mistake_is_named(arguments: tuple[Any, ...], said: str) -> None:
    assert said in problems(*arguments)


def test_all_mistakes_at_once_and_not_all_of_their_places() -> None:
    text = problems(-np.ones((20, 20)), [np.nan] * 3, rate=Vector(2.0, highest=1.0))
    assert "4 problems" in text
    assert "and 395 more are negative" in text


def test_arrays_between_vectors_in_different_orders_are_unclear() -> None:
    text = problems(DEBTS, pd.Series(1.0, list("abc")), debts=Vector(pd.Series(1.0, list("cab"))))
    assert "different orders" in text


def test_a_number_alone_has_no_length() -> None:
    with pytest.raises(InputError, match="how many nodes"):
        read("model", {}, {"assets": Vector(1.0)})


def test_what_was_given_stays_as_it_is() -> None:
    cells = sp.csr_array(([1.0, 0.0, 2.0], [1, 0, 1], [0, 2, 3]), shape=(2, 2))
    kept = cells.data.copy(), cells.indices.copy()
    with pytest.raises(InputError):
        one(cells)
    np.testing.assert_array_equal(cells.data, kept[0])
    np.testing.assert_array_equal(cells.indices, kept[1])
