"""Where images and model versions are kept: one ECR repository, and a model package group for each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from documents import document

UNTAGGED_DAYS = 14


@dataclass(frozen=True)
class RegistryArgs:
    repository: str
    image_tag: str
    package_groups: Mapping[str, tuple[str, Mapping[str, str]]]
    """Name of the group -> description and tags."""
    kms_key_arn: pulumi.Input[str]
    region: str
    account_id: str
    reader_account_ids: tuple[str, ...]
    """Accounts of the environments that promote from this one: they read versions and images, and change nothing."""
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
            image_tag_mutability="IMMUTABLE",  # a tag in a model package's record means the same image for ever
            image_scanning_configuration={"scan_on_push": True},
            encryption_configurations=[{"encryption_type": "KMS", "kms_key": args.kms_key_arn}],
            force_delete=args.force_destroy,
            tags=args.tags,
            opts=child,
        )
        aws.ecr.LifecyclePolicy(
            "images",
            repository=repository.name,
            policy=document(_untagged_only()),
            opts=child,
        )
        if args.reader_account_ids:
            aws.ecr.RepositoryPolicy(
                "images",
                repository=repository.name,
                policy=document(_readers_of_images(args.reader_account_ids)),
                opts=child,
            )
        for group, (description, tags) in args.package_groups.items():
            made = aws.sagemaker.ModelPackageGroup(
                group,
                model_package_group_name=group,
                model_package_group_description=description,
                tags=tags,
                opts=child,
            )
            if args.reader_account_ids:
                aws.sagemaker.ModelPackageGroupPolicy(
                    group,
                    model_package_group_name=made.model_package_group_name,
                    resource_policy=document(_readers_of_versions(args, group)),
                    opts=child,
                )
        self.repository_arn = repository.arn
        self.image_uri = pulumi.Output.concat(repository.repository_url, ":", args.image_tag)
        self.register_outputs({"imageUri": self.image_uri})


def _readers_of_images(accounts: tuple[str, ...]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "PromoteFromHere",
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]},
                "Action": [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:DescribeImages",
                    "ecr:GetDownloadUrlForLayer",
                ],
                "Condition": {"StringEquals": {"aws:PrincipalAccount": list(accounts)}},
            }
        ],
    }


def _readers_of_versions(args: RegistryArgs, group: str) -> dict[str, object]:
    arn = f"arn:aws:sagemaker:{args.region}:{args.account_id}"
    shared = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in args.reader_account_ids]},
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SeeTheGroup",
                **shared,
                "Action": "sagemaker:DescribeModelPackageGroup",
                "Resource": f"{arn}:model-package-group/{group}",
            },
            {
                "Sid": "PromoteFromHere",
                **shared,
                "Action": ["sagemaker:DescribeModelPackage", "sagemaker:ListModelPackages"],
                "Resource": f"{arn}:model-package/{group}/*",
            },
        ],
    }


def _untagged_only() -> dict[str, object]:
    """Tagged images stay: a release from long ago may be rolled back to."""
    return {
        "rules": [
            {
                "rulePriority": 1,
                "description": f"Untagged images go after {UNTAGGED_DAYS} days",
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
