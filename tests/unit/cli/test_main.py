"""Errors of the command line itself, as text and as JSON."""

from __future__ import annotations

import json

import pytest

from bedplate.cli import main


def run_main(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[object, str, str]:
    """Returns the exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as exit_info:
        main(args)
    output = capsys.readouterr()
    return exit_info.value.code, output.out, output.err


@pytest.mark.parametrize(
    ("args", "message", "next_step"),
    [
        (("deploy", "--json"), "Missing argument 'MODEL[:VERSION]'.", "bedplate deploy --help"),
        (("deploy", "churn", "--bake", "x", "--json"), "Invalid value for '--bake'", "bedplate deploy --help"),
        (("deplooy", "--json"), "Did you mean 'deploy'?", "bedplate --help"),
        (("models", "shw", "--json"), "No such command 'shw'", "bedplate models --help"),
    ],
)
def test_a_usage_error_is_json_with_json(
    capsys: pytest.CaptureFixture[str], args: tuple[str, ...], message: str, next_step: str
) -> None:
    code, stdout, stderr = run_main(capsys, *args)
    error = json.loads(stdout)["error"]
    assert (code, error["exit_code"], error["next_step"], stderr) == (2, 2, next_step, "")
    assert message in error["message"]


def test_a_folder_without_a_project_is_an_error_with_a_next_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("BEDPLATE_PROJECT", str(tmp_path))
    code, _, stderr = run_main(capsys, "status", "churn")
    assert code == 2
    assert "this is not a Bedplate project" in stderr
    assert "Next:" in stderr
