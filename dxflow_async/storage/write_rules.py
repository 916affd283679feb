"""How a call writes: what it stores with objects, and which objects it replaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, get_args

from dxflow_async.exceptions import ConfigurationError, UnsupportedError
from dxflow_async.providers.contract import ObjectOptions, Provider
from dxflow_async.storage.resolver import ResolvedLocation
from dxflow_async.transfer.context import Symlinks
from dxflow_async.transfer.overwrite import Overwrite, check_overwrite

__all__ = ["WriteRules", "check_options", "merged_options"]

_SET_BY_LIBRARY = ("public", "modified", "mode", "copied_from", "source_class", "if_absent", "if_match")


@dataclass(frozen=True, slots=True)
class WriteRules:
    """How a call writes.

    Attributes:
        options: what is stored with objects; `if_match` may be set.
        overwrite: what happens to objects that are there already.
        symlinks: what becomes of symbolic links below local directories.

    Raises:
        ConfigurationError: the rules contradict each other, or have a value that is not allowed.
    """

    options: ObjectOptions = field(default_factory=ObjectOptions)
    overwrite: Overwrite = True
    symlinks: Symlinks = "follow"

    def __post_init__(self) -> None:
        check_overwrite(self.overwrite)
        if self.symlinks not in get_args(Symlinks):
            allowed = ", ".join(map(repr, get_args(Symlinks)))
            raise ConfigurationError(f"symlinks = {self.symlinks!r} is not allowed; it must be one of {allowed}")
        if self.options.if_match is not None and self.overwrite is not True:
            raise ConfigurationError("if_match and overwrite exclude each other: give one of them")

    @classmethod
    def of(
        cls,
        options: ObjectOptions | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        *,
        overwrite: Overwrite = True,
        symlinks: Symlinks = "follow",
    ) -> Self:
        """Returns the rules of a call's arguments."""
        return cls(merged_options(options, content_type, metadata, if_match), overwrite, symlinks)

    def applied_to(self, destination: ResolvedLocation, operation: str) -> ResolvedLocation:
        """Returns the destination of a call with these rules, before anything is sent.

        Raises:
            UnsupportedError: the destination does not keep an option.
        """
        area = destination.area
        if area is None:
            named = self.options.named()
            if named:
                raise UnsupportedError(
                    f"{operation} to {destination.shown} refused: local files keep no {named[0]}; leave it out",
                    provider="LOCAL",
                    operation=operation,
                    path=destination.shown,
                )
            return destination
        check_options(area.provider, self.options, operation, destination.shown)
        encryption = self.options.encryption
        if encryption is None or encryption.kind != "customer":
            return destination
        return replace(destination, area=replace(area, provider=area.provider.with_customer_key(encryption)))

    def to_json(self) -> dict[str, Any]:
        """Returns the arguments that differ from the defaults, in plain JSON types and without secrets."""
        kept: dict[str, Any] = {}
        if self.overwrite is not True:
            kept["overwrite"] = self.overwrite
        if self.symlinks != "follow":
            kept["symlinks"] = self.symlinks
        if self.options.if_match is not None:
            kept["if_match"] = self.options.if_match
        options = self.options.to_json()
        kept["content_type"], kept["metadata"] = options.pop("content_type", None), options.pop("metadata")
        if options:
            kept["options"] = options
        return kept

    @classmethod
    def from_json(cls, arguments: Mapping[str, Any], *, public: bool = False) -> Self:
        """Returns the rules that `to_json` returned, also from the arguments of older jobs.

        Raises:
            TypeError, ValueError: they are something else.
        """
        options = replace(
            ObjectOptions.from_json(arguments.get("options") or {}),
            content_type=arguments.get("content_type"),
            metadata=arguments.get("metadata") or {},
            public=public,
            if_match=arguments.get("if_match"),
        )
        return cls(options, arguments.get("overwrite", True), arguments.get("symlinks", "follow")).without_key()

    def without_key(self) -> Self:
        """Returns the rules without a customer's key, for a provider that has it."""
        encryption = self.options.encryption
        if encryption is None or encryption.kind != "customer":
            return self
        return replace(self, options=replace(self.options, encryption=None))


def merged_options(
    options: ObjectOptions | None,
    content_type: str | None = None,
    metadata: Mapping[str, str] | None = None,
    if_match: str | None = None,
) -> ObjectOptions:
    """Returns the options of a call, in which its separate arguments win.

    Raises:
        ConfigurationError: the options have a field that only the library sets.
    """
    if options is None:
        return ObjectOptions(content_type, dict(metadata or {}), if_match=if_match)
    plain = ObjectOptions()
    for name in _SET_BY_LIBRARY:
        if getattr(options, name) != getattr(plain, name):
            raise ConfigurationError(f"ObjectOptions.{name} is not allowed here; the call sets it itself")
    return replace(
        options,
        content_type=options.content_type if content_type is None else content_type,
        metadata=dict(options.metadata if metadata is None else metadata),
        if_match=if_match,
    )


def check_options(provider: Provider, options: ObjectOptions, operation: str, shown: str) -> None:
    """Checks that a provider keeps all options.

    Raises:
        UnsupportedError: it does not.
    """
    features = provider.features
    missing = [name for name in options.named() if name not in features.options]
    reason = f"this storage keeps no {missing[0]}" if missing else None
    encryption = options.encryption
    if reason is None and encryption is not None and encryption.kind not in features.encryptions:
        reason = f"this storage has no encryption of the kind {encryption.kind!r}"
    if reason is not None:
        raise UnsupportedError(
            f"{provider.name} {operation} to {shown} refused: {reason}; leave it out",
            provider=provider.name,
            operation=operation,
            path=shown,
        )
