"""The configuration of the clouds' own SDKs: environment variables and files that name an account.

What the SDKs take for configuration counts as configuration here. Nothing is loaded for it: variables are looked at,
and the AWS configuration files are read as botocore reads them. All functions block for as long as that takes.

Sources: https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
https://cloud.google.com/docs/authentication/application-default-credentials
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping
from configparser import Error as ParserError
from configparser import RawConfigParser
from dataclasses import replace
from pathlib import Path
from typing import Any

from dxflow_async.config.azure_environment import AZURE_ACCOUNT_VARIABLES, azure_account
from dxflow_async.config.clouds import AzureSettings, GCSSettings, S3Settings
from dxflow_async.exceptions import ConfigurationError

__all__ = ["aws_bundles", "configured_by", "with_sdk_configuration"]

_AWS_VARIABLES = (
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
"""Variables that name an account or a service. A region alone, or a CA bundle, names neither."""

_AWS_KEYS = {
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "endpoint_url",
    "login_session",
    "role_arn",
    "services",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "web_identity_token_file",
}
"""The settings of a profile that name an account or a service."""


def configured_by(settings: Any, environ: Mapping[str, str] = os.environ) -> str | None:
    """Names the SDK configuration that says which account settings are about, where they do not say it themselves.

    Args:
        settings: of a remote.
        environ: the environment.

    Returns:
        The variable, such as `"AWS_PROFILE"`, or the file; None if there is no such configuration.

    Raises:
        ConfigurationError: a configuration file of the SDK is not valid.
    """
    match settings:
        case S3Settings():
            variable = _first(environ, *_AWS_VARIABLES)
            return variable or _default_profile_file(environ)
        case AzureSettings():
            return _first(environ, *AZURE_ACCOUNT_VARIABLES)
        case GCSSettings():
            variable = _first(environ, "STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS")
            return variable or _default_credentials_file(environ)
    return None


def with_sdk_configuration(settings: Any, environ: Mapping[str, str] = os.environ, *, default: bool = False) -> Any:
    """Settings in which the service is named that the SDK's configuration names, where they name none themselves.

    For S3 that is the endpoint and the addressing style, for Azure the account. Credentials of S3 and of Google stay
    the SDK's.

    Args:
        settings: of a remote.
        environ: the environment.
        default: whether it is a remote that is always there, and this machine's settings configure it.

    Raises:
        ConfigurationError: a configuration file of the SDK, or an endpoint in it, is not valid; or the variables
            contradict the settings.
    """
    match settings:
        case S3Settings(endpoint=None):
            return _with_aws_endpoint(settings, environ)
        case AzureSettings():
            return azure_account(settings, environ, default=default)
    return settings


def _first(environ: Mapping[str, str], *variables: str) -> str | None:
    """The first of the variables that is set and not empty."""
    return next((each for each in variables if environ.get(each)), None)


# AWS


def _with_aws_endpoint(settings: S3Settings, environ: Mapping[str, str]) -> S3Settings:
    """In botocore's order: the service's variable, the general one, the profile's `services`, its `endpoint_url`."""
    name = settings.profile or environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"
    config = _read_ini(_config_file(environ))
    profile = _profile(config, name)
    ignored = environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") or profile.get("ignore_configured_endpoint_urls")
    services = _nested(config.get(f"services {profile.get('services')}", {}).get("s3"))
    candidates = [
        (environ.get("AWS_ENDPOINT_URL_S3"), "AWS_ENDPOINT_URL_S3"),
        (environ.get("AWS_ENDPOINT_URL"), "AWS_ENDPOINT_URL"),
        (services.get("endpoint_url"), f"the profile {name}"),
        (profile.get("endpoint_url"), f"the profile {name}"),
    ]
    endpoint, source = next(((url, where) for url, where in candidates if url), (None, ""))
    if str(ignored).lower() == "true":
        endpoint = None
    changed: dict[str, Any] = {}
    if endpoint is not None:
        try:
            endpoint = S3Settings(endpoint=endpoint).endpoint
        except ConfigurationError as error:
            raise ConfigurationError(f"{error} (it is from {source})") from None
        changed["endpoint"] = endpoint
    style = _nested(profile.get("s3")).get("addressing_style")
    if settings.addressing == "auto" and style in ("path", "virtual"):
        changed["addressing"] = style
    return replace(settings, **changed) if changed else settings


def aws_bundles(remotes: Iterable[Any], environ: Mapping[str, str] = os.environ) -> list[tuple[str, Path]]:
    """Returns the certificate bundles that profiles of AWS name as `ca_bundle`, with a text that says where.

    A configuration file that is not valid names none; calls at AWS refuse it.

    Args:
        remotes: settings of remotes. Only those that are S3's count, and whose settings or SDK configuration name an
            account or a service.
        environ: the environment.
    """
    try:
        config = _read_ini(_config_file(environ))
        used = [
            each
            for each in remotes
            if isinstance(each, S3Settings) and (each.configured or configured_by(each, environ))
        ]
    except ConfigurationError:
        return []
    default = environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"
    found = {}
    for name in (each.profile or default for each in used):
        bundle = _profile(config, name).get("ca_bundle")
        if bundle:
            found[bundle] = f"ca_bundle of the profile {name} in {_config_file(environ)}"
    return [(where, _expanded(bundle)) for bundle, where in found.items()]


def _default_profile_file(environ: Mapping[str, str]) -> str | None:
    """The file whose default profile names an account."""
    for path in (_credentials_file(environ), _config_file(environ)):
        if _AWS_KEYS & _profile(_read_ini(path), "default").keys():
            return str(path)
    return None


def _config_file(environ: Mapping[str, str]) -> Path:
    return _expanded(environ.get("AWS_CONFIG_FILE") or "~/.aws/config")


def _credentials_file(environ: Mapping[str, str]) -> Path:
    return _expanded(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")


def _expanded(path: str) -> Path:
    return Path(os.path.expanduser(path))


def _read_ini(path: Path) -> dict[str, dict[str, str]]:
    """The sections of a configuration file; none if it cannot be read.

    Raises:
        ConfigurationError: it is not valid. Its lines are not shown.
    """
    parser = RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(path.read_text("utf-8"))
    except OSError:
        return {}
    except (ParserError, ValueError) as error:
        reason = type(error).__name__
    else:
        return {section: dict(parser.items(section)) for section in parser.sections()}
    raise ConfigurationError(f"{path} is not a valid configuration file of the AWS SDK ({reason})")


def _profile(config: Mapping[str, dict[str, str]], name: str) -> dict[str, str]:
    """A profile: `[default]`, `[profile NAME]` of the configuration file, `[NAME]` of the credentials file."""
    for section, values in config.items():
        try:
            words = shlex.split(section)
        except ValueError:
            continue
        if words in ([name], ["profile", name]):
            return values
    return {}


def _nested(text: str | None) -> dict[str, str]:
    """The settings of a section inside a section, which are indented lines `name = value`."""
    return dict(re.findall(r"^\s*([\w-]+)\s*=\s*(.*?)\s*$", text or "", re.MULTILINE))


# Google


def _default_credentials_file(environ: Mapping[str, str]) -> str | None:
    """The file that `gcloud auth application-default login` writes, if it is there."""
    folder = _expanded(environ.get("CLOUDSDK_CONFIG") or "~/.config/gcloud")
    path = folder / "application_default_credentials.json"
    try:
        return str(path) if path.is_file() else None
    except OSError:
        return None
