"""Loads a model's inference script: `model_fn`, `predict_fn` and, where defined, `input_fn` and `output_fn`."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


class ModelLoadError(Exception):
    """The model cannot be loaded; the message names the file or function and the cause."""


class InferenceError(Exception):
    """The script failed on rows that satisfy the contract, or returned something other than one number per row."""


@dataclass(frozen=True, slots=True)
class Script:
    """A loaded model with its functions."""

    model: Any
    predict_fn: Callable[[Any, Any], Any]
    input_fn: Callable[[bytes, str], Any] | None
    output_fn: Callable[[Any, str], Any] | None

    def predict(self, rows: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Returns one finite prediction per row of the DataFrame, shape (rows,). Raises InferenceError."""
        import numpy as np

        try:
            predictions = np.asarray(self.predict_fn(rows, self.model), dtype=np.float64)
        except Exception as exc:  # a script may raise anything; the message repeats it
            raise InferenceError(f"predict_fn raised {type(exc).__name__}: {exc}") from exc
        if predictions.shape != (len(rows),):
            expected = f"expected the shape ({len(rows)},), found {predictions.shape}"
            raise InferenceError(f"predict_fn must return one number per row: {expected}")
        invalid = int((~np.isfinite(predictions)).sum())
        if invalid:
            raise InferenceError(f"predict_fn returned NaN for {invalid} of {len(rows)} rows")
        return predictions


def read_contract(model_dir: Path) -> dict[str, Any]:
    """Returns the content of `contract.json` in the model's folder. Raises ModelLoadError."""
    path = model_dir / "contract.json"
    try:
        contract = json.loads(path.read_text(encoding="utf-8"))
        if not contract["data"]["columns"]:
            raise ValueError("data.columns is empty")
    except FileNotFoundError as exc:
        raise ModelLoadError("the artifact has no contract.json; train the model again: bedplate train") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise ModelLoadError(f"contract.json is not a valid contract: {type(exc).__name__}: {exc}") from exc
    assert isinstance(contract, dict)
    return contract


def load_script(model_dir: Path, contract: dict[str, Any]) -> Script:
    """Imports `code/<serving.entry_point>` and calls its `model_fn`. Raises ModelLoadError.

    The script is imported under its own name with its folder on `sys.path`, so that classes that training pickled can
    be unpickled. One process can therefore load only one model.
    """
    entry_point = contract.get("serving", {}).get("entry_point", "inference.py")
    module = _import_script(model_dir / "code" / entry_point)
    for function in ("model_fn", "predict_fn"):
        if not callable(getattr(module, function, None)):
            raise ModelLoadError(f"{entry_point} defines no {function}")
    try:
        model = module.model_fn(str(model_dir))
    except Exception as exc:  # a script may raise anything; the message repeats it
        raise ModelLoadError(f"model_fn of {entry_point} raised {type(exc).__name__}: {exc}") from exc
    return Script(model, module.predict_fn, getattr(module, "input_fn", None), getattr(module, "output_fn", None))


def _import_script(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelLoadError(f"code/{path.name} is not in the artifact")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as exc:  # as above
        raise ModelLoadError(f"{path.name} cannot be imported: {type(exc).__name__}: {exc}") from exc
    return module
