import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contagion.io.parquet
import contagion.io.text
import contagion.io.workbook
from contagion import InputError, System, generate
from contagion.io import read_system, write_atomically, write_system

UGLY = [
    "007",
    "NA",
    "nan",
    "1e5",
    "True",
    " spaced ",
    "a,b",
    'say "x"',
    "line\nbreak",
    "tab\tbed",
    "Ωmega",
    "=1+1",
    "null",
]
FLOATS = [
    0.1,
    1 / 3,
    1e-300,
    1.7976931348623157e308,
    5e-324,
    123456789.123456789,
    -0.0,
    2.0,
    1e22,
    0.1 + 0.2,
    7,
    -1,
    3e5,
]


def ugly(names: list[str] = UGLY) -> System:
    nodes = pd.DataFrame({"node": names, "buffer": FLOATS[: len(names)], "liabilities": math.nan})
    assets = pd.DataFrame({"asset": names, "issuer": ["", *names[1:]]})
    markets = pd.DataFrame(
        {"market": ["m", "n"], "venue": "007", "asset": "NA", "price": 0.1, "depth": [math.inf, 0.3]}
    )
    return System(nodes=nodes, assets=assets, markets=markets)


def assert_same(one: System, other: System) -> None:
    for (table, frame), (_, expected) in zip(one.tables(), other.tables(), strict=True):
        pd.testing.assert_frame_equal(frame, expected, check_exact=True, obj=table)
    signs = [np.signbit(system.nodes["buffer"].to_numpy()) for system in (one, other)]
    assert np.array_equal(*signs)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_folder_round_trips_exactly(tmp_path: Path, file_format: Any) -> None:
    write_system(ugly(), tmp_path / "deep" / "folder", file_format)
    assert_same(read_system(str(tmp_path / "deep" / "folder")), ugly())


def test_a_workbook_round_trips_exactly(tmp_path: Path) -> None:
    system = ugly([name for name in UGLY if "\n" not in name and "\t" not in name])
    write_system(system, tmp_path / "system.xlsx")
    assert_same(read_system(tmp_path / "system.xlsx"), system)


def test_a_generated_system_round_trips_through_all_formats(tmp_path: Path) -> None:
    system, _ = generate.system(accounts=200, seed=3)
    write_system(system, tmp_path / "csv")
    write_system(system, tmp_path / "parquet", "parquet")
    write_system(system, tmp_path / "book.xlsx")
    for path in ("csv", "parquet", "book.xlsx"):
        assert read_system(tmp_path / path) == system, path


NAMES = st.text(min_size=1, max_size=6) | st.sampled_from(
    [*UGLY, "\r", "\r\n", "a\rb", '"', '""', ",", " ", "\ufeff", "#", "'"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=True)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(NAMES, NAMES, NUMBERS), min_size=1, max_size=5), note=NAMES)
def test_csv_round_trips_whatever_is_in_it(tmp_path: Path, rows: list[tuple[str, str, float]], note: str) -> None:
    frame = pd.DataFrame(rows, columns=["creditor", "debtor", "amount"]).assign(note=note)
    system = System(claims=frame.astype({"creditor": "str", "debtor": "str", "note": "str"}))
    write_system(system, tmp_path)
    assert_same(read_system(tmp_path), system)


def test_text_that_is_not_a_number_survives_for_the_checks(tmp_path: Path) -> None:
    (tmp_path / "positions.csv").write_text("account,asset,side,quantity\na,A,collateral,nan\nb,A,collateral,1\n")
    system = read_system(tmp_path)
    assert system.positions["quantity"].tolist() == ["nan", "1"]
    write_system(system, tmp_path)
    assert_same(read_system(tmp_path), system)


def test_columns_outside_the_schema_are_kept(tmp_path: Path) -> None:
    frame = pd.DataFrame({"node": ["x", "y"], "rank": [1, 2], "when": [pd.NaT, pd.Timestamp("2025-10-10")]})
    write_system(System(nodes=frame), tmp_path / "csv")
    assert read_system(tmp_path / "csv").nodes[["rank", "when"]].values.tolist() == [
        ["1", ""],
        ["2", "2025-10-10 00:00:00"],
    ]
    write_system(System(nodes=frame), tmp_path / "parquet", "parquet")
    assert read_system(tmp_path / "parquet") == System(nodes=frame)
    write_system(System(nodes=frame), tmp_path / "book.xlsx")
    assert read_system(tmp_path / "book.xlsx").nodes["when"].tolist() == ["", "2025-10-10 00:00:00"]


def test_a_byte_order_mark_spaces_in_the_header_and_short_rows_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_bytes("\ufeffnode, buffer ,kind\n\nü, 5 \n".encode())
    nodes = read_system(tmp_path).nodes
    assert list(nodes.loc[0, ["node", "buffer", "kind"]]) == ["ü", 5.0, "institution"]


def test_only_tables_with_rows_are_written_and_stale_files_go(tmp_path: Path) -> None:
    write_system(ugly(), tmp_path, "parquet")
    (tmp_path / "SOURCES.md").write_text("kept")
    (tmp_path / "prices.csv").write_text("kept")
    write_system(System(nodes=ugly().nodes), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["SOURCES.md", "nodes.csv", "prices.csv"]


def test_an_empty_system_round_trips(tmp_path: Path) -> None:
    write_system(System(), tmp_path)
    assert (tmp_path / "nodes.csv").read_text().startswith("node,kind,domain,buffer")
    assert read_system(tmp_path) == System()


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_a_crash_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    write_system(ugly(), tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    done = []

    def crash(*args: object) -> None:
        done.append(args)
        if failing == "rename" or len(done) == 2:
            raise OSError("disk full")

    if failing == "write":
        monkeypatch.setattr("contagion.io.write_csv", crash)
    else:
        monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        write_system(System(nodes=pd.DataFrame({"node": ["new"]}), assets=pd.DataFrame({"asset": ["new"]})), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_single_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.json"
    write_atomically(path, b"old")
    write_atomically(path, b"new")
    monkeypatch.setattr(Path, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_atomically(path, b"newer")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"run.json": b"new"}


def test_temporary_names_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("node\nx\n")
    (tmp_path / f".assets.csv.{os.getpid()}.tmp").write_text("broken")
    assert read_system(tmp_path).nodes["node"].tolist() == ["x"]


CSV = "node\nx\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no table in it; give CSV or Parquet files named after the tables: nodes, assets"),
        ({"prices.csv": CSV}, "no table in it"),
        ({"node.csv": CSV}, r"node\.csv is not a table \(did you mean 'nodes\.csv'\?\); rename or remove it"),
        ({"nodes.csv": CSV, "Positions.csv": CSV}, r"did you mean 'positions\.csv'"),
        ({"nodes.csv": CSV, "nodes.parquet": ""}, r"both nodes\.csv and nodes\.parquet; remove the one"),
        ({"nodes.parquet": "no"}, r"nodes\.parquet: not a readable Parquet file"),
        ({"nodes.csv": ""}, r"nodes\.csv: empty; give at least the header"),
        ({"nodes.csv": "node;kind\nx;exchange\n"}, "not separated by commas"),
        ({"nodes.csv": "node,kind,node\nx,,y\n"}, "column 'node' stands twice in the header"),
        ({"nodes.csv": 'node,kind\n"x,exchange\n'}, "not a well-formed CSV file: .*EOF inside string"),
        ({"nodes.csv": "node,kind\nx,exchange\ny,exchange,1,000\n"}, "not a well-formed CSV file"),
        ({"nodes.csv": "node,kind\nx,exchange,1,000\n"}, "not a well-formed CSV file"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_system(tmp_path)


def test_another_encoding_is_named_with_all_other_problems(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_bytes("node\nZürich\n".encode("latin-1"))
    (tmp_path / "assets.csv").write_text("")
    with pytest.raises(InputError) as caught:
        read_system(tmp_path)
    assert len(caught.value.problems) == 2
    assert "nodes.csv: not UTF-8 (byte 0xfc); save it as CSV UTF-8" in caught.value.problems[1]


def test_a_table_that_resembles_no_absent_one_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(CSV)
    (tmp_path / "node.csv").write_text("anything")
    assert len(read_system(tmp_path).nodes) == 1


def test_paths_that_are_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not there; give a folder"):
        read_system(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a single file; give a folder"):
        read_system(tmp_path / "file")
    with pytest.raises(InputError, match="is a file; give a folder"):
        write_system(System(), tmp_path / "file")
    with pytest.raises(InputError, match="file_format is 'json'; give 'csv' or 'parquet'"):
        write_system(System(), tmp_path, "json")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("act", "extra"),
    [
        (lambda path: write_system(System(), path, "parquet"), "contagion[parquet]"),
        (lambda path: read_system(path), "contagion[parquet]"),
        (lambda path: write_system(System(), path / "x.xlsx"), "contagion[excel]"),
        (lambda path: read_system(path / "x.xlsx"), "contagion[excel]"),
    ],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object], extra: str
) -> None:
    (tmp_path / "nodes.parquet").write_text("")
    for module in (contagion.io.parquet, contagion.io.workbook):
        monkeypatch.setattr(module, "find_spec", {}.get)
    with pytest.raises(InputError) as caught:
        act(tmp_path)
    assert f'pip install "{extra}"' in str(caught.value)


def test_a_workbook_typed_by_hand(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Notes"
    sheet = book.create_sheet("nodes")
    for row in (["node", None, " buffer "], [7, "ignored", 2.5], [None, None, None], [7.5, None, "inf"]):
        sheet.append(row)
    book.save(tmp_path / "hand.xlsx")
    nodes = read_system(tmp_path / "hand.xlsx").nodes
    assert nodes["node"].tolist() == ["7", "7.5"]
    assert nodes["buffer"].tolist() == [2.5, math.inf]


def test_workbooks_that_cannot_be_read(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    with pytest.raises(InputError, match="there is no such file"):
        read_system(tmp_path / "absent.xlsx")
    (tmp_path / "text.xlsx").write_text("no")
    with pytest.raises(InputError, match="not a readable Excel workbook"):
        read_system(tmp_path / "text.xlsx")
    book = openpyxl.Workbook()
    book.save(tmp_path / "none.xlsx")
    with pytest.raises(InputError, match="no table in it; give sheets named after the tables"):
        read_system(tmp_path / "none.xlsx")
    book.active.title = "Node"
    book.save(tmp_path / "near.xlsx")
    with pytest.raises(InputError, match=r"sheet 'Node' is not a table \(did you mean 'nodes'\?\)"):
        read_system(tmp_path / "near.xlsx")


def test_what_excel_would_change_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nodes row 2: node 'a\\rb' is text that Excel does not keep"):
        write_system(System(nodes=pd.DataFrame({"node": ["x", "a\rb"]})), tmp_path / "x.xlsx")
    monkeypatch.setattr(contagion.io.workbook, "_MAX_ROWS", 1)
    with pytest.raises(InputError, match="nodes has 2 rows, an Excel sheet at most 1"):
        write_system(System(nodes=pd.DataFrame({"node": ["x", "y"]})), tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_a_column_without_a_name_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"node": ["x"], "buffer": [1.0]}).to_csv(tmp_path / "nodes.csv")
    with pytest.raises(InputError, match=r"column 1 has no name in the header; .*index=False"):
        read_system(tmp_path)


def test_threads_that_write_the_same_folder_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    systems = [System(nodes=pd.DataFrame({"node": [f"n{i}"] * 200})) for i in range(4)]

    def write(system: System) -> None:
        for _ in range(10):
            write_system(system, tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, systems))
    assert read_system(tmp_path) in systems
    assert [file.name for file in tmp_path.iterdir()] == ["nodes.csv"]
