"""The benchmark command measures what it says: one size in a process, growth, peers by path, tables."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import contagion as ct
from tests.benchmarks import __main__ as command
from tests.benchmarks import growth, peers, tabled

BANKS = """
class Bank:
    def __init__(self, extasset=0, extliab=0, ibliabtot=0, ibeval=lambda e: 1, name=" "):
        self.extasset, self.extliab, self.ibliabtot, self.ibeval, self.name = extasset, extliab, ibliabtot, ibeval, name
        self.ibasset = []

    def set_ibasset(self, ibasset):
        self.ibasset = ibasset

    def worth(self, share):
        held = sum(amount * share(bank) for bank, amount in self.ibasset)
        return self.extasset - self.extliab + held - self.ibliabtot


class BankingSystem:
    def __init__(self, banks, tol=0.001, maxiter=100):
        self.banks, self.tol, self.maxiter = banks, tol, maxiter
        self.set_equity(self.get_naiveequity())

    def get_naiveequity(self):
        return [bank.worth(lambda _: 1.0) for bank in self.banks]

    def get_equity(self):
        return [bank.equity for bank in self.banks]

    def set_equity(self, equity):
        for bank, value in zip(self.banks, equity):
            bank.equity = value

    def fixedpoint_equity(self):
        for _ in range(self.maxiter):
            before = self.get_equity()
            self.set_equity([bank.worth(lambda other: other.ibeval(other.equity)) for bank in self.banks])
            if sum(abs(new - old) for new, old in zip(self.get_equity(), before)) <= self.tol:
                break
"""

VALUE = """
def eisenberg_noe(equity, ibliabtot):
    return 1.0 if equity > 0 else max((equity + ibliabtot) / ibliabtot, 0.0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds a package with the classes of neva that the benchmark calls; it is forgotten afterwards."""
    package = tmp_path / "neva"
    package.mkdir()
    (package / "__init__.py").write_text(BANKS)
    (package / "ibeval.py").write_text(VALUE)
    yield tmp_path
    for name in ("neva", "neva.ibeval"):
        sys.modules.pop(name, None)


def test_everybody_clears_the_same_network(folder: Path) -> None:
    neva = peers.find_neva(str(folder))
    assert neva is not None
    assert str(folder) not in sys.path
    given = peers.network(60, degree=3)
    wanted = ct.clearing.eisenberg_noe(given.debts, given.assets).frame["recovery_rate"].to_numpy()
    owes = given.debts.sum(axis=1) > 0
    assert 5 < (wanted[owes] < 1).sum() < 50
    np.testing.assert_allclose(peers.bar(*given)[owes], wanted[owes], rtol=0, atol=1e-11)
    timings = peers.compared(given, 1, neva)
    assert [each.peer for each in timings].count("neva") == 1
    assert len(timings) == 5
    assert peers.same_answer(timings)
    assert all(each.seconds > 0 for each in timings)
    wrong = timings[-1]._replace(difference=1e-6)
    assert not peers.same_answer([*timings, wrong])


def test_a_peer_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert peers.find_neva(str(tmp_path)) is None


def test_growth_is_the_slope_of_logarithms() -> None:
    rows = [dict.fromkeys(growth.STATED, count**1.2) | {"accounts": count} for count in (1e3, 1e5, 1e6, 1e7)]
    found = growth.grown(rows)
    assert [each["step"] for each in found] == list(growth.STATED)
    for each in found:
        assert each["exponent"] == pytest.approx(1.2)
    assert {each["step"]: each["holds"] for each in found} == {
        step: most > 1.05 for step, (_, most) in growth.STATED.items()
    }
    assert growth.grown(rows[:2]) == []


def test_tables_in_three_forms() -> None:
    cells = [["accounts", "s"], ["1,000", "0.5"], ["10", ""]]
    assert tabled.written(cells, "text") == "accounts    s\n   1,000  0.5\n      10     \n"
    assert tabled.written(cells, "markdown").splitlines()[1:3] == ["| -------: | --: |", "|    1,000 | 0.5 |"]
    assert tabled.written(cells, "csv") == "accounts,s\n1000,0.5\n10,\n"


def test_the_command_measures_a_small_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--sizes", "300", "--networks", "--scenarios", "2", "--csv"]) == 0
    out, progress = capsys.readouterr()
    assert "300 accounts" in progress
    first, _, *table = out.splitlines()
    assert first.startswith("# ")
    assert "threads" in first
    row = next(csv.DictReader(io.StringIO("\n".join(table))))
    assert row["accounts"] == "300"
    assert float(row["solve s"]) > 0
    system, scenario = ct.generate.system(accounts=300, seed=7)
    assert int(row["positions"]) == len(system.positions)
    assert int(row["rounds"]) == len(ct.solve(system, scenario).rounds)
    assert float(row["s a round"]) == pytest.approx(float(row["rounds s"]) / int(row["rounds"]), rel=0.1)
    assert float(row["GB solve"]) > 0.05


def test_a_size_that_dies_is_left_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    assert command.main(["--sizes", "100", "--networks"]) == 1
    assert "left out" in capsys.readouterr().err
