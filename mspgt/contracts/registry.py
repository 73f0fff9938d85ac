"""Plugins by name: built-ins and third parties meet in one lookup and one error.

There are three kinds: signals, interventions and metrics. A plugin is registered by an entry point of its kind's
group (`mspgt.signals`, `mspgt.interventions`, `mspgt.metrics`); its name is the entry point's name, and its module is
imported when it is used. Built-ins also declare their options where no torch is needed, so that help is instant.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast

from mspgt.core.errors import PluginError, UserError, unknown

if TYPE_CHECKING:
    from mspgt.contracts.intervention import Intervention
    from mspgt.contracts.metric import Metric
    from mspgt.contracts.signal import Signal


@dataclass(frozen=True)
class PluginKind:
    """One kind of plugin."""

    word: str
    """"signal", "intervention" or "metric": in messages"""
    base: str
    """"module:Class" of the contract"""
    check: str = ""
    """"module:function" that refuses a class with a UserError"""

    @property
    def group(self) -> str:
        """The group of entry points."""
        return f"mspgt.{self.word}s"

    @property
    def contract(self) -> str:
        """The class that plugins of this kind derive from, as users write it."""
        return f"mspgt.{self.base.partition(':')[2]}"


SIGNAL = PluginKind("signal", "mspgt.contracts.signal:Signal", check="mspgt.contracts.signal:check_needs")
INTERVENTION = PluginKind("intervention", "mspgt.contracts.intervention:Intervention")
METRIC = PluginKind("metric", "mspgt.contracts.metric:Metric")
KINDS = (SIGNAL, INTERVENTION, METRIC)


def summary_of(plugin: type[Any]) -> str:
    """One line about a plugin: its `summary`, else the first line of its docstring."""
    return str(plugin.summary or (plugin.__doc__ or "").strip().partition("\n")[0])


@dataclass(frozen=True)
class Entry:
    """A registered plugin, not yet imported."""

    name: str
    target: str
    """"module:Class" """
    distribution: str
    """name and version of the package it comes from"""
    options: str | None = None
    """"module:Class" of its options, for plugins that declare them without importing torch"""
    summary: str = ""
    kind: PluginKind = SIGNAL

    def load(self) -> type[Any]:
        """Import the plugin's class.

        Raises
        ------
        PluginError: the import failed, what it gave is no class of this kind, or it needs what no plugin is given.
        """
        base = _object(self.kind.base)
        try:
            plugin_class = _object(self.target)
        except Exception as error:
            raise PluginError(
                f"plugin {self.name!r} of {self.distribution} could not be imported "
                f"({type(error).__name__}: {error}); mend or uninstall {self.distribution}."
            ) from error
        if not (isinstance(plugin_class, type) and issubclass(plugin_class, base)):
            raise PluginError(
                f"plugin {self.name!r} of {self.distribution}: {self.target} is not a {self.kind.contract} class."
            )
        try:
            if self.kind.check:
                _object(self.kind.check)(plugin_class)
        except UserError as error:
            raise PluginError(f"plugin {self.name!r} of {self.distribution}: {error}") from None
        return plugin_class

    def option_class(self) -> type:
        """The plugin's options; imports the plugin only where they are not declared apart."""
        if self.options is None:
            return cast(type, self.load().Options)
        return cast(type, _object(self.options))

    def create(self, options: Mapping[str, Any], **engine: Any) -> Any:
        """Import the plugin and build it; `engine` holds what every plugin of its kind is given.

        Raises
        ------
        PluginError: its import or its constructor failed.
        """
        plugin_class = self.load()
        try:
            return plugin_class(**engine, **options)
        except UserError:
            raise
        except Exception as error:
            raise PluginError(
                f"plugin {self.name!r} of {self.distribution} could not be built ({type(error).__name__}: {error})."
            ) from error


def _built_in(kind: PluginKind, name: str, target: str, options: str, summary: str) -> Entry:
    options = f"mspgt.plugins.{options}" if options else "mspgt.core.options:NoOptions"
    return Entry(name, f"mspgt.plugins.{target}", "mspgt", options, summary, kind)


BUILT_IN: Mapping[PluginKind, Mapping[str, Entry]] = {
    kind: {name: _built_in(kind, name, *rest) for name, *rest in entries}
    for kind, entries in {
        SIGNAL: (
            ("cka", "signals.cka.cka:CKA", "signals.cka.options:CKAOptions",
             "representation change 1/CKA between neighbouring blocks (S1)"),
            ("probe", "signals.probe.probe:Probe", "signals.probe.options:ProbeOptions",
             "jumps of probe F1: POS, dependencies, entities, semantic roles (S2)"),
            ("attn", "signals.attention.attention:AttentionDrift", "signals.attention.options:AttentionOptions",
             "Jensen-Shannon drift of attention between neighbouring blocks (S3)"),
        ),
        INTERVENTION: (
            ("gaussian", "interventions.gaussian:Gaussian", "interventions.options:GaussianOptions",
             "adds Gaussian noise in units of each layer's standard deviation (the paper's)"),
            ("mean_ablate", "interventions.mean_ablate:MeanAblate", "",
             "moves the output towards its mean over the corpus"),
            ("resample", "interventions.resample:Resample", "",
             "moves the output towards that of another text"),
            ("skip", "interventions.skip:Skip", "",
             "leaves out what the block adds: at strength 1 it does nothing"),
            ("scale", "interventions.scale:Scale", "",
             "multiplies the output"),
        ),
        METRIC: (
            ("self_bleu", "metrics.self_bleu:SelfBLEU", "metrics.options:SelfBLEUOptions",
             "BLEU of each text against all the others; lower is more diverse"),
            ("length_variance", "metrics.length_variance:LengthVariance", "metrics.options:LengthVarianceOptions",
             "variance of the sentence lengths within a text"),
            ("ttr", "metrics.ttr:TypeTokenRatio", "metrics.options:TTROptions",
             "distinct words over words of a text"),
            ("coherence", "metrics.coherence:Coherence", "metrics.options:CoherenceOptions",
             "cosine of neighbouring sentences' embeddings (SBERT)"),
            ("grammaticality", "metrics.grammaticality:Grammaticality", "metrics.options:GrammaticalityOptions",
             "LanguageTool matches per 100 words"),
            ("repetition", "metrics.repetition:Repetition", "metrics.options:RepetitionOptions",
             "share of a text's 4-grams that occurred in it before"),
            ("perplexity", "metrics.perplexity:Perplexity", "",
             "log-perplexity of a text under the undisturbed model"),
            ("divergence", "metrics.divergence:Divergence", "",
             "Kullback-Leibler divergence of the disturbed model from the undisturbed one, per token"),
        ),
    }.items()
}  # fmt: skip


def plugins(kind: PluginKind) -> Mapping[str, Entry]:
    """Every registered plugin of a kind, built-ins first.

    Raises
    ------
    UserError: a third-party name clashes with a built-in's or another's.
    """
    entries = dict(BUILT_IN[kind])
    for point in entry_points(group=kind.group):
        entry = Entry(point.name, point.value, _distribution(point), kind=kind)
        other = entries.setdefault(point.name, entry)
        if other is not entry and other.target != entry.target:  # the built-ins have entry points of their own
            raise UserError(
                f"two plugins are called {point.name!r}: {other.target} of {other.distribution} and {entry.target} of "
                f"{entry.distribution}; uninstall one."
            )
    return entries


def plugin(kind: PluginKind, name: str) -> Entry:
    """The registered plugin of that kind and name.

    Raises
    ------
    UserError: there is none; the message lists those there are.
    """
    known = plugins(kind)
    if name not in known:
        raise unknown(kind.word, name, known, "`mspgt ls` shows each.")
    return known[name]


def signals() -> Mapping[str, Entry]:
    """Every registered signal."""
    return plugins(SIGNAL)


def signal(name: str) -> Entry:
    """The registered signal of that name; UserError if there is none."""
    return plugin(SIGNAL, name)


def intervention(name: str) -> Entry:
    """The registered intervention of that name; UserError if there is none."""
    return plugin(INTERVENTION, name)


def metric(name: str) -> Entry:
    """The registered metric of that name; UserError if there is none."""
    return plugin(METRIC, name)


def create_signal(name: str, options: Mapping[str, Any], *, seed: int = 0, device: str = "cpu") -> Signal:
    """Build a signal; PluginError if that fails."""
    return cast("Signal", signal(name).create(options, seed=seed, device=device))


def create_intervention(name: str, options: Mapping[str, Any], *, strength: float, seed: int) -> Intervention:
    """Build an intervention; PluginError if that fails."""
    return cast("Intervention", intervention(name).create(options, strength=strength, seed=seed))


def create_metric(name: str, options: Mapping[str, Any], *, seed: int, device: str, offline: bool) -> Metric:
    """Build a metric; PluginError if that fails."""
    return cast("Metric", metric(name).create(options, seed=seed, device=device, offline=offline))


def _object(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
