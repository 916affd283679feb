"""The programs that race: their command lines and environments, set up as those who know them would.

Over TLS the server also speaks HTTP/2, which costs s5cmd and rclone up to half as much time again, because all requests
share one connection: they are asked to stay with HTTP/1.1.
"""

from __future__ import annotations

import datetime as dt
import os
from importlib.metadata import distribution

from benchmarks.clients import wire
from benchmarks.clients.job import Place, TransferItem
from tests.servers import program
from tests.servers.azurite import npm_install

__all__ = [
    "AZCOPY_VERSION",
    "azcopy",
    "azcopy_environment",
    "curl",
    "rclone",
    "rclone_environment",
    "s5cmd",
    "s5cmd_environment",
]

AZCOPY_VERSION = "10.32.2"


def s5cmd(job: TransferItem, workers: int | None = 64) -> list[str]:
    """Uploads, downloads, syncs, deletions and listings of S3; with None in the program's default settings."""
    options = [_s5cmd_program(), "--endpoint-url", job.place.endpoint]
    options += [] if workers is None else ["--numworkers", str(workers)]
    remote = f"s3://{job.place.bucket}/{job.place.prefix}"
    if job.operation == "list":
        return [*options, "ls", f"{remote}*"]
    options += ["--log", "error"]
    if job.operation == "delete":
        return [*options, "rm", f"{remote}*"]
    parts = [] if workers is None else ["--concurrency", str(max(workers // 8, 16))]
    if job.operation == "sync":
        return [*options, "sync", *parts, f"{job.directory}/", remote]
    ends = (f"{job.directory}/", remote) if job.operation == "upload" else (f"{remote}*", f"{job.directory}/")
    return [*options, "cp", *parts, *ends]


def _s5cmd_program() -> str:
    """The program itself: the command on `PATH` is Python around it."""
    files = distribution("s5cmd").files or []
    return str(next(file for file in files if file.parts == ("s5cmd", "bin", "s5cmd")).locate())


def s5cmd_environment(job: TransferItem) -> dict[str, str]:
    """Its credentials."""
    trust = {} if job.place.ca_bundle is None else {"AWS_CA_BUNDLE": job.place.ca_bundle}
    return {
        "AWS_ACCESS_KEY_ID": job.place.access_key,
        "AWS_SECRET_ACCESS_KEY": job.place.secret_key,
        "AWS_REGION": job.place.region,
        "GODEBUG": "http2client=0",
        **trust,
    }


_RCLONE_COPY = (
    *("--ignore-checksum", "--stats=0", "--use-mmap", "--buffer-size=0"),
    *(
        "--s3-list-version=2",
        "--s3-disable-http2",
        "--s3-no-check-bucket",
        "--s3-no-head",
        "--s3-no-head-object",
        "--s3-disable-checksum",
    ),
    # Else it wants the storage class of the source, which means nothing at another provider.
    "--s3-storage-class=STANDARD",
    "--azureblob-no-check-container",
    *("--gcs-no-check-bucket", "--gcs-bucket-policy-only"),
)
_RCLONE_PARTS = (
    *("--multi-thread-cutoff=16M", "--multi-thread-chunk-size=8M", "--s3-chunk-size=8M", "--s3-upload-cutoff=8M"),
    "--azureblob-chunk-size=8M",
)
_NOTHING_THERE = ("--no-check-dest", "--no-traverse")
_RCLONE_REMOTES = {"AWS": "s3", "AZURE": "azureblob", "GCP": "gcs"}


def _rclone_concurrency(transfers: int | None) -> list[str]:
    if transfers is None:
        return []
    parts = max(transfers // 4, 8)
    streams = (f"--multi-thread-streams={parts}", f"--s3-upload-concurrency={parts}")
    files = (f"--transfers={transfers}", f"--checkers={transfers}")
    return [*files, *streams, f"--azureblob-upload-concurrency={parts}", *_RCLONE_PARTS]


def rclone(job: TransferItem, transfers: int | None = 32) -> list[str]:
    """Everything, at every provider; with None in the program's default settings for what runs at a time."""
    options = [*_rclone_concurrency(transfers), *_RCLONE_COPY]
    remote = _rclone_remote(job.place)
    trust = [] if job.place.ca_bundle is None else ["--ca-cert", job.place.ca_bundle]
    command = [program("rclone"), *trust]
    if job.operation == "list":
        return [*command, "lsf", "--recursive", "--files-only", "--fast-list", "--s3-disable-http2", remote]
    if job.operation == "delete":
        return [*command, "delete", "--fast-list", *options, remote]
    if job.operation == "sync":
        # Comparing MD5s, which the listing tells, spares it a request for each object's time.
        return [*command, "sync", "--checksum", "--fast-list", *options, job.directory, remote]
    # An upload in many threads whose result is not asked for (--s3-no-head) has no size to compare.
    if job.operation == "copy":
        assert job.target is not None
        ends = ["--ignore-size", remote, _rclone_remote(job.target)]
        return [*command, "copy", *_NOTHING_THERE, "--fast-list", *options, *ends]
    ends = ["--ignore-size", job.directory, remote] if job.operation == "upload" else [remote, job.directory]
    return [*command, "copy", *_NOTHING_THERE, "--fast-list", *options, *ends]


def _rclone_remote(place: Place) -> str:
    return f":{_RCLONE_REMOTES[place.provider]}:{place.bucket}/{place.prefix}"


def rclone_environment(job: TransferItem) -> dict[str, str]:
    """The remotes of its places."""
    environment = {"RCLONE_CONFIG": os.devnull}
    for place in job.places:
        if place.provider == "AWS":
            environment |= {
                "RCLONE_S3_PROVIDER": "SeaweedFS",
                "RCLONE_S3_ENDPOINT": place.endpoint,
                "RCLONE_S3_REGION": place.region,
                "RCLONE_S3_ACCESS_KEY_ID": place.access_key,
                "RCLONE_S3_SECRET_ACCESS_KEY": place.secret_key,
            }
        elif place.provider == "AZURE":
            environment |= {
                "RCLONE_AZUREBLOB_ENDPOINT": place.endpoint,
                "RCLONE_AZUREBLOB_ACCOUNT": place.access_key,
                "RCLONE_AZUREBLOB_KEY": place.secret_key,
            }
        elif place.provider == "GCP":
            environment |= {"RCLONE_GCS_ENDPOINT": f"{place.endpoint}/storage/v1/", "RCLONE_GCS_ANONYMOUS": "true"}
    return environment


def azcopy(job: TransferItem) -> list[str]:
    """Uploads and downloads of Azure. It needs the system's library libsecret (Debian: libsecret-1-0)."""
    packages = npm_install("@azure-tools/azcopy-linux", AZCOPY_VERSION)
    path = packages / "@azure-tools" / "azcopy-linux" / "dist" / "bin" / "azcopy_linux_amd64"
    path.chmod(0o755)
    remote = f"{job.place.endpoint}/{job.place.bucket}/{job.place.prefix}"
    signature = _shared_access_signature(job.place)
    options = ["--recursive", "--block-size-mb=8", "--log-level=NONE", "--skip-version-check"]
    if job.operation == "upload":
        ends = [f"{job.directory}/*", f"{remote}?{signature}", "--from-to=LocalBlob"]
    else:
        ends = [f"{remote}*?{signature}", job.directory, "--from-to=BlobLocal", "--check-md5=NoCheck"]
    return [str(path), "copy", *ends, *options]


def azcopy_environment(job: TransferItem) -> dict[str, str]:
    """Where it keeps its journal: beside the files, on the same file system."""
    place = f"{job.directory}.azcopy"
    return {
        "AZCOPY_LOG_LOCATION": place,
        "AZCOPY_JOB_PLAN_LOCATION": place,
        "AZCOPY_DISABLE_SYSLOG": "true",
        "AZCOPY_CONCURRENCY_VALUE": "32",
    }


def _shared_access_signature(place: Place) -> str:
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    return generate_account_sas(
        place.access_key,
        place.secret_key,
        resource_types=ResourceTypes(service=True, container=True, object=True),
        permission=AccountSasPermissions(read=True, write=True, list=True, create=True, add=True),
        expiry=dt.datetime.now(dt.UTC) + dt.timedelta(days=1),
    )


def curl(job: TransferItem) -> list[str]:
    """One file to or from a unit, in one request; the upload it sends to is made beforehand."""
    options = ["--silent", "--show-error", "--fail", "--header", f"X-SECRET-KEY: {job.place.secret_key}"]
    command = [program("curl"), *options]
    with wire.connect(job.place) as session:
        if job.operation == "download":
            (name,) = wire.names(session, job.place)
            key = job.place.prefix + name
            return [*command, "--output", str(job.path_of(key)), wire.download_url(job.place, key)]
        ((path, key, size),) = job.files()
        url = wire.create(session, job.place, key, size)
    headers = ["Tus-Resumable: 1.0.0", "Upload-Offset: 0", "Content-Type: application/offset+octet-stream", "Expect:"]
    given = [part for header in headers for part in ("--header", header)]
    return [*command, *given, "--request", "PATCH", "--upload-file", str(path), url]
