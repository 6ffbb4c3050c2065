import math
from pathlib import Path

import pytest

from contagion import schema
from contagion.schema import Interval, columns, markdown, near_misses

PAGE = Path(__file__).parents[1] / "docs" / "schema.md"


def test_the_page_is_what_the_schema_says() -> None:
    assert PAGE.read_text("utf-8") == markdown(), "run: python -m contagion.schema > docs/schema.md"


def test_twelve_tables_in_order() -> None:
    assert " ".join(schema.TABLES) == (
        "nodes assets markets terms oracles routes accounts positions claims quotes funding arbitrage"
    )


@pytest.mark.parametrize(
    ("table", "column", "interval"),
    [
        ("nodes", "recovery_rate", Interval(0, 1)),
        ("nodes", "buffer", Interval(0)),
        ("nodes", "liquidation_level", Interval(0, lower_open=True)),
        ("nodes", "call_level", Interval()),
        ("markets", "depth", Interval(0, infinite=True)),
        ("markets", "floor", Interval(0, 1, lower_open=True)),
        ("positions", "quantity", Interval()),
        ("accounts", "cash", Interval()),
    ],
)
def test_intervals(table: str, column: str, interval: Interval) -> None:
    assert columns(table)[column].interval == interval


def test_every_column_can_be_checked() -> None:
    for table in schema.TABLES:
        for column in columns(table).values():
            assert column.type in ("text", "number"), column
            assert column.required in ("yes", "no", "perp only"), column
            assert not (column.choices and column.references), column
            assert all(reference in schema.KEYS for reference in column.references), column
            if column.choices and column.required == "no":
                assert column.fill in column.choices, column
            if column.allowed.startswith("a"):
                assert column.references, column


@pytest.mark.parametrize(
    ("table", "column", "fill"),
    [
        ("nodes", "kind", "institution"),
        ("nodes", "buffer", 0.0),
        ("nodes", "recovery_rate", 1.0),
        ("nodes", "liabilities", math.nan),
        ("nodes", "call_level", math.nan),
        ("accounts", "owner", ""),
        ("positions", "weight", math.nan),
        ("quotes", "withdrawn_at", 0.5),
    ],
)
def test_constant_defaults_fill_and_others_stay_empty(table: str, column: str, fill: float | str) -> None:
    found = columns(table)[column].fill
    assert repr(found) == repr(fill)


def test_columns_returns_a_copy() -> None:
    columns("nodes").clear()
    assert "node" in columns("nodes")


def test_near_misses() -> None:
    assert near_misses("binance:btc", ["Binance:BTC", "Aave"]) == " (did you mean 'Binance:BTC'?)"
    assert near_misses("nod", ["node", "nodes", "x"]) == " (did you mean 'node' or 'nodes'?)"
    assert near_misses("zzz", ["node"]) == ""
    assert near_misses("x", []) == ""


def test_near_misses_among_many_compares_names_with_the_same_beginning() -> None:
    many = [f"{number:05d}" for number in range(20_000)]
    assert near_misses("acc-1", [*many, "acc-2"]) == " (did you mean 'acc-2'?)"
