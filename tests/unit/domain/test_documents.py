"""Stored documents of another format are rejected in one plain sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bedplate.domain.data.version import Manifest
from bedplate.domain.documents import check_format
from bedplate.domain.drift import DriftReport
from bedplate.domain.evidence.evaluation import Evaluation
from bedplate.domain.evidence.live_quality import LiveReport
from bedplate.errors import UnsupportedFormat

READERS: list[tuple[str, Callable[[Any], Any]]] = [
    ("evaluation.json", Evaluation.from_json),
    ("drift.json", DriftReport.from_json),
    ("report.json", LiveReport.from_json),
    ("manifest.json", lambda _: Manifest.decode(b"{}")),
]


@pytest.mark.parametrize(("name", "read"), READERS)
def test_a_document_without_a_format_is_rejected_by_its_name(name: str, read: Callable[[Any], Any]) -> None:
    with pytest.raises(UnsupportedFormat, match=f"{name} has no format number; this version of"):
        read({})


@pytest.mark.parametrize("document", [{"format": 2}, {"format": "1"}])
def test_another_format_is_rejected(document: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFormat, match=r"drift\.json has format"):
        check_format(document, "drift.json")
