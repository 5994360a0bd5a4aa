"""Starting the local platform on an existing state directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedplate.errors import UnsupportedFormat
from bedplate.local import lifecycle


@pytest.mark.parametrize("written", [None, "0", "2"])
def test_state_of_another_format_is_an_error_that_names_the_reset(tmp_path: Path, written: str | None) -> None:
    state_dir = lifecycle.local_state_dir(tmp_path)
    state_dir.mkdir(parents=True)
    (state_dir / "state.db").write_bytes(b"")
    if written is not None:
        (state_dir / "format").write_text(written)
    with pytest.raises(UnsupportedFormat, match="reads format 1") as error:
        lifecycle.start(tmp_path, port=0)
    assert "bedplate local reset" in str(error.value.next_step)
    assert lifecycle.reset(tmp_path).running is False
    assert not (state_dir / "state.db").exists()
