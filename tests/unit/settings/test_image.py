"""Name and tag of the container image."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bedplate import __version__
from bedplate.settings import image_name, image_tag
from builders import settings
from command_line import run_bedplate
from repository import ROOT


def test_the_default_tag_changes_only_with_dockerfile_and_lock_file(tmp_path: Path) -> None:
    assert image_tag(tmp_path, settings()) == __version__
    tags = []
    for name, text in (
        ("Dockerfile", "FROM a"),
        ("Dockerfile", "FROM b"),
        ("requirements.lock", "numpy==1"),
        ("requirements.lock", "numpy==2"),
    ):
        (tmp_path / name).write_text(text)
        tags.append(image_tag(tmp_path, settings()))
    (tmp_path / "README.md").write_text("x")
    assert image_tag(tmp_path, settings()) == tags[-1]
    assert len(set(tags)) == 4
    assert all(tag.startswith(f"{__version__}-") for tag in tags)


def test_the_image_tag_of_the_stack_file_is_used(tmp_path: Path) -> None:
    assert image_tag(tmp_path, settings(image_tag="1a2b3c4")) == "1a2b3c4"
    with pytest.raises(ValidationError):
        settings(image_tag="a tag")


def test_the_image_name_has_the_registrys_address_when_the_account_is_set(tmp_path: Path) -> None:
    assert image_name(tmp_path, "acme", "dev", settings()) == f"acme-dev:{__version__}"
    on_aws = settings(account_id="111111111111", target="aws")
    assert image_name(tmp_path, "acme", "dev", on_aws).startswith(
        "111111111111.dkr.ecr.us-east-1.amazonaws.com/acme-dev:"
    )


def test_the_command_prints_what_to_build_and_push(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDPLATE_PROJECT", str(ROOT))
    plain = run_bedplate("stack", "image", "--stack", "dev")
    values = run_bedplate("stack", "image", "--stack", "dev", "--json").json
    assert plain.stdout == f"{values['image']}\n"
    assert (values["image"], values["pinned"]) == (f"bedplate-dev:{values['tag']}", False)
