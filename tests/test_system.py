import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import pytest

from contagion import InputError, System, schema


def test_absent_tables_are_empty_with_the_right_types() -> None:
    for table, frame in System().tables():
        known = schema.columns(table)
        assert list(frame.columns) == list(known)
        assert len(frame) == 0
        for name, column in known.items():
            assert frame[name].dtype == ("float64" if column.is_number else "str"), (table, name)


def test_absent_and_empty_cells_take_the_default() -> None:
    frame = pd.DataFrame(
        {"node": ["a", "b"], "kind": [None, "exchange"], "buffer": [np.nan, 2.0], "domain": ["", "defi"]}
    )
    nodes = System(nodes=frame).nodes
    assert nodes["kind"].tolist() == ["institution", "exchange"]
    assert nodes["buffer"].tolist() == [0.0, 2.0]
    assert nodes["domain"].tolist() == ["cefi", "defi"]
    assert nodes["close_factor"].tolist() == [0.5, 0.5]
    assert nodes["liabilities"].isna().all()


def test_the_callers_frame_is_neither_kept_nor_changed() -> None:
    frame = pd.DataFrame({"node": ["a"], "buffer": [1.0], "extra": [1]}, index=[7])
    before = frame.copy()
    system = System(nodes=frame)
    frame.loc[7, ["buffer", "extra"]] = [9.0, 9]
    assert list(system.nodes.loc[0, ["buffer", "extra"]]) == [1.0, 1]
    assert before.loc[7, "buffer"] == 1.0


def test_a_system_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        System().nodes = pd.DataFrame()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["0.1", " 2 ", ""], [0.1, 2.0, math.nan]),
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        (pd.array([1, None, 3], dtype="Int64"), [1.0, math.nan, 3.0]),
        (pd.Categorical(["1", "2", None]), [1.0, 2.0, math.nan]),
        ([True, False, True], [1.0, 0.0, 1.0]),
        (["inf", "1e-300", "-1"], [math.inf, 1e-300, -1.0]),
        (["1", "nan", "3"], ["1", "nan", "3"]),
        (["1", "x", ""], ["1", "x", ""]),
        (pd.to_datetime(["2025-10-10"] * 3), ["2025-10-10"] * 3),
        ([1 + 2j, 1, 2], ["(1+2j)", "(1+0j)", "(2+0j)"]),
    ],
)
def test_numbers_are_read_or_left_for_the_checks(cells: Any, expected: list[Any]) -> None:
    price = System(markets=pd.DataFrame({"market": ["a", "b", "c"], "price": cells})).markets["price"]
    assert [repr(cell) for cell in price.tolist()] == [repr(cell) for cell in expected]
    assert price.dtype == ("str" if isinstance(expected[1], str) else "float64")


def test_text_is_read_as_exactly_as_python_reads_it() -> None:
    words = ["0.1", "2.675", "1e23", "123456789.123456789", "5e-324"]
    frame = pd.DataFrame({"market": list("abcde"), "price": words})
    assert System(markets=frame).markets["price"].tolist() == [float(word) for word in words]


def test_names_become_text() -> None:
    frame = pd.DataFrame({"node": [7, "NA", "nan", " x ", None]})
    assert System(nodes=frame).nodes["node"].tolist() == ["7", "NA", "nan", " x ", ""]


def test_repr_counts_the_rows_of_tables_that_have_some() -> None:
    assert repr(System()) == "System(empty)"
    system = System(nodes=pd.DataFrame({"node": ["a", "b"]}), assets=pd.DataFrame({"asset": ["x"]}))
    assert repr(system) == "System(2 nodes, 1 assets)"


def test_equality_is_of_all_rows_in_order() -> None:
    one = System(nodes=pd.DataFrame({"node": ["a", "b"]}))
    assert one == System(nodes=pd.DataFrame({"node": ["a", "b"]}, index=[3, 4]))
    assert one != System(nodes=pd.DataFrame({"node": ["b", "a"]}))
    assert one != System()
    assert (one == "system") is False


def test_with_table_returns_a_new_system() -> None:
    old = System(nodes=pd.DataFrame({"node": ["a"]}))
    new = old.with_table("nodes", pd.DataFrame({"node": ["b"]}))
    assert (old.nodes["node"].tolist(), new.nodes["node"].tolist()) == (["a"], ["b"])
    with pytest.raises(InputError, match=r"there is no table 'node' \(did you mean 'nodes'\?\)"):
        old.with_table("node", pd.DataFrame())


def test_tables_that_are_none() -> None:
    with pytest.raises(InputError, match="nodes is a list; give a pandas DataFrame"):
        System(nodes=[1])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="nodes has more than one column 'node'; rename or drop the others"):
        System(nodes=pd.DataFrame([["a", "b"]], columns=["node", "node"]))
