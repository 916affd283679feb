"""The settings of S3, Azure Blob Storage and Google Cloud Storage: how to reach the service, and who asks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from dxflow_async.config.azure_endpoint import read_endpoint
from dxflow_async.config.credentials import (
    AccessKeys,
    BearerToken,
    CredentialsFunction,
    SASToken,
    check_credentials,
)
from dxflow_async.config.validation import (
    check_anonymous,
    check_areas,
    check_endpoint,
    check_file,
    check_stored,
    check_texts,
    hide,
    normalize_endpoint,
    not_allowed,
    to_path,
)
from dxflow_async.exceptions import ConfigurationError

__all__ = ["AWSSettings", "AzureSettings", "CloudSettings", "GCPSettings", "GCSSettings", "S3Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How to reach Amazon S3, or another service that speaks its protocol.

    Attributes:
        endpoint: the service's URL, `http(s)://host[:port][/path]`. None: the SDK's configuration, else Amazon's own.
        region: the region. None: that of the profile or the environment, else `us-east-1`.
        profile: a profile of the SDK's configuration files.
        access_key: the access key's id. None: the SDK's credential chain.
        secret_key: the secret access key; goes together with `access_key`.
        session_token: the token of temporary credentials.
        credentials: an async function that returns `AccessKeys`, instead of the four settings above. It is called
            again before the keys end, once for all tasks. Only code can set it.
        addressing: `"path"`, `"virtual"`, or `"auto"`: path style for every endpoint but Amazon's.
        sign_payload: whether to sign a SHA-256 of each body. Bodies carry a CRC32C in either case. A service that
            refuses unsigned bodies gets signed ones without this setting, too.
        max_parts: the most parts of an upload, 1 to 10000. None: what the service is known to allow, else 10000.
        uniform_parts: whether all parts of an upload but the last must have the same size. It is known of Cloudflare
            R2, and learned from other services' errors.
        requester_pays: whether requests, presigned URLs among them, agree to be charged for, as buckets demand it whose
            owner makes the requester pay. It costs money at such buckets only.
        request_checksum_calculation: `"when_supported"` or `"when_required"`: bodies carry a CRC32C, or no checksum
            but the `Content-MD5`. None: `AWS_REQUEST_CHECKSUM_CALCULATION`, the profile, else `"when_supported"`.
        response_checksum_validation: `"when_supported"` or `"when_required"`: reads ask for the object's checksum and
            compare it, or do not. None: `AWS_RESPONSE_CHECKSUM_VALIDATION`, the profile, else `"when_supported"`.
        storage_class: of new objects, such as `STANDARD_IA`. None: the service's default.
        encryption: of new objects: `"AES256"` (SSE-S3) or `"aws:kms"` (SSE-KMS). None: as the bucket says.
        kms_key: the ARN, ID or alias of the KMS key, for `"aws:kms"`. None: the account's default key.
        customer_key: 32 bytes in base64 with which the service encrypts and decrypts every object (SSE-C). It does not
            keep the key.
        anonymous: whether requests are not signed, as for public buckets.
        private: `bucket/prefix` of the account's private area. None: a path's first segment is the bucket.
        public: `bucket/prefix` of the account's public area.

    Raises:
        ConfigurationError: a value is not valid; the message names the setting and what is allowed.

    Example:
        >>> S3Settings(endpoint="https://minio.example.org", access_key="me", secret_key="hush").endpoint
        'https://minio.example.org'
    """

    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    credentials: CredentialsFunction[AccessKeys] | None = field(default=None, repr=False)
    addressing: str = "auto"
    sign_payload: bool = False
    max_parts: int | None = None
    uniform_parts: bool = False
    requester_pays: bool = False
    request_checksum_calculation: str | None = None
    response_checksum_validation: str | None = None
    storage_class: str | None = None
    encryption: str | None = None
    kms_key: str | None = None
    customer_key: str | None = field(default=None, repr=False)
    anonymous: bool = False
    private: str | None = None
    public: str | None = None

    def __post_init__(self) -> None:
        check_texts("AWS", self, "endpoint", "access_key", "secret_key", "session_token")
        hide(self, "secret_key", "session_token", "customer_key")
        check_stored("AWS", self, "storage_class", "kms_key")
        if self.encryption not in (None, "AES256", "aws:kms"):
            raise ConfigurationError(not_allowed("AWS.encryption", self.encryption, "AES256 or aws:kms"))
        if self.kms_key is not None and self.encryption != "aws:kms":
            raise ConfigurationError("AWS.kms_key needs AWS.encryption = aws:kms: set both")
        if self.customer_key is not None and self.encryption is not None:
            raise ConfigurationError("AWS.customer_key and AWS.encryption exclude each other: set one of them")
        check_anonymous("AWS", self, "access_key", "profile", "credentials")
        check_endpoint("AWS", self.endpoint, path=True)
        normalize_endpoint(self)
        check_credentials("AWS", self, "AccessKeys", "profile", "access_key", "secret_key", "session_token")
        if self.region is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", self.region):
            raise ConfigurationError(not_allowed("AWS.region", self.region, "a name such as eu-central-1"))
        if self.addressing not in ("auto", "path", "virtual"):
            raise ConfigurationError(not_allowed("AWS.addressing", self.addressing, "auto, path or virtual"))
        for name in ("request_checksum_calculation", "response_checksum_validation"):
            if getattr(self, name) not in (None, "when_supported", "when_required"):
                value, allowed = getattr(self, name), "when_supported or when_required"
                raise ConfigurationError(not_allowed(f"AWS.{name}", value, allowed))
        if self.max_parts is not None and not 1 <= self.max_parts <= 10_000:
            raise ConfigurationError(not_allowed("AWS.max_parts", self.max_parts, "1 to 10000"))
        if (self.access_key is None) != (self.secret_key is None):
            raise ConfigurationError("AWS.access_key and AWS.secret_key go together: set both or neither")
        check_areas("AWS", [("private", self.private), ("public", self.public)])

    @property
    def configured(self) -> bool:
        """Whether a setting says that the real service is meant."""
        return self != type(self)()


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureSettings:
    """How to reach Azure Blob Storage. The first of the credentials that is set is used.

    Attributes:
        endpoint: the blob service's URL; it may have a shared access signature. The names of the same account for the
            Data Lake service and for private links stand for the blob service. None: the endpoint of `account`.
        account: the storage account's name.
        connection_string: as the portal shows it; it also names the endpoint and the account.
        account_key: the account's key, in base64.
        sas_token: a shared access signature. Without any of these, azure-identity's chain is used where it is
            installed.
        credentials: an async function that returns a `BearerToken` or a `SASToken`, instead of the three settings
            above. It is called again before the token ends, once for all tasks. Only code can set it.
        checksum: which checksum the service verifies: `"crc64"`, `"md5"`, or `"auto"`: CRC64, and MD5 where that is
            refused and at emulators, which have the account in their URLs' paths and are slow with CRC64.
        storage_class: the access tier of new objects: `Hot`, `Cool`, `Cold` or `Archive`. None: the account's.
        encryption_scope: the name of the encryption scope of new objects. None: the container's.
        customer_key: 32 bytes in base64 with which the service encrypts and decrypts every object. It does not keep
            the key, and needs `https://`.
        anonymous: whether requests carry no credentials, as for public containers.
        private: `container/prefix` of the account's private area. None: a path's first segment is the container.
        public: `container/prefix` of the account's public area.

    Raises:
        ConfigurationError: a value is not valid; the message names the setting and what is allowed.
    """

    endpoint: str | None = None
    account: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    credentials: CredentialsFunction[BearerToken | SASToken] | None = field(default=None, repr=False)
    checksum: str = "auto"
    storage_class: str | None = None
    encryption_scope: str | None = None
    customer_key: str | None = field(default=None, repr=False)
    anonymous: bool = False
    private: str | None = None
    public: str | None = None

    def __post_init__(self) -> None:
        check_texts("AZURE", self, "endpoint", "connection_string", "account_key", "sas_token")
        hide(self, "connection_string", "account_key", "sas_token", "customer_key")
        check_stored("AZURE", self, "storage_class", "encryption_scope")
        if self.customer_key is not None and self.encryption_scope is not None:
            raise ConfigurationError(
                "AZURE.customer_key and AZURE.encryption_scope exclude each other: set one of them"
            )
        check_anonymous("AZURE", self, "connection_string", "account_key", "sas_token", "credentials")
        self._read_endpoint()
        check_endpoint("AZURE", self.endpoint, path=True)
        normalize_endpoint(self)
        others = "connection_string", "account_key", "sas_token"
        check_credentials("AZURE", self, "a BearerToken or a SASToken", *others)
        if self.account is not None and not re.fullmatch(r"[a-z0-9]{3,24}", self.account):
            raise ConfigurationError(not_allowed("AZURE.account", self.account, "3 to 24 small letters and digits"))
        if self.checksum not in ("auto", "crc64", "md5"):
            raise ConfigurationError(not_allowed("AZURE.checksum", self.checksum, "auto, crc64 or md5"))
        if self.account_key is not None and self.account is None:
            raise ConfigurationError("AZURE.account_key needs AZURE.account: set both")
        check_areas("AZURE", [("private", self.private), ("public", self.public)])

    def _read_endpoint(self) -> None:
        """Takes the blob service's URL, the account and a shared access signature from the endpoint."""
        if self.endpoint is None or "@" in self.endpoint:
            return
        normalize_endpoint(self)
        found = read_endpoint(self.endpoint)
        object.__setattr__(self, "endpoint", found.url)
        if self.account is None and self.account_key is not None:
            object.__setattr__(self, "account", found.account)
        if found.sas is not None:
            if self.sas_token is not None and self.sas_token.removeprefix("?") != found.sas:
                raise ConfigurationError("AZURE.endpoint and AZURE.sas_token have different signatures; leave one out")
            object.__setattr__(self, "sas_token", found.sas)

    @property
    def configured(self) -> bool:
        """Whether a setting says that the real service is meant."""
        return self != type(self)()


@dataclass(frozen=True, slots=True, kw_only=True)
class GCSSettings:
    """How to reach Google Cloud Storage.

    Attributes:
        endpoint: the service's URL. None: `STORAGE_EMULATOR_HOST` of the environment, else the service of
            `GOOGLE_CLOUD_UNIVERSE_DOMAIN`, else Google's own.
        project: the project whose buckets are listed. None: the credentials' project.
        user_project: the project that pays for requests to buckets whose requester pays. Every request names it, and
            the credentials need `serviceusage.services.use` in it. None: no request does.
        service_file: a service account's JSON file. None: application default credentials, metadata server included.
        credentials: an async function that returns a `BearerToken`, instead of `service_file`. It is called again
            before the token ends, once for all tasks. Only code can set it.
        storage_class: of new objects, such as `NEARLINE`. None: the bucket's.
        kms_key: the Cloud KMS key of new objects, `projects/P/locations/L/keyRings/R/cryptoKeys/K`. None: the bucket's.
        customer_key: 32 bytes in base64 with which the service encrypts and decrypts every object (CSEK). It does not
            keep the key.
        anonymous: whether requests carry no token, as for public buckets.
        private: `bucket/prefix` of the account's private area. None: a path's first segment is the bucket.
        public: `bucket/prefix` of the account's public area.

    Raises:
        ConfigurationError: a value is not valid; the message names the setting and what is allowed.
    """

    endpoint: str | None = None
    project: str | None = None
    user_project: str | None = None
    service_file: Path | None = None
    credentials: CredentialsFunction[BearerToken] | None = field(default=None, repr=False)
    storage_class: str | None = None
    kms_key: str | None = None
    customer_key: str | None = field(default=None, repr=False)
    anonymous: bool = False
    private: str | None = None
    public: str | None = None

    def __post_init__(self) -> None:
        check_texts("GCP", self, "endpoint")
        if self.endpoint is not None:
            object.__setattr__(self, "endpoint", re.sub(r"/storage/v1/?$", "", self.endpoint))  # of the JSON API
        check_endpoint("GCP", self.endpoint, path=False)
        normalize_endpoint(self)
        if self.user_project is not None and not re.fullmatch(r"[A-Za-z0-9:._-]{1,100}", self.user_project):
            raise ConfigurationError(
                not_allowed("GCP.user_project", self.user_project, "a project's ID, such as lab-7")
            )
        to_path(self, "service_file")
        hide(self, "customer_key")
        check_stored("GCP", self, "storage_class", "kms_key")
        if self.customer_key is not None and self.kms_key is not None:
            raise ConfigurationError("GCP.customer_key and GCP.kms_key exclude each other: set one of them")
        check_anonymous("GCP", self, "service_file", "credentials")
        check_credentials("GCP", self, "a BearerToken", "service_file")
        check_file("GCP.service_file", self, "a readable JSON file")
        check_areas("GCP", [("private", self.private), ("public", self.public)])

    @property
    def configured(self) -> bool:
        """Whether a setting says that the real service is meant."""
        return self != type(self)()


# The older names of the same classes.
AWSSettings = S3Settings
GCPSettings = GCSSettings

CloudSettings = S3Settings | AzureSettings | GCSSettings
