"""The options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from cyclopts import Parameter

from dxflow_async.cli.run import Flag
from dxflow_async.config.quantities import to_size
from dxflow_async.config.settings import Settings
from dxflow_async.exceptions import ConfigurationError
from dxflow_async.providers.contract import ObjectOptions

__all__ = ["Choice", "DryRun", "Pace", "Patterns", "Quiet", "Writing"]

Patterns = Annotated[tuple[str, ...], Parameter(consume_multiple=False, negative=(), show_default=False)]
DryRun = Annotated[Flag, Parameter(name=["--dry-run", "-n"])]
Quiet = Annotated[Flag, Parameter(name=["--quiet", "-q"])]


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Choice:
    """Which names are transferred.

    Attributes:
        include: Only names that match this pattern, such as *.csv or raw/**; may be given several times.
        exclude: No names that match this pattern; may be given several times.
    """

    include: Patterns = ()
    exclude: Patterns = ()

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of a call."""
        return {"include": self.include, "exclude": self.exclude}


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Writing:
    """What is stored, and what is replaced.

    Attributes:
        no_overwrite: Skip what exists at the destination.
        update: Replace only what is older than its source.
        content_type: The media type; by default each name's ending decides.
        cache_control: The header Cache-Control of the new objects.
        storage_class: The storage class, such as STANDARD_IA.
        meta: Metadata, written name=value; may be given several times.
        tag: A tag, written name=value; may be given several times.
    """

    no_overwrite: Flag = False
    update: Flag = False
    content_type: str | None = None
    cache_control: str | None = None
    storage_class: str | None = None
    meta: Patterns = ()
    tag: Patterns = ()

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of a call.

        Raises:
            ConfigurationError: the options contradict each other.
        """
        if self.no_overwrite and self.update:
            raise ConfigurationError("--no-overwrite and --update exclude each other: give one of them")
        overwrite = "skip" if self.no_overwrite else "if-newer" if self.update else True
        return {"options": self.options, "overwrite": overwrite}

    @property
    def options(self) -> ObjectOptions | None:
        """What is stored with the objects; None: the defaults."""
        found = ObjectOptions(
            content_type=self.content_type,
            metadata=_pairs(self.meta, "--meta"),
            cache_control=self.cache_control,
            storage_class=self.storage_class,
            tags=_pairs(self.tag, "--tag") or None,
        )
        return None if found == ObjectOptions() else found


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a transfer may be.

    Attributes:
        concurrency: The most requests in flight to one service.
        bandwidth: The most bytes a second, such as 50MiB.
        part_size: The smallest part of a large file, such as 16MiB.
    """

    concurrency: int | None = None
    bandwidth: str | None = None
    part_size: str | None = None

    def applied_to(self, settings: Settings) -> Settings:
        """Returns the settings with these options."""
        changes: dict[str, Any] = {}
        if self.concurrency is not None:
            changes["max_concurrency"] = self.concurrency
        if self.bandwidth is not None:
            changes["max_bandwidth"] = _size(self.bandwidth, "--bandwidth")
        if self.part_size is not None:
            changes["part_size"] = _size(self.part_size, "--part-size")
        return replace(settings, **changes) if changes else settings


def _size(text: str, option: str) -> int:
    return to_size(option, text)


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise ConfigurationError(f"{option} = {text!r} is not allowed; write name=value")
        found[name] = value
    return found
