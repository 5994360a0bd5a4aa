"""The ECR repository of the image, and a model package group for each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from iam import Statement, account_root, allow, policy_document
from outputs import document

UNTAGGED_DAYS = 14


@dataclass(frozen=True)
class RegistryArgs:
    repository: str
    image_tag: str
    package_groups: Mapping[str, tuple[str, Mapping[str, str]]]
    """By name of the group: description and tags."""
    kms_key_arn: pulumi.Input[str]
    region: str
    account_id: str
    reader_account_ids: tuple[str, ...]
    """Accounts of environments that promote from this one; they may read versions and images."""
    force_destroy: bool
    tags: Mapping[str, str]


class Registry(pulumi.ComponentResource):
    """Outputs: `repository_arn`, `image_uri`."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("bedplate:platform:Registry", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            "images",
            name=args.repository,
            image_tag_mutability="IMMUTABLE",  # the tag in a model package always means the same image
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": args.kms_key_arn}],
            force_delete=args.force_destroy,
            tags=args.tags,
            opts=child,
        )
        aws.ecr.LifecyclePolicy(
            "images",
            repository=repository.name,
            policy=document(_expire_untagged_images()),
            opts=child,
        )
        if args.reader_account_ids:
            aws.ecr.RepositoryPolicy(
                "images",
                repository=repository.name,
                policy=policy_document(_image_readers(args.reader_account_ids)),
                opts=child,
            )
        for group, (description, tags) in args.package_groups.items():
            package_group = aws.sagemaker.ModelPackageGroup(
                group,
                model_package_group_name=group,
                model_package_group_description=description,
                tags=tags,
                opts=child,
            )
            if args.reader_account_ids:
                aws.sagemaker.ModelPackageGroupPolicy(
                    group,
                    model_package_group_name=package_group.model_package_group_name,
                    resource_policy=policy_document(*_version_readers(args, group)),
                    opts=child,
                )
        self.repository_arn = repository.arn
        self.image_uri = pulumi.Output.concat(repository.repository_url, ":", args.image_tag)
        self.register_outputs({"imageUri": self.image_uri})


def _image_readers(account_ids: tuple[str, ...]) -> Statement:
    return allow(
        "PromoteFromHere",
        [
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:DescribeImages",
            "ecr:GetDownloadUrlForLayer",
        ],
        None,
        {"StringEquals": {"aws:PrincipalAccount": list(account_ids)}},
        principal={"AWS": [account_root(account) for account in account_ids]},
    )


def _version_readers(args: RegistryArgs, group: str) -> list[Statement]:
    arn = f"arn:aws:sagemaker:{args.region}:{args.account_id}"
    readers = {"AWS": [account_root(account) for account in args.reader_account_ids]}
    describe_group, group_arn = "sagemaker:DescribeModelPackageGroup", f"{arn}:model-package-group/{group}"
    read_versions = ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"]
    return [
        allow("SeeTheGroup", describe_group, group_arn, principal=readers),
        allow("PromoteFromHere", read_versions, f"{arn}:model-package/{group}/*", principal=readers),
    ]


def _expire_untagged_images() -> dict[str, object]:
    """Returns a lifecycle policy that keeps tagged images, because a rollback may need an old release."""
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": f"Untagged images expire after {UNTAGGED_DAYS} days",
                "selection": {
                    "tagStatus": "untagged",
                    "countType": "sinceImagePushed",
                    "countUnit": "days",
                    "countNumber": UNTAGGED_DAYS,
                },
                "action": {"type": "expire"},
            }
        ]
    }
