"""Patches moto's IAM: SimulatePrincipalPolicy, SimulateCustomPolicy, and AWS's managed policies loaded on demand."""

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
from bedplate.local.services.installation import AwsApiError, patch_service

if TYPE_CHECKING:
    from bedplate.local.local_platform import LocalPlatform

_AWS_POLICY_ARN = ":iam::aws:policy/"


class ManagedPolicies(dict[str, Any]):
    """Managed policies by ARN. One of AWS's own policies is added when it is first read.

    AWS has over a thousand of them: loading all would slow the start, and every snapshot would contain them.
    """

    backend: IAMBackend

    def __missing__(self, arn: str) -> Any:
        policy = _find_aws_policy(arn)
        if policy is None:
            raise KeyError(arn)
        name, data = policy
        self[arn] = AWSManagedPolicy.from_data(name, self.backend.account_id, self.backend.region_name, data)
        return self[arn]

    def __contains__(self, arn: object) -> bool:
        return super().__contains__(arn) or (isinstance(arn, str) and _find_aws_policy(arn) is not None)


class Backend(IAMBackend):  # type: ignore[misc]
    _url_module = moto.iam.urls
    managed_policies: dict[str, Any]

    def _init_managed_policies(self) -> dict[str, Any]:
        managed = ManagedPolicies()
        managed.backend = self
        return managed

    def attach_role_policy(self, policy_arn: str, role_name: str) -> None:
        self._load_managed_policy(policy_arn)
        super().attach_role_policy(policy_arn, role_name)

    def attach_user_policy(self, policy_arn: str, user_name: str) -> None:
        self._load_managed_policy(policy_arn)
        super().attach_user_policy(policy_arn, user_name)

    def attach_group_policy(self, policy_arn: str, group_name: str) -> None:
        self._load_managed_policy(policy_arn)
        super().attach_group_policy(policy_arn, group_name)

    def list_policies(self, *args: Any, **kwargs: Any) -> Any:
        """Lists AWS's own policies only for the scope AWS, and drops those again that nothing is attached to."""
        scope = kwargs.get("scope", args[4] if len(args) > 4 else None)
        if scope != "AWS":
            return super().list_policies(*args, **kwargs)
        policies = self.managed_policies
        self.managed_policies = {arn: self.managed_policies[arn] for arn in _aws_policy_arns()}
        try:
            return super().list_policies(*args, **kwargs)
        finally:
            self.managed_policies = policies
            for arn in [a for a, p in dict.items(policies) if _AWS_POLICY_ARN in a and not p.attachment_count]:
                del policies[arn]

    def _load_managed_policy(self, arn: str) -> None:
        """Adds one of AWS's own policies to the managed policies: moto attaches policies that it finds there."""
        if arn in self.managed_policies:
            self.managed_policies[arn]


class Response(IamResponse):  # type: ignore[misc]
    def simulate_principal_policy(self) -> ActionResult:
        arn = self.params["PolicySourceArn"]
        documents = [*self._load_policies(arn), *self._parse_policies(self.params.get("PolicyInputList"))]
        return self._simulate(documents, self._load_boundary(arn))

    def simulate_custom_policy(self) -> ActionResult:
        return self._simulate(self._parse_policies(self.params["PolicyInputList"]), [])

    def _simulate(self, documents: list[dict[str, Any]], attached_boundary: list[dict[str, Any]]) -> ActionResult:
        """Evaluates each action on each resource. A permissions boundary limits what the policies allow.

        The boundary of the request replaces the boundary of the principal, `attached_boundary`.
        """
        request = self.params
        context = {
            entry["ContextKeyName"]: ",".join(entry.get("ContextKeyValues") or ())
            for entry in request.get("ContextEntries") or ()
        }
        boundaries = self._parse_policies(request.get("PermissionsBoundaryPolicyInputList")) or attached_boundary
        rows = []
        for action in request["ActionNames"]:
            for resource in request.get("ResourceArns") or ["*"]:
                decision = evaluate(documents, action, resource, context=context)
                if decision is PolicyDecision.ALLOW and boundaries:
                    decision = evaluate(boundaries, action, resource, context=context)
                rows.append(
                    {
                        "EvalActionName": action,
                        "EvalResourceName": resource,
                        "EvalDecision": decision.value,
                        "MatchedStatements": [],
                        "MissingContextValues": [],
                    }
                )
        return ActionResult({"EvaluationResults": rows, "IsTruncated": False})

    def _load_boundary(self, arn: str) -> list[dict[str, Any]]:
        """Returns the permissions boundary of a role, or an empty list; moto stores no boundaries of users."""
        kind, _, path = arn.split(":", 5)[-1].partition("/")
        if kind != "role":
            return []
        boundary = self.backend.get_role(path.rsplit("/", 1)[-1]).permissions_boundary_arn
        if not boundary:
            return []
        versions = self.backend.get_policy(boundary).versions
        return self._parse_policies([version.document for version in versions if version.is_default])

    def _load_policies(self, arn: str) -> list[dict[str, Any]]:
        """Returns every policy of a user, group or role, for a user also those of the user's groups."""
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
            documents += self._parse_policies([p["policy_document"] if isinstance(p, dict) else p for p in inline])
            documents += self._parse_policies(
                [
                    version.document
                    for policy in holder.managed_policies.values()
                    for version in policy.versions
                    if version.is_default
                ]
            )
        return documents

    def _parse_policies(self, documents: Any) -> list[dict[str, Any]]:
        try:
            return [json.loads(text if text.lstrip().startswith("{") else unquote(text)) for text in documents or ()]
        except ValueError as exc:
            raise AwsApiError("InvalidInput", f"A policy is not JSON: {exc}") from exc


def install(platform: LocalPlatform) -> None:
    del platform
    patch_service("iam", response=Response, backend=Backend)


@lru_cache(maxsize=1)
def _load_aws_policies() -> dict[str, Any]:
    from moto.iam.aws_managed_policies import aws_managed_policies_data

    return json.loads(aws_managed_policies_data)  # type: ignore[no-any-return]


def _aws_policy_arns() -> list[str]:
    return [f"arn:aws{_AWS_POLICY_ARN}{data.get('Path', '/')[1:]}{name}" for name, data in _load_aws_policies().items()]


def _find_aws_policy(arn: str) -> tuple[str, Any] | None:
    """Returns the name and the data of one of AWS's own policies; None for any other ARN."""
    if _AWS_POLICY_ARN not in arn:
        return None
    path, _, name = arn.split(":policy", 1)[1].rpartition("/")
    data = _load_aws_policies().get(name)
    return (name, data) if data is not None and data.get("Path", "/").rstrip("/") == path else None
