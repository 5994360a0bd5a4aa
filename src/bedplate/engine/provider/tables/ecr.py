"""Resource types of ECR: image repositories, and the policies on who may use them and which images expire."""

from __future__ import annotations

from bedplate.engine.provider.resource_type import FollowUpCall, ResourceType, TagOperations, named_type


def _repository_policy(
    type: str, operations: tuple[str, str, str], policy_member: str, missing_code: str
) -> ResourceType:
    """Returns the type of a repository's policy: ECR replaces it as a whole, and its id is the repository's name."""
    return ResourceType(
        type,
        "ecr",
        operations,
        id_format="{repository}",
        key_properties=("repository",),
        member_paths={"repository": "repositoryName", "policy": policy_member},
        missing_codes=(missing_code, "RepositoryNotFoundException"),
        outputs={"registryId": "=registryId"},
        update_calls=(FollowUpCall(operations[0], ("policy",)),),
        replaces=("repository",),
    )


RESOURCE_TYPES = (
    named_type(
        "aws:ecr/repository:Repository",
        "ecr",
        ("CreateRepository", "DescribeRepositories", "DeleteRepository"),
        max_name_length=256,
        member_paths={"name": "repositoryName|repositoryNames"},
        provider_only=("forceDelete",),
        read_path="repositories[0]",
        missing_codes=("RepositoryNotFoundException",),
        outputs={
            "arn": "=repository.repositoryArn|repositoryArn",
            "registryId": "=repository.registryId|registryId",
            "repositoryUrl": "=repository.repositoryUri|repositoryUri",
        },
        update_calls=(
            FollowUpCall("PutImageTagMutability", ("imageTagMutability", "imageTagMutabilityExclusionFilters")),
            FollowUpCall("PutImageScanningConfiguration", ("imageScanningConfiguration",)),
        ),
        replaces=("name", "encryptionConfigurations"),
        tags=TagOperations({"resourceArn": "{arn}"}, tags_member="tags", keys_member="tagKeys"),
        adjust_params=lambda _aws, operation, properties, params: (
            {**params, "force": bool(properties.get("forceDelete"))} if operation == "DeleteRepository" else params
        ),
    ),
    _repository_policy(
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
        ("SetRepositoryPolicy", "GetRepositoryPolicy", "DeleteRepositoryPolicy"),
        "policyText",
        "RepositoryPolicyNotFoundException",
    ),
    _repository_policy(
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        ("PutLifecyclePolicy", "GetLifecyclePolicy", "DeleteLifecyclePolicy"),
        "lifecyclePolicyText",
        "LifecyclePolicyNotFoundException",
    ),
)
