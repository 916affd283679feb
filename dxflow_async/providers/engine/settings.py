"""The settings of an `engine` remote, and where the engine's own command-line tool keeps what they leave out.

Source: https://github.com/dxflow-ai/docs (05.advanced/05.authentication.md, 05.advanced/07.remoting.md)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dxflow_async.providers import ConfigurationError, Secret, trim_texts

__all__ = ["Access", "EngineSettings", "find_access"]

_ADDRESS = re.compile(r"(https?)://([^/?#@\s]+)((?:/[^/?#\s]+)*)/?")
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LINE = re.compile(r"""([A-Za-z0-9_-]+)[ \t]*:[ \t]*(?:"([^"]*)"|'([^']*)'|([^#\n]*?))[ \t]*(?:#.*)?""")
_NAMES = ("connection-address", "connection-key", "connection-token")
_VERIFY = ("size", "readback", "remote-sha256")
_SOCKET = "unix.sock"
_UNIX = "unix://"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """How to reach an engine, and who signs in there.

    What is not set is taken from the variables `CONNECTION_ADDRESS`, `CONNECTION_KEY` and `CONNECTION_TOKEN`, then from
    the profile of the engine's own tool (`~/.dxflow/PROFILE_config.yaml`), then from the engine's Unix socket on this
    machine, which needs no key.

    Attributes:
        address: the engine's base URL, `https://host[:port][/path]`, or `unix:///path/of/the.sock`.
        key: the file of the private RSA key, in PEM format, without a passphrase.
        token: a token that the engine's tool printed, in place of the key. It is not renewed.
        profile: the name of the profile; the default one is called `default`.
        verify: `"size"` compares the size of what was stored; `"readback"` also downloads it and compares its
            checksum; `"remote-sha256"` has the engine's machine compute one, by a shell command. The key then needs
            the permission `SHELL`, which is full access to that machine.
    """

    address: str | None = None
    key: Path | None = None
    token: str | None = field(default=None, repr=False)
    profile: str | None = None
    verify: str = "size"

    def __post_init__(self) -> None:
        trim_texts(self, "address", "token", "profile", "verify")
        if self.token is not None:
            object.__setattr__(self, "token", Secret(self.token))
        if self.key is not None:
            text = str(self.key)
            if "\n" in text or "PRIVATE KEY" in text:
                raise ConfigurationError("key is not allowed; it must be the path of a file, not a key")
            object.__setattr__(self, "key", Path(text))
        if self.address is not None:
            _normal_address("address", self.address)
        if self.profile is not None and not _PROFILE.fullmatch(self.profile):
            raise ConfigurationError(f"profile = {self.profile!r} is not allowed; it must be the name of a profile")
        if self.verify not in _VERIFY:
            raise ConfigurationError(f"verify = {self.verify!r} is not allowed; it must be one of {', '.join(_VERIFY)}")


class Access(NamedTuple):
    """An engine's address, and what signs in there.

    Attributes:
        address: its base URL without a slash at the end.
        socket: the path of a Unix socket that the URL is requested over.
        key: the path of the key's file.
        token: used in place of a key.
        source: where the address comes from, for messages.
    """

    address: str
    socket: str | None
    key: Path | None
    token: str | None
    source: str


class _Layer(NamedTuple):
    source: str
    address: str | None
    key: str | None
    token: str | None


def find_access(settings: EngineSettings, environment: Mapping[str, str], home: Path | None) -> Access:
    """Returns the address of an engine and what signs in there. Reads the profile's file: it blocks.

    A key or a token is taken from the place that the address comes from, or from one that names no other address, so
    that no engine receives what belongs to another one.

    Args:
        settings: they come first.
        environment: the variables of the process.
        home: the user's home directory; None if it is not known.

    Raises:
        ConfigurationError: no place names an engine, or a place cannot be used.
    """
    folder = None if home is None else home / ".dxflow"
    layers = [_Layer("address", settings.address, _text(settings.key), settings.token), _from_environment(environment)]
    layers += _from_profile(settings, folder)
    socket = None if folder is None else folder / _SOCKET
    if not any(layer.address for layer in layers) and socket is not None and socket.is_socket():
        layers.append(_Layer(str(socket), f"{_UNIX}{socket}", None, None))
    named = next((layer for layer in layers if layer.address), None)
    if named is None or named.address is None:
        raise ConfigurationError(
            "no engine is named: set address and key, or profile, or CONNECTION_ADDRESS and CONNECTION_KEY"
        )
    address = _normal_address(named.source, named.address)
    same = [each for each in layers if not each.address or _normal_address(each.source, each.address) == address]
    token = next((layer.token for layer in same if layer.token), None)
    key = next((layer.key for layer in same if layer.key), None)
    if layers[0].key:  # a key that is set is preferred to a token that is found
        token = layers[0].token
    path = None if key is None else Path(key).expanduser()
    if address.startswith(_UNIX):
        return Access("http://localhost", address.removeprefix(_UNIX), path, token, named.source)
    if token is None and path is None:
        raise ConfigurationError(
            f"the engine at {address} needs a key: set key to the file of its private key; on the engine's machine "
            "this is ~/.dxflow/private-key.pem"
        )
    return Access(address, None, path, None if token is None else Secret(token), named.source)


def _from_environment(environment: Mapping[str, str]) -> _Layer:
    address, key, token = (environment.get(name.upper().replace("-", "_"), "").strip() for name in _NAMES)
    return _Layer("CONNECTION_ADDRESS", _named(address), key or None, token or None)


def _from_profile(settings: EngineSettings, folder: Path | None) -> list[_Layer]:
    name = settings.profile or "default"
    if folder is None:
        if settings.profile:
            raise ConfigurationError("profile needs a home directory, and HOME is not set")
        return []
    path = folder / f"{name}_config.yaml"
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        if settings.profile:
            raise ConfigurationError(f"profile = {name!r} does not exist: there is no file {path}") from None
        return []
    except OSError as error:
        raise ConfigurationError(f"profile = {name!r} cannot be read: {path} ({error.strerror})") from error
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is not None and match[1] in _NAMES:
            found[match[1]] = next((each for each in match.groups()[1:] if each), "").strip()
    address, key, token = (found.get(each) or None for each in _NAMES)
    return [_Layer(f"connection-address in {path}", _named(address), key, token)]


def _named(address: str | None) -> str | None:
    """An address; None for those that stand for none."""
    return None if address in (None, "", "0.0.0.0", "http://0.0.0.0") else address  # noqa: S104 - it is only compared


def _normal_address(source: str, address: str) -> str:
    if address.startswith(_UNIX):
        if len(address) > len(_UNIX) and address[len(_UNIX)] == "/":
            return address
        raise ConfigurationError(f"{source} = {address!r} is not allowed; write unix:///path/of/the.sock")
    match = _ADDRESS.fullmatch(address)
    if match is None:
        shown = re.sub("//[^/]*@", "//***@", address)
        raise ConfigurationError(
            f"{source} = {shown!r} is not allowed; it must be http(s)://host[:port][/path] or unix:///path"
        )
    return f"{match[1]}://{match[2].lower()}{match[3].removesuffix('/api')}"


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
