"""Says in the pages what attributes of results are that stand for columns of their tables."""

from __future__ import annotations

import ast
from typing import Any

import griffe


class Columns(griffe.Extension):
    """Takes the text of ``equity = Column("Equity, USD by node.")`` as what is said of ``equity``."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        """Give an attribute that is a column its text."""
        call = attr.value
        if isinstance(call, griffe.ExprCall) and str(call.function) == "Column":
            attr.docstring = griffe.Docstring(ast.literal_eval(str(call.arguments[0])), parent=attr)
            attr.annotation, attr.value = "pd.Series", None
