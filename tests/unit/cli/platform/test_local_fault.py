"""How a fault of the command line itself is told: to a person, and to a program that reads JSON."""

from __future__ import annotations

import json

import pytest

from bedplate.cli import main


def told(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(args)
    said = capsys.readouterr()
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize(
    ("args", "message", "next_step"),
    [
        (("deploy", "--json"), "Missing argument 'MODEL[:VERSION]'.", "bedplate deploy --help"),
        (("deploy", "churn", "--bake", "x", "--json"), "Invalid value for '--bake'", "bedplate deploy --help"),
        (("deplooy", "--json"), "Did you mean 'deploy'?", "bedplate --help"),
        (("models", "shw", "--json"), "No such command 'shw'", "bedplate models --help"),
    ],
)
def test_with_json_a_wrong_command_line_is_json_too(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...], message: str, next_step: str
) -> None:
    code, out, err = told(capsys, *args)
    error = json.loads(out)["error"]
    assert (code, error["exit_code"], error["next_step"], err) == (2, 2, next_step, "")
    assert message in error["message"]


def test_a_folder_that_is_no_project_is_said_to_be_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("BEDPLATE_PROJECT", str(tmp_path))
    code, _, err = told(capsys, "status", "churn")
    assert code == 2
    assert "this is not a Bedplate project" in err
    assert "Next:" in err
