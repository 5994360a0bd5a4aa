"""The plugin implements Pulumi's provider protocol for our providers; the tests call it by gRPC, like the CLI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from bedplate.engine.automation.local_provider import build_aws_provider, require_loopback_endpoints
from bedplate.engine.automation.plugin import derive_intent, serve
from bedplate.engine.property_values import from_struct, to_struct
from bedplate.engine.protocol import (
    UNKNOWN,
    CheckResult,
    CreateResult,
    DiffChanges,
    DiffResult,
    PartialFailure,
    Properties,
    Secret,
)
from bedplate.errors import UsageError
from golden.oracle.fake_cloud import FakeCloud, FakeCloudProvider

URN = "urn:pulumi:s::oracle::test:index:Box$test:index:Thing::a"


class RecordingProvider(FakeCloudProvider):
    """The provider of the recordings; records its calls."""

    def __init__(self) -> None:
        super().__init__(FakeCloud())
        self.seeds: list[bytes] = []
        self.inputs: list[Properties] = []
        self.types: list[str] = []
        self.intents: list[str] = []

    def check(self, urn: str, type: str, olds: Properties | None, news: Properties, random_seed: bytes) -> CheckResult:
        self.seeds.append(random_seed)
        self.types.append(type)
        self.inputs.append({"olds": olds})
        return super().check(urn, type, olds, news, random_seed)

    def create(self, urn: str, type: str, inputs: Properties, preview: bool, intent: str) -> CreateResult:
        self.inputs.append(inputs)
        self.intents.append(intent)
        if inputs.get("half"):
            raise PartialFailure("it never started", id="a-1", outputs={"x": 1})
        if inputs.get("hide"):
            return CreateResult("a-1", {"password": Secret("hush")})
        return super().create(urn, type, inputs, preview, intent)

    def delete(self, urn: str, id: str, type: str, inputs: Properties, outputs: Properties) -> None:
        raise RuntimeError("the connection was lost")

    def diff(self, *args: Any) -> DiffResult:
        return DiffResult(
            DiffChanges.SOME,
            diffs=("a.b[0]", "c", "d"),
            replaces=("a.b[0]",),
            delete_before_replace=True,
            detailed_diff={"a.b[0]": (1, 2), "c": (None, 1), "d": (1, None)},
        )


@pytest.fixture
def provider() -> RecordingProvider:
    return RecordingProvider()


@pytest.fixture
def stub(provider: RecordingProvider) -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    server, port = serve(provider, package="test", version="1.2.3")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield provider_pb2_grpc.ResourceProviderStub(channel)
    server.stop(None).wait()


def create(**inputs: Any) -> Any:
    return provider_pb2.CreateRequest(urn=URN, type="test:index:Thing", properties=to_struct(inputs))


def test_a_preview_returns_unknown_outputs_and_creates_nothing(stub: Any, provider: RecordingProvider) -> None:
    request = create(x=1)
    request.preview = True
    response = stub.Create(request)
    assert (response.id, from_struct(response.properties)) == ("", {"x": 1, "computed": UNKNOWN})
    assert provider.cloud.resources == {}
    assert provider.intents == [""]


def test_the_intent_of_a_create_is_derived_from_the_state_and_differs_for_a_replacement(
    stub: Any, provider: RecordingProvider
) -> None:
    stub.Create(create(x=1))
    stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    stub.Create(create(x=1))
    assert provider.intents == [derive_intent(URN, ""), derive_intent(URN, "a-1")]
    assert len(set(provider.intents)) == 2


def test_a_provider_receives_secrets_as_plain_values_and_returns_them_marked(
    stub: Any, provider: RecordingProvider
) -> None:
    response = stub.Create(create(hide=True, key=Secret({"a": [Secret(1)]})))
    assert provider.inputs == [{"hide": True, "key": {"a": [1]}}]
    assert from_struct(response.properties)["password"].value == "hush"


def test_integers_stay_integers(stub: Any, provider: RecordingProvider) -> None:
    stub.Create(create(n=3, x=0.5))
    assert {name: type(value) for name, value in provider.inputs[0].items()} == {"n": int, "x": float}


def test_a_rejection_and_an_unknown_error_have_different_status_codes(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as rejected:
        stub.Create(create(fail=["create"]))
    assert (rejected.value.code(), rejected.value.details()) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "create of a-1 was refused",
    )
    with pytest.raises(grpc.RpcError) as unknown:
        stub.Delete(provider_pb2.DeleteRequest(urn=URN, id="a-1"))
    assert (unknown.value.code(), unknown.value.details()) == (grpc.StatusCode.UNKNOWN, "the connection was lost")


def test_a_partial_failure_contains_the_id_and_outputs(stub: Any) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        stub.Create(create(half=True))
    trailing = dict(failure.value.trailing_metadata())
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    detail = provider_pb2.ErrorResourceInitFailed()
    assert status.details[0].Unpack(detail)
    assert (detail.id, from_struct(detail.properties), list(detail.reasons)) == ("a-1", {"x": 1}, ["it never started"])


def test_a_diff_has_the_kind_of_change_of_each_path(stub: Any) -> None:
    diff = stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    kinds = provider_pb2.PropertyDiff
    assert diff.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert (list(diff.diffs), list(diff.replaces)) == (["a.b[0]", "c", "d"], ["a.b[0]"])
    assert diff.deleteBeforeReplace
    assert {path: entry.kind for path, entry in diff.detailedDiff.items()} == {
        "a.b[0]": kinds.UPDATE_REPLACE,
        "c": kinds.ADD,
        "d": kinds.DELETE,
    }


def test_the_seed_is_the_same_in_preview_and_up_and_differs_for_a_replacement(
    stub: Any, provider: RecordingProvider
) -> None:
    def check(seed: bytes, **olds: Any) -> None:
        stub.Check(provider_pb2.CheckRequest(urn=URN, olds=to_struct(olds), news=to_struct({}), randomSeed=seed))

    check(b"1" * 32)
    check(b"2" * 32)
    stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    check(b"3" * 32)
    preview, up, replacement = provider.seeds
    assert preview == up != replacement
    assert provider.types[0] == "test:index:Thing"
    assert provider.inputs[0] == {"olds": None}


def test_the_seed_is_that_of_the_embedded_engine(stub: Any, provider: RecordingProvider) -> None:
    from bedplate.engine.protocol import derive_seed

    request = provider_pb2.CheckRequest(urn=URN, news=struct_pb2.Struct())
    stub.Check(request)
    stub.Diff(provider_pb2.DiffRequest(urn=URN, id="a-1"))
    stub.Check(request)
    assert provider.seeds == [derive_seed(URN), derive_seed(URN, "a-1")]


def test_a_failed_check_names_the_property(stub: Any) -> None:
    checked = stub.Check(provider_pb2.CheckRequest(urn=URN, news=to_struct({"invalid": "must be even"})))
    assert [(f.property, f.reason) for f in checked.failures] == [("invalid", "must be even")]


def test_a_read_of_a_deleted_resource_returns_no_id(stub: Any, provider: RecordingProvider) -> None:
    assert stub.Read(provider_pb2.ReadRequest(urn=URN, id="a-9")).id == ""
    provider.cloud.resources["a-9"] = {"x": 1}
    response = stub.Read(provider_pb2.ReadRequest(urn=URN, id="a-9"))
    assert (response.id, from_struct(response.inputs)) == ("a-9", {"x": 1})


def test_the_provider_is_configured_without_the_version(stub: Any, provider: RecordingProvider) -> None:
    response = stub.Configure(
        provider_pb2.ConfigureRequest(args=to_struct({"region": "eu-west-1", "version": "7.51.1"}))
    )
    assert response.supportsPreview
    assert provider.config == {"region": "eu-west-1"}


@pytest.mark.parametrize(
    "endpoints", ['[{"s3": "https://s3.amazonaws.com"}]', [{"s3": "http://127.0.0.1:1", "iam": "http://10.0.0.1"}]]
)
def test_a_configured_endpoint_of_another_machine_is_rejected(stub: Any, endpoints: Any) -> None:
    with pytest.raises(grpc.RpcError, match="this machine only"):
        stub.Configure(provider_pb2.ConfigureRequest(args=to_struct({"endpoints": endpoints})))
    with pytest.raises(UsageError):
        require_loopback_endpoints({"endpoints": endpoints})


@pytest.mark.parametrize("url", ["", "https://sagemaker.us-east-1.amazonaws.com", "http://192.168.1.7:4566"])
def test_the_aws_plugin_starts_only_for_a_platform_on_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(UsageError) as error:
        build_aws_provider("aws")
    assert error.value.next_step


def test_the_aws_plugin_uses_the_region_of_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    provider = build_aws_provider("aws")
    assert not hasattr(provider, "check_config")
    provider.configure({"region": "eu-west-1"})
    failures = provider.check(URN, "aws:s3/bucket:Bucket", None, {"region": "us-east-1"}, bytes(32)).failures
    assert [(f.property, f.reason) for f in failures] == [("region", "expected eu-west-1")]


def test_the_plugin_returns_its_version(stub: Any) -> None:
    from google.protobuf import empty_pb2

    assert stub.GetPluginInfo(empty_pb2.Empty()).version == "1.2.3"
    assert '"name": "test"' in stub.GetSchema(provider_pb2.GetSchemaRequest()).schema
