"""Serves one release on port 8080: its model, or the constant answer of the fallback."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.container import paths
from bedplate.container.application import Application, Constant, Predictor
from bedplate.container.emission import Emission
from bedplate.container.requests import CSV, Feature, columns_of, content_type_of, features_of, refused_of, rows_of
from bedplate.container.script import ModelFailed, ModelWillNotLoad, Script, contract_of, load

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_PORT = 8080
PARENT_PID = "BEDPLATE_PARENT_PID"
_LOOK_FOR_PARENT_S = 1.0


class Model:
    """A loaded model behind its data contract; an `input_fn` of the script's takes the contract's place."""

    def __init__(self, script: Script, features: Sequence[Feature], refused: frozenset[str] = frozenset()) -> None:
        self._script = script
        self._features = features
        self._refused = refused

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[Sequence[float], tuple[bytes, str] | None]:
        answers = self._script.predict(self._rows(body, content_type))
        if self._script.output_fn is None:
            return answers.tolist(), None
        try:
            said = self._script.output_fn(answers, accept)
        except Exception as exc:  # a script may raise anything; it is told as it is
            raise ModelFailed(f"output_fn raised {type(exc).__name__}: {exc}") from exc
        return answers.tolist(), (said.encode() if isinstance(said, str) else bytes(said), accept)

    def _rows(self, body: bytes, content_type: str) -> pd.DataFrame | Any:
        if self._script.input_fn is not None:
            try:
                return self._script.input_fn(body, content_type)
            except Exception as exc:  # as above
                raise ModelFailed(f"input_fn raised {type(exc).__name__}: {exc}") from exc
        from bedplate.container.frames import frame_of

        kind = content_type_of(content_type)
        columns = columns_of(rows_of(body, kind), self._features, text=kind == CSV, refused=self._refused)
        return frame_of(columns, self._features)


def main() -> int:
    _follow_parent(os.environ.get(PARENT_PID))
    try:
        predictor = predictor_of(paths.root() / "model", os.environ)
        emission = Emission.from_environment(os.environ)
    except (ModelWillNotLoad, ValueError) as exc:
        print(f"cannot serve: {exc}", file=sys.stderr, flush=True)
        return 1
    import uvicorn

    release = {name: os.environ.get(f"BEDPLATE_{name.upper()}", "unknown") for name in ("release", "version", "model")}
    # In SageMaker's container the port must be reachable from outside; anywhere else nobody but this machine asks.
    host = "127.0.0.1" if os.environ.get(paths.CONTAINER_ROOT) else "0.0.0.0"
    config = uvicorn.Config(
        Application(predictor, emission, release, time.time, _to_stdout),
        host=host,
        port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or DEFAULT_PORT),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
        ws="none",
    )
    uvicorn.Server(config).run()
    return 0


def predictor_of(model_dir: Path, environment: Mapping[str, str]) -> Predictor:
    """Raises ModelWillNotLoad, ValueError for a fallback that is no number."""
    fallback = environment.get("BEDPLATE_FALLBACK")
    if fallback:
        return Constant(float(fallback))
    contract = contract_of(model_dir)
    features = features_of(contract)
    model = Model(load(model_dir, contract), features, refused_of(contract))
    _warm_up()
    return model


def _warm_up() -> None:
    """What the first request would import."""
    import pandas as pd

    pd.DataFrame({"text": pd.array(["a"], dtype="str")})


def _to_stdout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _follow_parent(pid: str | None) -> None:
    """End with the process that started this one, where the system does not see to it (macOS)."""
    if pid:
        threading.Thread(target=_end_with, args=(int(pid),), daemon=True).start()


def _end_with(pid: int) -> None:
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            os._exit(0)
        except PermissionError:
            pass  # it lives, as somebody else's
        time.sleep(_LOOK_FOR_PARENT_S)
