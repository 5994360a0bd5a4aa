"""What depends on a step waits a moment for that step's siblings, so that one which fails at once stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.oracle.runs import Engine

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")


def thing(name: str, **props: object) -> dict[str, object]:
    return {"name": name, "props": props}


def test_a_chain_that_stays_as_it_is_ends_where_a_sibling_of_its_first_fails(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    names = "abcdefghijklmnopqrstuvwxy"  # longer than what a busy machine could be late by
    links = zip(names[1:], names, strict=False)
    chain = [thing(name, src={"$ref": f"{before}.computed"}) for name, before in links]
    assert engine.play({"op": "up", "resources": [thing("a", x=1), *chain, thing("z", x=1)]}).ok
    failing = thing("z", x=2, fail=["update"])
    played = engine.play({"op": "up", "resources": [thing("a", x=1), *chain, failing]})
    assert not played.ok
    looked_at = {event["urn"].rpartition("::")[2] for event in played.events if event["op"] == "same"}
    assert "a" in looked_at
    assert "y" not in looked_at


def test_what_was_ready_together_with_a_failure_is_still_done(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    others = [thing(name, x=1) for name in "abcd"]
    played = engine.play({"op": "up", "resources": [thing("z", fail=["create"]), *others]})
    assert not played.ok
    assert sorted(engine.world.things) == ["a-1", "b-1", "c-1", "d-1"]
