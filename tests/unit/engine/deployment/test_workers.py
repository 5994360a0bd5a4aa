"""A registration waits briefly for the running wave, so that a step that fails immediately stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.oracle.embedded_engine import EmbeddedEngine

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")


def thing(name: str, **props: object) -> dict[str, object]:
    return {"name": name, "props": props}


def test_an_unchanged_chain_stops_after_an_immediate_failure_in_its_first_wave(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    names = "abcdefghijklmnopqrstuvwxy"  # long enough for the delays of a busy machine
    links = zip(names[1:], names, strict=False)
    chain = [thing(name, src={"$ref": f"{before}.computed"}) for name, before in links]
    assert engine.play({"op": "up", "resources": [thing("a", x=1), *chain, thing("z", x=1)]}).ok
    failing = thing("z", x=2, fail=["update"])
    result = engine.play({"op": "up", "resources": [thing("a", x=1), *chain, failing]})
    assert not result.ok
    unchanged = {event["urn"].rpartition("::")[2] for event in result.events if event["op"] == "same"}
    assert "a" in unchanged
    assert "y" not in unchanged


def test_the_other_steps_of_a_wave_are_executed_after_a_failure(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    others = [thing(name, x=1) for name in "abcd"]
    result = engine.play({"op": "up", "resources": [thing("z", fail=["create"]), *others]})
    assert not result.ok
    assert sorted(engine.cloud.resources) == ["a-1", "b-1", "c-1", "d-1"]
