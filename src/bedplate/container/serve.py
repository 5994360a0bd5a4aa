"""Serves one release over HTTP on port 8080: its model, or the constant prediction of BEDPLATE_FALLBACK."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedplate.container import paths
from bedplate.container.application import Application, ConstantPredictor, Predictor
from bedplate.container.prediction_metrics import PredictionMetrics
from bedplate.container.requests import Feature, excluded_columns, parse_request, read_features
from bedplate.container.script import InferenceError, ModelLoadError, Script, load_script, read_contract

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_PORT = 8080
PARENT_PID_VARIABLE = "BEDPLATE_PARENT_PID"
"""Variable with the process id after whose end this process exits too; set by the local platform only."""
_PARENT_POLL_S = 1.0


class ModelPredictor:
    """Checks requests against the data contract and predicts with the model's script.

    The script's own `input_fn` replaces the checks, and its `output_fn` encodes the response.
    """

    def __init__(self, script: Script, features: Sequence[Feature], excluded: frozenset[str] = frozenset()) -> None:
        self._script = script
        self._features = features
        self._excluded = excluded

    def predict(self, body: bytes, content_type: str, accept: str) -> tuple[Sequence[float], tuple[bytes, str] | None]:
        """Returns the predictions, and (body, content type) of `output_fn`'s response; None without an `output_fn`."""
        predictions = self._script.predict(self._parse_rows(body, content_type))
        if self._script.output_fn is None:
            return predictions.tolist(), None
        try:
            response = self._script.output_fn(predictions, accept)
        except Exception as exc:  # a script can raise any exception; the response contains its message
            raise InferenceError(f"output_fn raised {type(exc).__name__}: {exc}") from exc
        return predictions.tolist(), (response.encode() if isinstance(response, str) else bytes(response), accept)

    def _parse_rows(self, body: bytes, content_type: str) -> pd.DataFrame | Any:
        """Returns the request's rows as `predict_fn` takes them: what `input_fn` returns, otherwise a DataFrame."""
        if self._script.input_fn is not None:
            try:
                return self._script.input_fn(body, content_type)
            except Exception as exc:  # see output_fn
                raise InferenceError(f"input_fn raised {type(exc).__name__}: {exc}") from exc
        from bedplate.container.frames import build_frame

        return build_frame(parse_request(body, content_type, self._features, self._excluded), self._features)


def main() -> int:
    """Serves until the process is stopped; returns the exit code 1 when the model cannot be loaded."""
    _exit_with_parent(os.environ.get(PARENT_PID_VARIABLE))
    try:
        predictor = build_predictor(paths.root() / "model", os.environ)
        metrics = PredictionMetrics.from_environment(os.environ)
    except (ModelLoadError, ValueError) as exc:
        print(f"cannot serve: {exc}", file=sys.stderr, flush=True)
        return 1
    import uvicorn

    # Sent with every response in the custom-attributes header.
    attributes = {k: os.environ.get(f"BEDPLATE_{k.upper()}", "unknown") for k in ("release", "version", "model")}
    # In SageMaker's container the port must be reachable from outside; on the local platform only from this machine.
    host = "127.0.0.1" if os.environ.get(paths.CONTAINER_ROOT) else "0.0.0.0"
    config = uvicorn.Config(
        Application(predictor, metrics, attributes, time.time, _write_stdout),
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


def build_predictor(model_dir: Path, environment: Mapping[str, str]) -> Predictor:
    """Returns the constant predictor where BEDPLATE_FALLBACK is set, otherwise one that serves `model_dir`.

    Raises ModelLoadError, and ValueError when BEDPLATE_FALLBACK is not a number.
    """
    constant = environment.get("BEDPLATE_FALLBACK")
    if constant:
        return ConstantPredictor(float(constant))
    contract = read_contract(model_dir)
    features = read_features(contract)
    model = ModelPredictor(load_script(model_dir, contract), features, excluded_columns(contract))
    _preload()
    return model


def _preload() -> None:
    """Imports pandas and its string type (pyarrow), so that the first request does not wait for the imports."""
    import pandas as pd

    pd.DataFrame({"text": pd.array(["a"], dtype="str")})


def _write_stdout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _exit_with_parent(pid: str | None) -> None:
    """Exits when process `pid` has ended, because macOS lacks Linux's signal on the end of the parent process."""
    if pid:
        threading.Thread(target=_watch_parent, args=(int(pid),), daemon=True).start()


def _watch_parent(pid: int) -> None:
    while True:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            os._exit(0)
        except PermissionError:
            pass  # the process runs under another user
        time.sleep(_PARENT_POLL_S)
