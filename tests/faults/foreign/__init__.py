"""A server of foreign answers between the library and a real service, and what is tried through it."""

from tests.faults.foreign.answers import ANSWERS, ForeignAnswer
from tests.faults.foreign.proxy import ForeignProxy, Rule
from tests.faults.foreign.verbs import VERBS, verb_of

__all__ = ["ANSWERS", "VERBS", "ForeignAnswer", "ForeignProxy", "Rule", "verb_of"]
