"""A local directory as a kind of provider, and its settings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import Provider
from dxflow_async.providers.registry import ProviderKind, ProviderResources

__all__ = ["KIND", "LocalSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """A directory of this machine as a remote.

    Attributes:
        root: the directory's absolute path; `~` is the user's home. It need not exist before something is written.
        follow_symlinks: whether symbolic links may lead out of `root`, as those among the user's own files do.

    Raises:
        ConfigurationError: `root` is not an absolute path.

    Example:
        >>> LocalSettings(root=Path("/scratch")).root
        PosixPath('/scratch')
    """

    root: Path | None = None
    follow_symlinks: bool = False

    def __post_init__(self) -> None:
        if self.root is None:
            return
        root = Path(os.path.expanduser(self.root))
        if not root.is_absolute():
            raise ConfigurationError(f"root = {str(self.root)!r} is not allowed; it must be an absolute path")
        object.__setattr__(self, "root", root)


def _make(settings: LocalSettings, resources: ProviderResources) -> Provider:
    from dxflow_async.providers.local.checksum_database import ChecksumDatabase
    from dxflow_async.providers.local.kept_checksums import WORKS, KeptChecksums
    from dxflow_async.providers.local.provider import LocalProvider

    if settings.root is None:
        raise ConfigurationError(f"{resources.name}.root is not set: name the directory")
    database = None if resources.home is None else ChecksumDatabase(resources.home / "checksums.sqlite3")
    return LocalProvider(
        settings.root,
        resources.threads,
        follow_symlinks=settings.follow_symlinks,
        durable=resources.durable,
        kept_checksums=KeptChecksums(database) if WORKS or database is not None else None,
    )


KIND = ProviderKind(kind="local", settings=LocalSettings, factory=_make)
