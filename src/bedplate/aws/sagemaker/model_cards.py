"""Keeps model cards in SageMaker: one for each version of a model, numbered anew when its content changes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bedplate.aws.errors import translated
from bedplate.aws.session import Session
from bedplate.errors import Conflict, NotFound, PlatformError

MAX_CONTENT = 100_000


class SageMakerCards:
    """The `Cards` port. `kms_key_arn` encrypts what is created."""

    def __init__(self, session: Session, *, kms_key_arn: str | None = None) -> None:
        self._session = session
        self._kms_key_arn = kms_key_arn

    def put(self, name: str, content: Mapping[str, Any], status: str) -> tuple[str, int]:
        """Raises PlatformError for content above 100,000 characters."""
        body = json.dumps(content, sort_keys=True)
        if len(body) > MAX_CONTENT:
            raise PlatformError(
                f"SageMaker keeps at most {MAX_CONTENT:,} characters in a model card; {name} has {len(body):,}",
                next_step="fewer segments in data.columns, or models card --markdown",
            )
        security = {"SecurityConfig": {"KmsKeyId": self._kms_key_arn}} if self._kms_key_arn else {}
        try:
            with translated(f"Cannot make model card {name}"):
                self._sagemaker.create_model_card(ModelCardName=name, Content=body, ModelCardStatus=status, **security)
        except Conflict:
            self._update(name, body, status)
        return self._held(name)[:2]

    def delete(self, name: str) -> None:
        """One that is not there is no error."""
        try:
            with translated(f"Cannot delete model card {name}"):
                self._sagemaker.delete_model_card(ModelCardName=name)
        except NotFound:
            return

    def _update(self, name: str, body: str, status: str) -> None:
        """Nothing, when the card says all this already: an update may number it anew."""
        _, _, held, was = self._held(name)
        if held == body and was == status:
            return
        with translated(f"Cannot update model card {name}"):
            self._sagemaker.update_model_card(ModelCardName=name, ModelCardStatus=status, Content=body)

    def _held(self, name: str) -> tuple[str, int, str, str]:
        with translated(f"Cannot read model card {name}"):
            found = self._sagemaker.describe_model_card(ModelCardName=name)
        return found["ModelCardArn"], int(found["ModelCardVersion"]), found["Content"], found["ModelCardStatus"]

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")
