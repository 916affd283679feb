"""Where the requests of a bucket go: compared with botocore, which is sent the same configuration."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError

from dxflow_async.concurrency.threads import Threads
from dxflow_async.config.sdk_configuration import with_sdk_configuration
from dxflow_async.config.settings import S3Settings
from dxflow_async.exceptions import ConfigurationError, UnsupportedError
from dxflow_async.providers.aws.dialects import Dialect
from dxflow_async.providers.aws.requests import Requests
from dxflow_async.providers.http import HTTP

FIPS, DUAL = {"AWS_USE_FIPS_ENDPOINT": "true"}, {"AWS_USE_DUALSTACK_ENDPOINT": "TRUE"}
REGIONS = ("us-east-1", "eu-west-3", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "eusc-de-east-1", "aws-global")
DIALECT = Dialect(S3Settings())

BUCKETS = ("bucket", "my.bucket", "Bucket_U", "ab", "ap-abcdef-s3alias")

AMAZON = [
    (region, {**first, **second}, "") for region, first, second in itertools.product(REGIONS, ({}, FIPS), ({}, DUAL))
]
CONFIGURED = [
    ("eu-west-3", {}, "use_fips_endpoint = true\n"),
    ("eu-west-3", {}, "use_dualstack_endpoint = true\n"),
    ("eu-west-3", {}, "s3 =\n  use_dualstack_endpoint = true\n"),
    ("eu-west-3", {}, "s3 =\n  addressing_style = path\n"),
    ("eu-west-3", {}, "s3 =\n  addressing_style = virtual\n"),
    ("us-east-1", {}, "s3 =\n  us_east_1_regional_endpoint = regional\n"),
    ("us-east-1", {"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}, ""),
    ("eu-west-3", {}, "s3 =\n  use_accelerate_endpoint = true\n"),
    ("eu-west-3", {"AWS_ENDPOINT_URL": ""}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000/"}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "http://[::1]:9000"}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "https://h.example/path/x/"}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "https://s3.eu-west-3.amazonaws.com"}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "https://bucket.vpce-1.s3.eu-west-3.vpce.amazonaws.com"}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "https://h.example", **FIPS}, ""),
    ("eu-west-3", {"AWS_ENDPOINT_URL": "https://h.example"}, "s3 =\n  addressing_style = virtual\n"),
    ("eu-west-3", {}, "services = other\n[services other]\ns3 =\n  endpoint_url = https://services.example\n"),
    ("eu-west-3", {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, "endpoint_url = https://h.example\n"),
]

USUAL = [("us-east-1", {}, ""), ("cn-north-1", FIPS, ""), ("eu-west-3", {**FIPS, **DUAL}, "")]
LONG = [pytest.param(*each, marks=pytest.mark.long) for each in [*AMAZON, *CONFIGURED[1::2]]]


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the SDK's configuration."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def configure(variables: dict[str, str], profile: str) -> None:
        (tmp_path / "config").write_text(f"[default]\n{profile}")
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return configure


class StopError(Exception):
    """Ends botocore's call before it sends anything."""


def sent_by_botocore(region: str) -> dict[str, str | None]:
    """The URL of each bucket's object; None where botocore refuses the configuration."""
    found: dict[str, str | None] = {}

    def stop(request: Any, **_: Any) -> None:
        urls.append(request.url)
        raise StopError

    try:
        client = botocore.session.Session().create_client("s3", region_name=region)
    except BotoCoreError:
        return dict.fromkeys(BUCKETS)
    client.meta.events.register("before-send.s3", stop)
    for bucket in BUCKETS:
        urls: list[str] = []
        try:
            client.head_object(Bucket=bucket, Key="name")  # type: ignore[attr-defined]
        except StopError:
            found[bucket] = urls[0]
        except BotoCoreError:
            found[bucket] = None
    client.close()
    return found


@pytest.mark.parametrize(("region", "variables", "profile"), [*USUAL, *CONFIGURED[::2], *LONG])
async def test_hosts_and_paths_are_botocores(
    http: HTTP, threads: Threads, configured: Any, region: str, variables: dict[str, str], profile: str
) -> None:
    """Requests go where botocore sends its own; what it refuses is an error of the configuration."""
    configured(variables, profile)
    requests = Requests(
        with_sdk_configuration(S3Settings(region=region)), http, threads, Dialect(S3Settings()), name="AWS"
    )
    ours: dict[str, str | None] = {}
    for bucket in BUCKETS:
        try:
            ours[bucket] = f"{(await requests.base(bucket, await requests.region_of(bucket))).url}name"
        except ConfigurationError as error:
            ours[bucket] = None if "check AWS.region" in str(error) else str(error)
    assert ours == sent_by_botocore(region)


@pytest.mark.parametrize(
    ("endpoint", "url", "host"),
    [
        ("HTTP://LocalHost:80", "http://localhost/bucket/", "localhost"),
        ("https://H.example:443/", "https://h.example/bucket/", "h.example"),
        (" https://h.example:8443\r\n", "https://h.example:8443/bucket/", "h.example:8443"),
        ("http://[::1]:80", "http://[::1]/bucket/", "[::1]"),
        ("http://[fe80::1%25Eth0]:9000", "http://[fe80::1%25Eth0]:9000/bucket/", "[fe80::1]:9000"),
    ],
)
async def test_endpoints_as_they_are_written(
    http: HTTP, threads: Threads, configured: Any, endpoint: str, url: str, host: str
) -> None:
    """Case, a default port, a slash at the end and white space around make no other endpoint, wherever it is from."""
    configured({"AWS_ENDPOINT_URL": endpoint}, "")
    for settings in (S3Settings(endpoint=endpoint), with_sdk_configuration(S3Settings())):
        base = await Requests(settings, http, threads, DIALECT, name="AWS").base("bucket", "us-east-1")
        assert (base.url, base.host) == (url, host)


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("arn:aws:s3:eu-west-3:123456789012:accesspoint", "alias of the access point"),
        ("bucket--use1-az4--x-s3", "directory bucket"),
    ],
)
async def test_names_of_no_bucket(http: HTTP, threads: Threads, configured: Any, bucket: str, words: str) -> None:
    """Access points are addressed by their alias; both errors say so before anything is sent."""
    configured({}, "")
    with pytest.raises(UnsupportedError, match=words):
        await Requests(S3Settings(region="eu-west-3"), http, threads, DIALECT, name="AWS").base(bucket, "eu-west-3")


async def test_keys_of_the_sdk_with_a_line_break(
    http: HTTP, threads: Threads, configured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White space around the SDK's keys and region is not signed; inside a key it is named, and no key is shown."""
    configured(
        {"AWS_SECRET_ACCESS_KEY": "hush\r\n", "AWS_ACCESS_KEY_ID": "AKID\n", "AWS_DEFAULT_REGION": "eu-west-3\n"}, ""
    )
    identity = Requests(
        S3Settings(endpoint="http://127.0.0.1:9"), http, threads, Dialect(S3Settings()), name="AWS"
    ).identity
    keys = await identity.credentials()
    assert (keys.access_key, keys.secret_key, await identity.region()) == ("AKID", "hush", "eu-west-3")
    for wrong in ("hu\nsh", '"hush"'):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
        identity = Requests(
            S3Settings(endpoint="http://127.0.0.1:9"), http, threads, Dialect(S3Settings()), name="AWS"
        ).identity
        with pytest.raises(ConfigurationError, match="secret key of the AWS SDK") as raised:
            await identity.credentials()
        assert "hu" not in str(raised.value)
