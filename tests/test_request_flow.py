"""docs/how-a-request-flows.md names only files and functions that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from repository import ROOT, SOURCE

PAGE = (ROOT / "docs" / "how-a-request-flows.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"[\w/]+\.py\b", PAGE)))
REFERENCES = sorted(set(re.findall(r"`([\w/]+\.py)`\s+`([\w.]+)`", PAGE)))
"""(path, function or Class.method) pairs: a file with a name of it beside it."""


def find_source(path: str) -> Path | None:
    candidates = (SOURCE / path, ROOT / "infra" / path)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


@cache
def definitions(source: Path) -> frozenset[str]:
    """The functions, the classes and, as `Class.method`, the methods that a file defines."""
    names = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (child for child in node.body if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
            names.update(f"{node.name}.{method.name}" for method in methods)
    return frozenset(names)


@pytest.mark.parametrize("path", PATHS)
def test_a_file_on_the_page_exists(path: str) -> None:
    assert find_source(path) is not None, f"{path} is neither below src/bedplate nor below infra"


@pytest.mark.parametrize(("path", "name"), REFERENCES)
def test_a_function_on_the_page_is_defined_in_the_file_beside_it(path: str, name: str) -> None:
    source = find_source(path)
    assert source is not None, f"{path} is neither below src/bedplate nor below infra"
    assert name in definitions(source)


def test_every_step_of_the_page_names_a_file_and_a_function() -> None:
    steps = re.findall(r"^\d+\. .*", PAGE, flags=re.M)
    assert len(steps) > 40
    assert [step for step in steps if not re.match(r"\d+\. `[\w/]+\.py` `[\w.]+` ", step)] == []
