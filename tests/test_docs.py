"""The pages of docs/ name functions that exist and link to pages that exist, and run as doctests elsewhere."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_pages(page: Path) -> None:
    targets = re.findall(r"\]\(([\w./-]+\.md)", page.read_text("utf-8"))
    assert not [target for target in targets if not (page.parent / target).is_file()]


@pytest.mark.parametrize("script", sorted(re.findall(r"`(\w+\.py)`", (DOCS / "index.md").read_text("utf-8"))))
def test_index_lists_examples_that_exist(script: str) -> None:
    assert (DOCS.parent / "examples" / script).is_file()
