"""README and the pages of docs/ name functions, files and sections that exist; their code runs as doctests."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

import contagion as ct
from contagion.money import usd

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"
README = TOP / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md")), *sorted((TOP / "contagion" / "data").rglob("*.md"))]
NAMES = sorted(set(re.findall(r"`(contagion(?:\.\w+)+)`", (DOCS / "model.md").read_text("utf-8"))))


@pytest.mark.parametrize("name", NAMES)
def test_model_names_code_that_exists(name: str) -> None:
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            found = getattr(found, part)
        return
    pytest.fail(f"{name} is not there")


def test_model_names_every_transmission_rule() -> None:
    rules = import_module("contagion.channels").__all__
    missing = {f"contagion.channels.{rule}" for rule in rules if rule not in ("IMPACTS", "log_drop")} - set(NAMES)
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(TOP)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text("utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{target} is not there"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_readme_shows_a_picture() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text("utf-8"))
    assert pictures
    for picture in pictures:
        assert (TOP / picture).read_bytes().startswith(b"\x89PNG")


def test_readme_gives_the_commands_that_ci_runs() -> None:
    text = README.read_text("utf-8")
    assert "\npython -m pip install . && contagion demo\n" in text
    assert '\npython -m pip install -e ".[test]" && python -m pytest -n auto\n' in text


def test_readme_prints_the_ranking_of_the_record() -> None:
    system, scenarios = ct.datasets.load("october_2025")
    solution = ct.solve(system, scenarios["record"])
    ranked = ct.rank(solution)
    text = README.read_text("utf-8")
    totals = solution.totals
    assert f"record: loss {usd(totals['loss'])}, liquidated {usd(totals['liquidated'])}" in text
    shown = re.findall(r"^(.+?) +(?:group|market) +(\$\S+) +(\$\S+) +(\$\S+)", text, re.MULTILINE)
    assert len(shown) == 4
    assert [name for name, *_ in shown] == list(ranked.index[:4])
    for name, *cells in shown:
        assert cells == [usd(float(ranked[column][name])) for column in ("throughput", "own_loss", "usd_sold")]


def test_model_has_every_total() -> None:
    totals = ct.solve(ct.datasets.load("loop_lending")[0]).totals
    assert not [key for key in totals if f"| `{key}` |" not in (DOCS / "model.md").read_text("utf-8")]


def test_model_numbers_its_sections() -> None:
    sections = re.findall(r"^## (\d+)\. ", (DOCS / "model.md").read_text("utf-8"), re.MULTILINE)
    assert sections == [str(number) for number in range(1, 16)]


def test_site_lists_every_page() -> None:
    listed = re.findall(r"^ +- ([\w/-]+\.md)$", (DOCS / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md"))


@pytest.mark.parametrize("script", sorted(re.findall(r"`(\w+\.py)`", (DOCS / "index.md").read_text("utf-8"))))
def test_index_lists_examples_that_exist(script: str) -> None:
    assert (DOCS.parent / "examples" / script).is_file()
