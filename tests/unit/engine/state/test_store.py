"""The state on disk is complete, readable by its owner only, without plaintext secrets, and exported and imported."""

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
from bedplate.engine.state.lock import hold_lock, unlock
from bedplate.engine.state.store import read_checkpoint
from bedplate.errors import BedplateError, Locked, NotFound, UsageError
from golden.oracle.embedded_engine import EmbeddedEngine, checkpoint_resources, without_ciphertext
from golden.oracle.fake_cloud import FakeCloud

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


def test_the_state_on_disk_contains_no_plaintext_secret(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    events: list[dict[str, Any]] = []
    assert engine.run(secret_step(), events.append).ok
    (tmp_path / "step.json").unlink()
    texts = [p.read_text() for p in (tmp_path / "state").iterdir()]
    assert not any(HUSH in text for text in texts)
    assert HUSH not in json.dumps(events)
    assert engine.cloud.resources["a-1"]["x"] == HUSH


def test_secrets_are_read_as_secrets_and_cause_no_change(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    reopened = EmbeddedEngine(tmp_path, engine.cloud)
    resources = {r.urn.split("::")[-1]: r for r in reopened.store.read().resources()}
    assert resources["a"].inputs["x"] == Secret(HUSH)
    assert resources["a"].outputs["x"] == Secret(HUSH)
    assert resources["b"].outputs["computed"] == Secret("c:b-1")
    assert resources["oracle-s"].outputs["inherited"] == Secret("c:b-1")
    assert reopened.run(secret_step()).counts == {"same": 3}
    assert reopened.run(secret_step(value="another")).counts == {"same": 2, "update": 1}


def test_the_key_of_a_generated_passphrase_is_derived_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    key_file = engine.store.paths.derived_key
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    derivations: list[bytes] = []
    pbkdf2_hmac = hashlib.pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *args: derivations.append(args[2]) or pbkdf2_hmac(*args))

    def count_derivations() -> int:
        secrets._derive_key_once.cache_clear()
        derivations.clear()
        assert EmbeddedEngine(tmp_path, engine.cloud).run(secret_step()).counts == {"same": 3}
        return len(derivations)

    assert count_derivations() == 0
    key_file.write_text("truncat")
    assert count_derivations() == 1
    assert count_derivations() == 0
    engine.store.remove()
    assert not key_file.exists()


def test_the_key_of_a_passphrase_of_the_environment_is_never_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "mine")
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    assert engine.store.read()
    assert not engine.store.paths.derived_key.exists()


def test_a_secret_needs_the_passphrase_with_which_it_was_encrypted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "right")
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    assert not engine.store.paths.passphrase.exists()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "wrong")
    with pytest.raises(BedplateError, match="passphrase does not decrypt"):
        EmbeddedEngine(tmp_path, engine.cloud).store.read()


def test_every_state_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "state").iterdir()}
    assert set(modes) == {"s.json", "s.passphrase", "s.derived-key", "s.lock", "s.history.jsonl"}
    assert set(modes.values()) == {0o600}


def test_a_second_run_is_rejected_with_the_holder_of_the_lock_and_its_age(tmp_path: Path) -> None:
    started, leave = threading.Event(), threading.Event()

    def fault(point: str) -> None:
        if point == "before create a":
            started.set()
            leave.wait(30)

    cloud = FakeCloud()
    first = EmbeddedEngine(tmp_path, cloud, fault=fault)
    results = []
    runner = threading.Thread(target=lambda: results.append(first.run(secret_step())))
    runner.start()
    started.wait(30)
    try:
        with pytest.raises(
            Locked, match=rf"pid {os.getpid()}.* has been running `up` since 2023-11-14 .* for \d+ s"
        ) as error:
            EmbeddedEngine(tmp_path, cloud).run(secret_step())
    finally:
        leave.set()
        runner.join()
    assert error.value.exit_code == 7
    assert results[0].ok
    assert EmbeddedEngine(tmp_path, cloud).run(secret_step()).counts == {"same": 3}


def test_the_lock_file_of_a_killed_run_does_not_lock_the_stack(tmp_path: Path) -> None:
    path = tmp_path / "s.lock"
    owner = {"pid": 4_000_000, "host": socket.gethostname(), "user": "x", "verb": "up", "since": 0}
    path.write_text(json.dumps(owner))
    with hold_lock(path, stack="s", verb="up"):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert path.read_text() == ""


def test_a_lock_of_another_machine_is_reported_with_owner_and_age_and_removed_only_by_unlock(tmp_path: Path) -> None:
    path = tmp_path / "s.lock"
    path.write_text(json.dumps({"pid": 7, "host": "elsewhere", "user": "ann", "verb": "up", "since": 0}))
    message = r"another machine: ann@elsewhere \(pid 7\) has been running `up` since .*, for 3 h 2 min"
    later = hold_lock(path, stack="s", verb="up", clock=lambda: 3 * 3600 + 125)
    with pytest.raises(Locked, match=message) as error, later:
        raise AssertionError("locked")
    assert "bedplate state unlock --stack s" in (error.value.next_step or "")
    assert (unlock(path, stack="s") or "").startswith("ann@elsewhere")
    assert unlock(path, stack="s") is None
    with hold_lock(path, stack="s", verb="up"), pytest.raises(Locked, match=f"pid {os.getpid()}"):
        unlock(path, stack="s")


def test_another_stack_imports_an_exported_state_without_changes(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    exported = engine.store.export(show_secrets=True)
    assert HUSH in json.dumps(exported)
    assert exported["version"] == 3
    other = tmp_path / "other"
    other.mkdir()
    importer = EmbeddedEngine(other, engine.cloud)
    importer.store.import_(exported)
    assert HUSH not in importer.store.paths.checkpoint.read_text()
    assert [r["urn"] for r in checkpoint_resources(importer.store)] == [
        r["urn"] for r in checkpoint_resources(engine.store)
    ]
    assert EmbeddedEngine(other, engine.cloud).run(secret_step()).counts == {"same": 3}


def test_an_export_has_pulumis_keys_only(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
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
def test_an_invalid_state_is_not_imported(document: dict[str, Any], tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    before = engine.store.paths.checkpoint.read_bytes()
    with pytest.raises(UsageError):
        engine.store.import_(document)
    assert engine.store.paths.checkpoint.read_bytes() == before


def test_a_broken_checkpoint_and_a_missing_one_are_different_errors(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    engine.store.paths.checkpoint.write_text("{")
    with pytest.raises(BedplateError, match="is not a checkpoint"):
        engine.store.read()
    engine.store.paths.checkpoint.unlink()
    with pytest.raises(NotFound):
        engine.store.read()


def test_the_history_has_every_run_newest_first_and_no_preview(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    engine.run(secret_step("preview"))
    engine.run(secret_step())
    engine.run({"op": "destroy", "resources": []})
    engine.run({"op": "up", "resources": [{"name": "a", "props": {"fail": ["create"]}}]})
    assert [(run["kind"], run["result"]) for run in engine.store.history()] == [
        ("update", "failed"),
        ("destroy", "succeeded"),
        ("update", "succeeded"),
    ]


def test_a_killed_run_stays_in_the_history_and_the_next_run_has_the_next_number(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
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
    child = {"name": "in", "props": {"x": 1, **more}, "opts": {"parent": name}}
    return {"op": "up", "resources": [{"kind": "box", "name": name, "opts": opts}, child], "exports": {}}


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
def test_checkpoint_and_journal_equal_the_checkpoint_after_the_run(steps: list[dict[str, Any]], tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    for step in steps[:-1]:
        assert engine.run(step).ok
    documents: list[Any] = []
    merge_journal = engine.store.merge_journal

    def read_first(snapshot: Any) -> None:
        assert engine.store.has_journal()
        documents.append(read_checkpoint(engine.store.paths))
        merge_journal(snapshot)

    engine.store.merge_journal = read_first  # type: ignore[method-assign]
    assert engine.run(steps[-1]).ok
    assert not engine.store.has_journal()
    assert without_times(documents[0]) == without_times(read_checkpoint(engine.store.paths))


def test_a_truncated_line_and_the_journal_of_another_checkpoint_are_ignored(tmp_path: Path) -> None:
    engine = EmbeddedEngine(tmp_path)
    assert engine.run(secret_step()).ok
    before = read_checkpoint(engine.store.paths)
    journal = Journal(engine.store.paths.journal, engine.store.paths.checkpoint.read_bytes())
    journal.append(b'{"removed":[2]}')
    assert (
        len(read_checkpoint(engine.store.paths)["deployment"]["resources"])
        == len(before["deployment"]["resources"]) - 1
    )
    journal.close()
    content = engine.store.paths.journal.read_bytes()
    engine.store.paths.journal.write_bytes(content[:-3])
    assert read_checkpoint(engine.store.paths) == before
    engine.store.paths.journal.write_bytes(content)
    engine.store.paths.checkpoint.write_bytes(engine.store.paths.checkpoint.read_bytes() + b"\n")
    assert read_checkpoint(engine.store.paths) == before


def test_the_bytes_written_grow_linearly_with_the_number_of_resources(tmp_path: Path) -> None:
    def bytes_written(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        sizes: list[int] = []
        engine = EmbeddedEngine(folder)
        engine.store._before_write = lambda content: sizes.append(len(content))
        resources = [{"name": f"t{n:03}", "props": {"x": 1}} for n in range(count)]
        assert engine.run({"op": "up", "resources": resources}).ok
        return sum(sizes)

    assert bytes_written(40) < 2.5 * bytes_written(20)
