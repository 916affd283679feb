"""Which servers are trusted, and how this client proves who it is."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import pytest

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.net.tls import TLSOptions, make_context
from tests.servers.certificate import make_certificate

Shake = Callable[[ssl.SSLContext], str]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A certificate, its key, and the authority that signed it."""
    return make_certificate(tmp_path)


@pytest.fixture
def shake(files: tuple[Path, Path, Path]) -> Iterator[Shake]:
    """Shakes hands with a server of that authority, and returns the version of TLS, or why it was not trusted."""
    with TLSServer(files) as server:
        yield server.shake


class TLSServer:
    """A server that shakes hands; it knows who showed a certificate."""

    def __init__(
        self, files: tuple[Path, Path, Path], *, asks: bool = False, highest: ssl.TLSVersion | None = None
    ) -> None:
        self.shown: list[bool] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files[0], files[1])
        if highest is not None:
            self._context.maximum_version = highest
        if asks:
            self._context.load_verify_locations(files[2])
            self._context.verify_mode = ssl.CERT_REQUIRED

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def shake(self, client: ssl.SSLContext) -> str:
        """The version of TLS, or why there is none."""
        try:
            with (
                socket.create_connection(self._listening.getsockname(), timeout=10) as plain,
                client.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
            ):
                encrypted.recv(1)
                return encrypted.version() or ""
        except ssl.SSLError as error:
            return error.reason

    def _serve(self) -> None:
        while True:
            try:
                connected, _ = self._listening.accept()
            except OSError:
                return
            try:
                with connected, self._context.wrap_socket(connected, server_side=True) as encrypted:
                    self.shown.append(encrypted.getpeercert() is not None)
                    encrypted.send(b".")
            except OSError:
                continue


def context(environ: Mapping[str, str] | None = None, **options: Any) -> ssl.SSLContext:
    """A context of settings and variables."""
    return make_context(TLSOptions(**options), environ or {})


UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"


def test_only_known_authorities_are_trusted(shake: Shake, files: tuple[Path, Path, Path]) -> None:
    """A private authority is trusted where the setting names it, and the system's stay trusted beside it."""
    assert shake(context()) == UNTRUSTED
    trusting = context(ca_bundle=files[2])
    assert shake(trusting) == "TLSv1.3"
    system = {cert["serialNumber"] for cert in context().get_ca_certs()}
    assert system < {cert["serialNumber"] for cert in trusting.get_ca_certs()}


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_variables_of_other_tools_name_bundles(shake: Shake, files: tuple[Path, Path, Path], variable: str) -> None:
    """Where the setting is silent, the bundles of the SDKs' variables are trusted; an empty variable is none."""
    assert shake(context({variable: str(files[2])})) == "TLSv1.3"
    assert shake(context({variable: ""})) == UNTRUSTED


def test_each_variable_adds_its_authorities(shake: Shake, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Two variables with different authorities are both trusted."""
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other", "Another authority")
    trusting = context({"AWS_CA_BUNDLE": str(files[2]), "REQUESTS_CA_BUNDLE": str(other[2])})
    with TLSServer(other) as server:
        assert (shake(trusting), server.shake(trusting)) == ("TLSv1.3", "TLSv1.3")


def test_bundles_of_configuration_files_come_last(shake: Shake, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """A file's bundle is trusted, beside the general variables; AWS_CA_BUNDLE and the setting stand in its place."""
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")[2]

    def find() -> list[tuple[str, Path]]:
        return [("ca_bundle of the profile lab", files[2])]

    assert shake(context(find_bundles=find)) == "TLSv1.3"
    assert shake(context({"REQUESTS_CA_BUNDLE": str(other)}, find_bundles=find)) == "TLSv1.3"
    assert shake(context({"AWS_CA_BUNDLE": str(other)}, find_bundles=find)) == UNTRUSTED
    assert shake(context(ca_bundle=other, find_bundles=find)) == UNTRUSTED
    with pytest.raises(ConfigurationError, match=r"^ca_bundle of the profile lab = ./none\.pem. is not allowed"):
        context(find_bundles=lambda: [("ca_bundle of the profile lab", Path("/none.pem"))])


def test_the_setting_wins_over_variables(shake: Shake, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """With `ca_bundle` set, the variables are not read: neither trusted nor found missing."""
    (tmp_path / "other").mkdir()
    other = make_certificate(tmp_path / "other")
    assert shake(context({"AWS_CA_BUNDLE": "/none.pem"}, ca_bundle=files[2])) == "TLSv1.3"
    assert shake(context({"AWS_CA_BUNDLE": str(files[2])}, ca_bundle=other[2])) == UNTRUSTED


def test_openssl_variables_replace_the_system(
    shake: Shake, files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`SSL_CERT_FILE` and `SSL_CERT_DIR` name the authorities that stand for the system's."""
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(empty))
    monkeypatch.setenv("SSL_CERT_FILE", str(files[2]))
    trusting = context({"SSL_CERT_DIR": str(empty), "SSL_CERT_FILE": str(files[2])})
    assert shake(trusting) == "TLSv1.3"
    assert len(trusting.get_ca_certs()) == 1


@pytest.mark.parametrize("hashed", [False, True])
def test_a_bundle_may_be_a_directory(
    shake: Shake, files: tuple[Path, Path, Path], tmp_path: Path, *, hashed: bool
) -> None:
    """A directory of PEM files is a bundle, prepared by `openssl rehash` or not; other files in it do no harm."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "README").write_text("no certificate")
    name = "mine.crt"
    if hashed:
        command = ["openssl", "x509", "-subject_hash", "-noout", "-in", str(files[2])]
        name = f"{subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()}.0"
    (bundle / name).write_bytes(files[2].read_bytes())
    assert shake(context(ca_bundle=bundle)) == "TLSv1.3"
    assert shake(context({"AWS_CA_BUNDLE": str(bundle)})) == "TLSv1.3"


@pytest.mark.parametrize(
    "name", ["ca_bundle", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
)
@pytest.mark.parametrize("kind", ["missing", "empty", "text", "key", "cut", "directory", "directory of text", "fifo"])
def test_a_broken_bundle_is_named(files: tuple[Path, Path, Path], tmp_path: Path, name: str, kind: str) -> None:
    """A bundle that is missing or holds no certificate is an error that begins with the setting or variable."""
    bundle = tmp_path / "bundle.pem"
    match kind:
        case "empty":
            bundle.touch()
        case "text":
            bundle.write_text("this is no PEM file\n")
        case "key":
            bundle.write_bytes(files[1].read_bytes())
        case "cut":
            bundle.write_bytes(files[2].read_bytes()[:200])
        case "directory" | "directory of text":
            bundle.mkdir()
            if kind != "directory":
                (bundle / "a.pem").write_text("this is no PEM file\n")
        case "fifo":
            os.mkfifo(bundle)
    options = {"ca_bundle": bundle} if name == "ca_bundle" else {}
    with pytest.raises(ConfigurationError) as raised:
        context({name: str(bundle)}, **options)
    assert str(raised.value).startswith(f"{name} = {str(bundle)!r} is not allowed: ")


def test_a_missing_directory_of_authorities_is_named(tmp_path: Path) -> None:
    """`SSL_CERT_DIR` may list several directories, of which one must exist."""
    context({"SSL_CERT_DIR": f"/none:{tmp_path}"})
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_DIR = '/none:/never' is not allowed"):
        context({"SSL_CERT_DIR": "/none:/never"})


def test_a_key_in_the_place_of_a_path_is_not_shown(files: tuple[Path, Path, Path]) -> None:
    """A variable that holds a key instead of a path is not shown in the error."""
    with pytest.raises(ConfigurationError, match=r"^AWS_CA_BUNDLE is not allowed"):
        context({"AWS_CA_BUNDLE": files[1].read_text()})


@pytest.mark.parametrize("together", [False, True])
def test_a_client_certificate_is_shown(files: tuple[Path, Path, Path], tmp_path: Path, *, together: bool) -> None:
    """A server that asks gets the certificate; its key is in a file of its own or in the same one."""
    certificate, key, authority = files
    options: dict[str, Any] = {"client_certificate": certificate, "client_key": key}
    if together:
        both = tmp_path / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        options = {"client_certificate": both}
    with TLSServer(files, asks=True) as server:
        assert server.shake(context(ca_bundle=authority)) != "TLSv1.3"
        assert server.shake(context(ca_bundle=authority, **options)) == "TLSv1.3"
    assert server.shown == [True]


def test_a_broken_client_certificate_is_named(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Each way in which certificate and key can be wrong is an error that names the setting and its file."""
    certificate, key, _ = files
    (tmp_path / "other").mkdir()
    other_key = make_certificate(tmp_path / "other")[1]
    encrypted, text, broken = tmp_path / "encrypted.pem", tmp_path / "text.pem", tmp_path / "broken.pem"
    command = ["openssl", "pkey", "-aes256", "-passout", "pass:word", "-in", str(key), "-out", str(encrypted)]
    subprocess.run(command, check=True)
    text.write_text("no PEM")
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    cases: list[tuple[Path, Path | None, str]] = [
        (Path("/none.pem"), None, r"^client_certificate = '/none.pem' is not allowed: there is no such file"),
        (certificate, Path("/none.pem"), r"^client_key = '/none.pem' is not allowed: there is no such file"),
        (certificate, None, r"^client_certificate = .* is not allowed: .* no private key"),
        (text, key, r"^client_certificate = .*text.pem' is not allowed: .* no certificate"),
        (certificate, text, r"^client_key = .*text.pem' is not allowed: .* no private key"),
        (certificate, other_key, r"^client_key = .* is not allowed: .* does not belong to client_certificate"),
        (certificate, encrypted, r"^client_key = .*encrypted.pem' is not allowed: .* encrypted.*openssl pkey"),
        (broken, key, r"^client_certificate = .*broken.pem' is not allowed: .* cannot be read"),
    ]
    for certificate_file, key_file, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            context(client_certificate=certificate_file, client_key=key_file)


def test_the_minimum_version_is_kept(files: tuple[Path, Path, Path]) -> None:
    """A server that speaks no newer version than 1.2 is refused where 1.3 is the minimum; older ones always."""
    with TLSServer(files, highest=ssl.TLSVersion.TLSv1_2) as server:
        assert server.shake(context(ca_bundle=files[2])) == "TLSv1.2"
        assert server.shake(context(ca_bundle=files[2], minimum_version="1.3")) not in ("TLSv1.2", "TLSv1.3")
    assert context().minimum_version == ssl.TLSVersion.TLSv1_2
