"""What stands on the disk: one owner's only, whole, without a secret in plaintext, exported and imported as it was."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from bedplate.engine.protocol import Secret
from bedplate.engine.state import secrets
from bedplate.engine.state.journal import Journal
from bedplate.engine.state.lock import hold, unlock
from bedplate.engine.state.store import document
from bedplate.errors import BedplateError, Locked, NotFound, UsageError
from golden.oracle.runs import Engine, checkpoint, without_ciphertext
from golden.oracle.world import World

pytestmark = pytest.mark.filterwarnings("ignore:.*step.json")

HUSH = "hunter2-in-plaintext"


def secret_step(op: str = "up", value: str = HUSH) -> dict[str, Any]:
    return {
        "op": op,
        "resources": [
            {"name": "a", "props": {"x": {"$secret": value}, "y": 1}},
            {"name": "b", "props": {"src": {"$ref": "a.computed"}}, "opts": {"additionalSecretOutputs": ["computed"]}},
        ],
        "exports": {"x": {"$ref": "a.computed"}, "hidden": {"$secret": value}, "inherited": {"$ref": "b.computed"}},
    }


def test_no_secret_stands_in_plaintext_on_the_disk(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    events: list[dict[str, Any]] = []
    assert engine.run(secret_step(), events.append).ok
    (tmp_path / "step.json").unlink()
    texts = [p.read_text() for p in (tmp_path / "state").iterdir()]
    assert not any(HUSH in text for text in texts)
    assert HUSH not in json.dumps(events)
    assert engine.world.things["a-1"]["x"] == HUSH


def test_secrets_come_back_as_secrets_and_change_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    again = Engine(tmp_path, engine.world)
    resources = {r.urn.split("::")[-1]: r for r in again.store.read().resources()}
    assert resources["a"].inputs["x"] == Secret(HUSH)
    assert resources["a"].outputs["x"] == Secret(HUSH)
    assert resources["b"].outputs["computed"] == Secret("c:b-1")
    assert resources["oracle-s"].outputs["inherited"] == Secret("c:b-1")
    assert again.run(secret_step()).counts == {"same": 3}
    assert again.run(secret_step(value="another")).counts == {"same": 2, "update": 1}


def test_a_key_is_derived_once_where_its_passphrase_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    kept = engine.store.paths.derived
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    derived: list[bytes] = []
    derive = hashlib.pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *said: derived.append(said[2]) or derive(*said))

    def read() -> int:
        secrets._derived.cache_clear()
        derived.clear()
        assert Engine(tmp_path, engine.world).run(secret_step()).counts == {"same": 3}
        return len(derived)

    assert read() == 0
    kept.write_text("cut sho")
    assert read() == 1
    assert read() == 0
    engine.store.remove()
    assert not kept.exists()


def test_a_key_of_somebodys_own_passphrase_is_never_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    assert engine.store.read()
    assert not engine.store.paths.derived.exists()


def test_a_secret_needs_the_passphrase_that_it_was_made_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "right")
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    assert not engine.store.paths.key.exists()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    with pytest.raises(BedplateError, match="passphrase does not open"):
        Engine(tmp_path, engine.world).store.read()


def test_every_file_of_the_state_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "state").iterdir()}
    assert set(modes) == {"s.json", "s.key", "s.derived", "s.lock", "s.history.jsonl"}
    assert set(modes.values()) == {0o600}


def test_two_runs_at_once_one_works_and_the_other_says_who_and_since_when(tmp_path: Path) -> None:
    inside, leave = threading.Event(), threading.Event()

    def fault(point: str) -> None:
        if point == "before create a":
            inside.set()
            leave.wait(30)

    world = World()
    first = Engine(tmp_path, world, fault=fault)
    outcomes = []
    runner = threading.Thread(target=lambda: outcomes.append(first.run(secret_step())))
    runner.start()
    inside.wait(30)
    try:
        with pytest.raises(Locked, match=rf"pid {os.getpid()}.* runs `up` since 2023-11-14 .* for \d+ s") as told:
            Engine(tmp_path, world).run(secret_step())
    finally:
        leave.set()
        runner.join()
    assert told.value.exit_code == 7
    assert outcomes[0].ok
    assert Engine(tmp_path, world).run(secret_step()).counts == {"same": 3}


def test_a_lock_file_left_by_a_dead_run_locks_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "s.lock"
    dead = {"pid": 4_000_000, "host": socket.gethostname(), "user": "x", "verb": "up", "since": 0}
    path.write_text(json.dumps(dead))
    with hold(path, stack="s", verb="up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_text() == ""


def test_a_lock_of_another_machine_is_told_with_owner_and_age_and_taken_away_by_hand_only(tmp_path: Path) -> None:
    path = tmp_path / "s.lock"
    path.write_text(json.dumps({"pid": 7, "host": "elsewhere", "user": "ann", "verb": "up", "since": 0}))
    told_is = r"another machine: ann@elsewhere \(pid 7\) runs `up` since .*, for 3 h 2 min"
    later = hold(path, stack="s", verb="up", clock=lambda: 3 * 3600 + 125)
    with pytest.raises(Locked, match=told_is) as told, later:
        raise AssertionError("held")
    assert "bedplate state unlock --stack s" in (told.value.next_step or "")
    assert (unlock(path, stack="s") or "").startswith("ann@elsewhere")
    assert unlock(path, stack="s") is None
    with hold(path, stack="s", verb="up"), pytest.raises(Locked, match=f"pid {os.getpid()}"):
        unlock(path, stack="s")


def test_an_exported_state_is_taken_by_another_stack_and_nothing_changes(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    shown = engine.store.export(show_secrets=True)
    assert HUSH in json.dumps(shown)
    assert shown["version"] == 3
    other = tmp_path / "other"
    other.mkdir()
    taken = Engine(other, engine.world)
    taken.store.import_(shown)
    assert HUSH not in taken.store.paths.checkpoint.read_text()
    assert [r["urn"] for r in checkpoint(taken.store)] == [r["urn"] for r in checkpoint(engine.store)]
    assert Engine(other, engine.world).run(secret_step()).counts == {"same": 3}


def test_an_export_is_what_stands_on_the_disk_without_our_own_key(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    exported = engine.store.export()
    assert set(exported["deployment"]) == {"manifest", "secrets_providers", "resources"}
    assert exported["deployment"]["secrets_providers"]["type"] == "passphrase"


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"version": 2, "deployment": {}},
        {
            "version": 3,
            "deployment": {"resources": [{"urn": "urn:pulumi:s::o::t:t:T::a", "type": "t:t:T", "parent": "urn:gone"}]},
        },
    ],
)
def test_what_is_no_state_is_not_imported(document: dict[str, Any], tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    before = engine.store.paths.checkpoint.read_bytes()
    with pytest.raises(UsageError):
        engine.store.import_(document)
    assert engine.store.paths.checkpoint.read_bytes() == before


def test_a_broken_file_is_told_apart_from_a_missing_one(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.store.paths.checkpoint.write_text("{")
    with pytest.raises(BedplateError, match="is not a checkpoint"):
        engine.store.read()
    engine.store.paths.checkpoint.unlink()
    with pytest.raises(NotFound):
        engine.store.read()


def test_history_keeps_every_run_newest_first_and_no_preview(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.run(secret_step("preview"))
    engine.run(secret_step())
    engine.run({"op": "destroy", "resources": []})
    engine.run({"op": "up", "resources": [{"name": "a", "props": {"fail": ["create"]}}]})
    assert [(run["kind"], run["result"]) for run in engine.store.history()] == [
        ("update", "failed"),
        ("destroy", "succeeded"),
        ("update", "succeeded"),
    ]


def test_a_run_that_was_killed_stays_in_the_history_and_the_next_one_has_the_next_number(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.run(secret_step())
    lines = engine.store.paths.history.read_text().splitlines()
    engine.store.paths.history.write_text(lines[0] + "\n" + lines[1][:20])
    assert [(run["version"], run["result"]) for run in engine.store.history()] == [(1, "in-progress")]
    engine.store.paths.history.write_text(lines[0] + "\n")
    engine.run(secret_step())
    assert [(run["version"], run["result"]) for run in engine.store.history()] == [(2, "succeeded"), (1, "in-progress")]
    newest = engine.store.history()[0]
    assert newest["resourceChanges"] == {"same": 3}
    assert "@" in newest["environment"]["user"]


# --- the journal ----------------------------------------------------------------------------------------------------


def without_times(document: dict[str, Any]) -> Any:
    dropped = {"created", "modified"}
    resources = [{k: v for k, v in r.items() if k not in dropped} for r in document["deployment"]["resources"]]
    return without_ciphertext(resources), document["deployment"].get("pending_operations")


def boxes(name: str, opts: dict[str, Any], **more: Any) -> dict[str, Any]:
    inside = {"name": "in", "props": {"x": 1, **more}, "opts": {"parent": name}}
    return {"op": "up", "resources": [{"kind": "box", "name": name, "opts": opts}, inside], "exports": {}}


@pytest.mark.parametrize(
    "steps",
    [
        [secret_step()],
        [secret_step(), secret_step(value="another")],
        [boxes("old", {}), boxes("new", {"aliases": [{"name": "old"}]}, y=2)],
        [boxes("box", {}), boxes("box", {}, forceY=2)],
        [boxes("box", {}), {"op": "destroy", "resources": []}],
    ],
    ids=["create", "update", "rename", "replace", "destroy"],
)
def test_checkpoint_and_journal_are_what_the_folded_checkpoint_is(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    for step in steps[:-1]:
        assert engine.run(step).ok
    seen: list[Any] = []
    fold = engine.store.fold

    def look_first(snapshot: Any) -> None:
        assert engine.store.left_behind()
        seen.append(document(engine.store.paths))
        fold(snapshot)

    engine.store.fold = look_first  # type: ignore[method-assign]
    assert engine.run(steps[-1]).ok
    assert not engine.store.left_behind()
    assert without_times(seen[0]) == without_times(document(engine.store.paths))


def test_a_line_that_was_cut_short_and_a_journal_of_another_checkpoint_mean_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.run(secret_step()).ok
    before = document(engine.store.paths)
    journal = Journal(engine.store.paths.journal, engine.store.paths.checkpoint.read_bytes())
    journal.append(b'{"dropped":[2]}')
    assert len(document(engine.store.paths)["deployment"]["resources"]) == len(before["deployment"]["resources"]) - 1
    journal.close()
    whole = engine.store.paths.journal.read_bytes()
    engine.store.paths.journal.write_bytes(whole[:-3])
    assert document(engine.store.paths) == before
    engine.store.paths.journal.write_bytes(whole)
    engine.store.paths.checkpoint.write_bytes(engine.store.paths.checkpoint.read_bytes() + b"\n")
    assert document(engine.store.paths) == before


def test_what_is_written_down_grows_with_the_resources_and_not_with_their_square(tmp_path: Path) -> None:
    def written(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        sizes: list[int] = []
        engine = Engine(folder)
        engine.store._before_write = lambda content: sizes.append(len(content))
        things = [{"name": f"t{n:03}", "props": {"x": 1}} for n in range(count)]
        assert engine.run({"op": "up", "resources": things}).ok
        return sum(sizes)

    assert written(40) < 2.5 * written(20)
