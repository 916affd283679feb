"""What every S3 server has in common: where it is, and buckets."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.servers.process import Process

__all__ = ["S3Server"]


class S3Server:
    """A running S3 server; ends with `stop()` or its `with` block.

    Attributes:
        endpoint: its URL.
        access_key, secret_key, region: what to sign with.
        ca_bundle: a PEM file to verify an https endpoint with; None for http.
        pid: the server's process id.
    """

    def __init__(
        self,
        process: Process,
        endpoint: str,
        *,
        access_key: str,
        secret_key: str,
        ca_bundle: Path | None = None,
        region: str = "us-east-1",
    ) -> None:
        self.endpoint = endpoint
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region
        self.ca_bundle = ca_bundle
        self.pid = process.pid
        self._process = process
        self._client: Any = None

    @property
    def client(self) -> Any:
        """A blocking SDK client, to prepare and to look behind the back of what is tested."""
        if self._client is None:
            self._client = self.new_client()
        return self._client

    def new_client(self, *, secret_key: str | None = None) -> Any:
        """A blocking SDK client of the caller's own, who closes it."""
        from botocore.config import Config
        from botocore.session import Session

        options = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return Session().create_client(
            "s3",
            self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            verify=None if self.ca_bundle is None else str(self.ca_bundle),
            config=options,
        )

    def create_bucket(self, name: str) -> str:
        """Make a bucket and return its name."""
        self.client.create_bucket(Bucket=name)
        return name

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket; SeaweedFS also removes what is in it."""
        self.client.delete_bucket(Bucket=name)

    def answers(self, path: str) -> bool:
        """Whether an unsigned GET of `path` gives 200."""
        url = urlsplit(self.endpoint)
        host, port = str(url.hostname), int(url.port or 0)
        connection = http.client.HTTPConnection(host, port, timeout=5)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca_bundle)
            connection = http.client.HTTPSConnection(host, port, timeout=5, context=context)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """End the server at once; nothing listens on its ports afterwards."""
        if self._client is not None:
            self._client.close()
            self._client = None
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
