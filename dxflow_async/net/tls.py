"""TLS: which servers are trusted, and the certificate that proves this client to them.

A server is trusted where an authority of this list has signed its certificate:

1. The system's authorities. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others in their place, as for every program that
   uses OpenSSL.
2. In addition, the `ca_bundle` setting. Where it is unset, every bundle that `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` and
   `CURL_CA_BUNDLE` name, so that each service is trusted that its own SDK trusts: one session speaks to all of them.
   `AWS_CA_BUNDLE` goes before the bundle of a profile of AWS, as in its SDK.

A bundle is a PEM file, or a directory of PEM files. One that is missing or broken is an error that names the setting or
the variable. Certificates are always verified.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.security.redaction import holds_key

__all__ = ["TLS_VERSIONS", "TLSOptions", "make_context"]

TLS_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
"""The versions that may be the lowest, as the setting writes them."""

_BUNDLE_VARIABLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")
_PEM_SUFFIXES = {".pem", ".crt", ".cer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TLSOptions:
    """The TLS settings of a session.

    Attributes:
        ca_bundle: authorities to trust besides the system's: a PEM file, or a directory of PEM files.
        client_certificate: a PEM file with the certificate that is shown to servers, and its chain.
        client_key: a PEM file with its private key, unencrypted; None: the key is in `client_certificate`.
        minimum_version: the lowest version of TLS that is spoken: `"1.2"` or `"1.3"`.
        find_bundles: returns the bundles that configuration files name, by the files, where neither `ca_bundle` nor
            `AWS_CA_BUNDLE` is set. It is called in a worker thread.
    """

    ca_bundle: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None
    minimum_version: str = "1.2"
    find_bundles: Callable[[], Sequence[tuple[str, Path]]] | None = None


def make_context(options: TLSOptions, environ: Mapping[str, str] = os.environ) -> ssl.SSLContext:
    """Returns a client's TLS context. It reads files: call it in a worker thread.

    Args:
        options: the settings.
        environ: the variables that name bundles. OpenSSL itself reads `SSL_CERT_FILE` and `SSL_CERT_DIR` from the
            environment of the process.

    Raises:
        ConfigurationError: a bundle, the client's certificate or its key cannot be used; the message names the
            setting or the variable.
    """
    for variable in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        _check_system_bundle(variable, environ.get(variable, ""))
    context = ssl.create_default_context()
    context.minimum_version = TLS_VERSIONS[options.minimum_version]
    context.set_alpn_protocols(["http/1.1"])
    for name, bundle in _bundles(options, environ):
        _load_bundle(context, name, bundle)
    if options.client_certificate is not None:
        _load_client_certificate(context, options.client_certificate, options.client_key)
    return context


def _bundles(options: TLSOptions, environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """The bundles besides the system's, by the setting, the variable or the file that names them."""
    if options.ca_bundle is not None:
        return [("ca_bundle", options.ca_bundle)]
    found = [(name, Path(environ[name])) for name in _BUNDLE_VARIABLES if environ.get(name)]
    if options.find_bundles is not None and not environ.get("AWS_CA_BUNDLE"):
        found += options.find_bundles()
    return found


def _check_system_bundle(variable: str, value: str) -> None:
    """OpenSSL ignores a file that is not there, and would trust nobody."""
    if not value:
        return
    if variable == "SSL_CERT_FILE":
        _load_bundle(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), variable, Path(value), directory=False)
    elif not any(_is(Path(each), Path.is_dir) for each in value.split(os.pathsep)):
        raise _refused(variable, value, "there is no such directory")


def _load_bundle(context: ssl.SSLContext, name: str, bundle: Path, *, directory: bool = True) -> None:
    files = [bundle]
    if directory and _is(bundle, Path.is_dir):
        try:
            files = sorted(bundle.iterdir())
        except OSError as error:
            raise _refused(name, bundle, f"the directory cannot be read ({error.strerror})") from error
        if any(_HASHED.fullmatch(each.name) for each in files):
            context.load_verify_locations(capath=bundle)  # OpenSSL looks up what it needs
            return
        files = [each for each in files if each.suffix in _PEM_SUFFIXES and _is(each, Path.is_file)]
        if not files:
            raise _refused(name, bundle, "the directory has no PEM file (*.pem, *.crt, *.cer) in it")
    for file in files:
        if not _is(file, Path.is_file):
            raise _refused(name, bundle, "there is no such file or directory")
        try:
            context.load_verify_locations(cafile=file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            what = "it" if file == bundle else f"its file {file.name!r}"
            raise _refused(name, bundle, f"{what} is not a PEM file of certificates ({_reason(error)})") from error


def _load_client_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    key_name = "client_key" if key is not None else "client_certificate"
    key_file = certificate if key is None else key
    encrypted = False

    def refuse_password() -> str:
        nonlocal encrypted
        encrypted = True  # without this function OpenSSL would ask at the terminal
        return ""

    _check_pem("client_certificate", certificate, b"-----BEGIN CERTIFICATE-----", "certificate")
    _check_pem(key_name, key_file, b"PRIVATE KEY-----", "private key")
    try:
        context.load_cert_chain(certificate, key, password=refuse_password)
    except (OSError, ValueError) as error:
        if encrypted:
            reason = "the private key is encrypted, which is not supported; write it without a passphrase"
            raise _refused(key_name, key_file, f"{reason} (openssl pkey -in KEY -out PLAIN_KEY)") from error
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            reason = f"the private key does not belong to client_certificate = {str(certificate)!r}"
            raise _refused(key_name, key_file, reason) from error
        reason = f"certificate or private key cannot be read ({_reason(error)})"
        raise _refused("client_certificate", certificate, reason) from error


def _check_pem(name: str, file: Path, mark: bytes, content: str) -> None:
    try:
        found = _is(file, Path.is_file) and file.read_bytes()
    except OSError as error:
        raise _refused(name, file, f"it cannot be read ({error.strerror})") from error
    if found is False:
        raise _refused(name, file, "there is no such file")
    if mark not in found:
        raise _refused(name, file, f"it has no {content} in PEM format in it")


def _is(path: Path, test: object) -> bool:
    try:
        return bool(test(path))  # type: ignore[operator]
    except (OSError, ValueError):  # such as a name that is too long
        return False


def _reason(error: Exception) -> str:
    reason = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    return str(reason or error).replace("_", " ").lower()


def _refused(name: str, path: Path | str, reason: str) -> ConfigurationError:
    shown = "" if holds_key(str(path)) else f" = {str(path)!r}"
    return ConfigurationError(f"{name}{shown} is not allowed: {reason}")
