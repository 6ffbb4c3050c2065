"""Pictures alone, for documents without HTML; what notebooks show in HTML is tested with the charts."""

from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

import contagion as ct
from contagion import diagram, display, notebook
from tests.test_attribution import worked_example

_PATHS = "Cascade: who passed the loss on"
Shown = ct.System | ct.Solution | ct.Attribution


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by the DOT text of every picture that Graphviz paints."""
    notebook._svg.cache_clear()
    render, sources = diagram.render, list[str]()

    def counting(digraph: object, path: Path, seconds: float) -> list[Path]:
        sources.append(str(getattr(digraph, "source", "")))
        return render(digraph, path, seconds=seconds)

    monkeypatch.setattr("contagion.diagram.render", counting)
    return sources


def shown() -> list[tuple[Shown, str]]:
    """Return a system, a solution and an attribution of one account, and the title of each picture."""
    solution = worked_example()
    return [(solution.system, "Exposures"), (solution, "Cascade"), (ct.attribute(solution), _PATHS)]


def test_each_has_its_picture_alone_and_it_is_painted_once(painted: list[str]) -> None:
    for subject, _ in shown():
        picture, page = subject._repr_svg_(), str(subject._repr_html_())
        assert picture is not None
        assert ElementTree.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
        assert picture.removeprefix("<svg") in page
        assert picture not in page  # there it is no wider than the notebook
    assert len(painted) == len(set(painted)) == 3


def test_pictures_show_what_they_are_of() -> None:
    for subject, title in shown():
        assert title in ElementTree.fromstring(str(subject._repr_svg_())).itertext()


def test_large_systems_have_no_picture_unasked(painted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook, "LARGE", 1)
    assert [subject._repr_svg_() for subject, _ in shown()] == [None, None, None]
    assert painted == []


def test_tables_with_problems_have_no_picture() -> None:
    nodes = pd.DataFrame({"node": ["x", "x"]})
    assert ct.System(nodes=nodes)._repr_svg_() is None


def test_without_graphviz_there_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> list[Path]:
        raise ct.ContagionError("no Graphviz")

    notebook._svg.cache_clear()
    monkeypatch.setattr("contagion.diagram.render", fails)
    assert [subject._repr_svg_() for subject, _ in shown()] == [None, None, None]


def test_other_types_have_none() -> None:
    assert display.svg(42) is None
