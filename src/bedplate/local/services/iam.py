"""IAM: SimulatePrincipalPolicy and SimulateCustomPolicy, and AWS's managed policies when one is asked for."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import moto.iam.urls
from moto.core.responses import ActionResult
from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.iam.responses import IamResponse

from bedplate.local.services.iam_policies import PolicyDecision, evaluate
from bedplate.local.services.installation import AwsApiError, lay

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_AWS_OWN = ":iam::aws:policy/"


class ManagedPolicies(dict[str, Any]):
    """Managed policies by ARN. AWS's own (over a thousand) come in one by one, when first asked for, so that neither
    the start nor every snapshot carries them."""

    backend: IAMBackend

    def __missing__(self, arn: str) -> Any:
        found = _aws_policy(arn)
        if found is None:
            raise KeyError(arn)
        name, data = found
        self[arn] = AWSManagedPolicy.from_data(name, self.backend.account_id, self.backend.region_name, data)
        return self[arn]

    def __contains__(self, arn: object) -> bool:
        return super().__contains__(arn) or (isinstance(arn, str) and _AWS_OWN in arn and _aws_policy(arn) is not None)


class Backend(IAMBackend):  # type: ignore[misc]
    _url_module = moto.iam.urls
    managed_policies: dict[str, Any]

    def _init_managed_policies(self) -> dict[str, Any]:
        managed = ManagedPolicies()
        managed.backend = self
        return managed

    def attach_role_policy(self, policy_arn: str, role_name: str) -> None:
        self._fetch(policy_arn)
        super().attach_role_policy(policy_arn, role_name)

    def attach_user_policy(self, policy_arn: str, user_name: str) -> None:
        self._fetch(policy_arn)
        super().attach_user_policy(policy_arn, user_name)

    def attach_group_policy(self, policy_arn: str, group_name: str) -> None:
        self._fetch(policy_arn)
        super().attach_group_policy(policy_arn, group_name)

    def list_policies(self, *args: Any, **kwargs: Any) -> Any:
        """AWS's own are listed when their scope is asked for; they are not kept for that."""
        scope = kwargs.get("scope", args[4] if len(args) > 4 else None)
        if scope != "AWS":
            return super().list_policies(*args, **kwargs)
        kept = self.managed_policies
        self.managed_policies = {arn: self.managed_policies[arn] for arn in _aws_arns()}
        try:
            return super().list_policies(*args, **kwargs)
        finally:
            self.managed_policies = kept
            for arn in [a for a, p in dict.items(kept) if _AWS_OWN in a and not p.attachment_count]:
                del kept[arn]

    def _fetch(self, arn: str) -> None:
        if arn in self.managed_policies:
            self.managed_policies[arn]


class Response(IamResponse):  # type: ignore[misc]
    def simulate_principal_policy(self) -> ActionResult:
        arn = self.params["PolicySourceArn"]
        documents = [*self._documents_of(arn), *self._read(self.params.get("PolicyInputList"))]
        return self._simulated(documents, self._boundary_of(arn))

    def simulate_custom_policy(self) -> ActionResult:
        return self._simulated(self._read(self.params["PolicyInputList"]), [])

    def _simulated(self, documents: list[dict[str, Any]], attached: list[dict[str, Any]]) -> ActionResult:
        """Each action on each resource; a deny wins, as everywhere. A permissions boundary narrows what is allowed: the
        one that is passed, else the one that is attached."""
        asked = self.params
        context = {
            entry["ContextKeyName"]: ",".join(entry.get("ContextKeyValues") or ())
            for entry in asked.get("ContextEntries") or ()
        }
        boundaries = self._read(asked.get("PermissionsBoundaryPolicyInputList")) or attached
        rows = []
        for action in asked["ActionNames"]:
            for resource in asked.get("ResourceArns") or ["*"]:
                said = evaluate(documents, action, resource, context=context)
                if said is PolicyDecision.ALLOW and boundaries:
                    said = evaluate(boundaries, action, resource, context=context)
                rows.append(
                    {
                        "EvalActionName": action,
                        "EvalResourceName": resource,
                        "EvalDecision": said.value,
                        "MatchedStatements": [],
                        "MissingContextValues": [],
                    }
                )
        return ActionResult({"EvaluationResults": rows, "IsTruncated": False})

    def _boundary_of(self, arn: str) -> list[dict[str, Any]]:
        """The permissions boundary of a role; moto keeps none for users."""
        kind, _, path = arn.split(":", 5)[-1].partition("/")
        if kind != "role":
            return []
        boundary = self.backend.get_role(path.rsplit("/", 1)[-1]).permissions_boundary_arn
        if not boundary:
            return []
        versions = self.backend.get_policy(boundary).versions
        return self._read([version.document for version in versions if version.is_default])

    def _documents_of(self, arn: str) -> list[dict[str, Any]]:
        """Every policy of a user, group or role, and of a user's groups."""
        kind, _, path = arn.split(":", 5)[-1].partition("/")
        name = path.rsplit("/", 1)[-1]
        if kind == "root":
            return [{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}]
        try:
            holders = [getattr(self.backend, f"get_{kind}")(name)]
        except AttributeError:
            raise AwsApiError("InvalidInput", f"Invalid entity ARN: {arn}") from None
        if kind == "user":
            holders += [group for group in self.backend.groups.values() if holders[0] in group.users]
        documents: list[dict[str, Any]] = []
        for holder in holders:
            inline = holder.policies.values()
            documents += self._read([p["policy_document"] if isinstance(p, dict) else p for p in inline])
            documents += self._read(
                [
                    version.document
                    for policy in holder.managed_policies.values()
                    for version in policy.versions
                    if version.is_default
                ]
            )
        return documents

    def _read(self, documents: Any) -> list[dict[str, Any]]:
        try:
            return [json.loads(text if text.lstrip().startswith("{") else unquote(text)) for text in documents or ()]
        except ValueError as exc:
            raise AwsApiError("InvalidInput", f"A policy is not JSON: {exc}") from exc


def install(platform: LocalPlatform) -> None:
    del platform
    lay("iam", response=Response, backend=Backend)


@lru_cache(maxsize=1)
def _aws_policies() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    policies: dict[str, Any] = json.loads(aws_managed_policies_data)
    return policies


def _aws_arns() -> list[str]:
    return [f"arn:aws{_AWS_OWN}{data.get('Path', '/')[1:]}{name}" for name, data in _aws_policies().items()]


def _aws_policy(arn: str) -> tuple[str, Any] | None:
    """The name and data of one of AWS's own policies."""
    if _AWS_OWN not in arn:
        return None
    path, _, name = arn.split(":policy", 1)[1].rpartition("/")
    data = _aws_policies().get(name)
    return (name, data) if data is not None and data.get("Path", "/").rstrip("/") == path else None
