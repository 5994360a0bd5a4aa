"""Creates, updates and deletes SageMaker's model cards, one for each version of a model."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from bedplate.aws.errors import map_client_errors
from bedplate.aws.session import Session
from bedplate.errors import Conflict, NotFound, PlatformError

MAX_CONTENT = 100_000


class SageMakerCards:
    """The `ModelCards` port. `kms_key_arn` encrypts the cards that it creates."""

    def __init__(self, session: Session, *, kms_key_arn: str | None = None) -> None:
        self._session = session
        self._kms_key_arn = kms_key_arn

    def put(self, name: str, content: Mapping[str, Any], status: str) -> tuple[str, int]:
        """Raises PlatformError for content above 100,000 characters."""
        body = json.dumps(content, sort_keys=True)
        if len(body) > MAX_CONTENT:
            raise PlatformError(
                f"A model card in SageMaker has at most {MAX_CONTENT:,} characters; {name} has {len(body):,}",
                next_step="remove segments in data.columns, or bedplate models card --markdown",
            )
        security = {"SecurityConfig": {"KmsKeyId": self._kms_key_arn}} if self._kms_key_arn else {}
        try:
            with map_client_errors(f"Cannot create model card {name}"):
                self._sagemaker.create_model_card(ModelCardName=name, Content=body, ModelCardStatus=status, **security)
        except Conflict:
            self._update(name, body, status)
        return self._describe(name)[:2]

    def delete(self, name: str) -> None:
        """Does nothing when the card does not exist."""
        with contextlib.suppress(NotFound), map_client_errors(f"Cannot delete model card {name}"):
            self._sagemaker.delete_model_card(ModelCardName=name)

    def _update(self, name: str, body: str, status: str) -> None:
        """Updates the card unless it is the same, because every update may create a new version of the card."""
        if self._describe(name)[2:] == (body, status):
            return
        with map_client_errors(f"Cannot update model card {name}"):
            self._sagemaker.update_model_card(ModelCardName=name, ModelCardStatus=status, Content=body)

    def _describe(self, name: str) -> tuple[str, int, str, str]:
        with map_client_errors(f"Cannot read model card {name}"):
            card = self._sagemaker.describe_model_card(ModelCardName=name)
        return card["ModelCardArn"], int(card["ModelCardVersion"]), card["Content"], card["ModelCardStatus"]

    @property
    def _sagemaker(self) -> Any:
        return self._session.client("sagemaker")
