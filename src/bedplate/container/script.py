"""Loads a model's inference script: `model_fn`, `predict_fn`, and where it has them `input_fn` and `output_fn`."""

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


class ModelWillNotLoad(Exception):
    """Which file or function is at fault, and how."""


class ModelFailed(Exception):
    """The script's own code failed on rows that fit the contract, or answered something that is no answer."""


@dataclass(frozen=True, slots=True)
class Script:
    """A loaded model. `predict` answers one finite float for each row of a DataFrame, or raises ModelFailed."""

    model: Any
    predict_fn: Callable[[Any, Any], Any]
    input_fn: Callable[[bytes, str], Any] | None
    output_fn: Callable[[Any, str], Any] | None

    def predict(self, rows: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
        import numpy as np

        try:
            answers = np.asarray(self.predict_fn(rows, self.model), dtype=np.float64)
        except Exception as exc:  # a script may raise anything; it is told as it is
            raise ModelFailed(f"predict_fn raised {type(exc).__name__}: {exc}") from exc
        if answers.shape != (len(rows),):
            raise ModelFailed(
                f"predict_fn must answer one number a row: ({len(rows)},) expected, found {answers.shape}"
            )
        if not np.isfinite(answers).all():
            raise ModelFailed(f"predict_fn answered {int((~np.isfinite(answers)).sum())} of {len(rows)} rows with NaN")
        return answers


def contract_of(model_dir: Path) -> dict[str, Any]:
    """`contract.json` beside the model. Raises ModelWillNotLoad."""
    path = model_dir / "contract.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not found["data"]["columns"]:
            raise ValueError("data.columns is empty")
    except FileNotFoundError as exc:
        raise ModelWillNotLoad(
            "the artifact holds no contract.json: train the model again by `bedplate train`"
        ) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise ModelWillNotLoad(f"contract.json is no model's contract: {type(exc).__name__}: {exc}") from exc
    assert isinstance(found, dict)
    return found


def load(model_dir: Path, contract: dict[str, Any]) -> Script:
    """Import `code/<serving.entry_point>` and call its `model_fn`. Raises ModelWillNotLoad.

    The script is imported under its own name with its folder on the path, so that what training pickled is found again.
    One process therefore loads one model.
    """
    entry_point = contract.get("serving", {}).get("entry_point", "inference.py")
    module = _imported(model_dir / "code" / entry_point)
    for function in ("model_fn", "predict_fn"):
        if not callable(getattr(module, function, None)):
            raise ModelWillNotLoad(f"{entry_point} defines no {function}")
    try:
        model = module.model_fn(str(model_dir))
    except Exception as exc:  # a script may raise anything; it is told as it is
        raise ModelWillNotLoad(f"model_fn of {entry_point} raised {type(exc).__name__}: {exc}") from exc
    return Script(model, module.predict_fn, getattr(module, "input_fn", None), getattr(module, "output_fn", None))


def _imported(path: Path) -> ModuleType:
    if not path.is_file():
        raise ModelWillNotLoad(f"code/{path.name} is not in the artifact")
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except Exception as exc:  # as above
        raise ModelWillNotLoad(f"{path.name} cannot be imported: {type(exc).__name__}: {exc}") from exc
    return module
