"""The verbs in Python: `mspgt.run`, `mspgt.intervene` and `mspgt.drift`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mspgt.core.errors import UserError
from mspgt.results.kinds import record_class, resolve

if TYPE_CHECKING:
    from rich.console import Console

    from mspgt.results.drift import Drift
    from mspgt.results.intervention import Behaviour
    from mspgt.results.run import Run


def run(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Run:
    """Run a corpus through a model; answer where its layers change, and how sure that is.

    ::

        result = mspgt.run(model="tiny-llama-a", data="corpus.conllu", plugins="cka,probe,attn", out="runs/a")

    Parameters
    ----------
    keys: any key of `mspgt run`, which `mspgt run --help` lists: ``model`` (default "tiny-llama-a") and ``tokenizer``,
        names or loaded objects; ``data`` (default "grammar") and ``labels``, names, paths, or iterables of documents;
        ``plugins`` (default cka, probe and attn); ``limit``; ``out``; ...; options of a signal as
        ``cka={"estimator": "biased"}``. Without ``out`` the run directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown, as ``rich.console.Console()``; nowhere if None.

    Returns
    -------
    The result: verdicts, boundaries with intervals, curves. It shows itself in a notebook and has `plot`, `to_csv`
    and `save`.

    Raises
    ------
    UserError: bad settings, corpus or model; the message says what to do.
    """
    result: Run = begin("run", keys, config, console)
    return result


def intervene(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Behaviour:
    """Disturb one scale of a model at a time while it generates; answer what breaks.

    ::

        behaviour = mspgt.intervene(run="runs/a", sigma=(0.1, 0.2), samples=200, out="runs/a-gaussian")
        behaviour = mspgt.intervene(model="tiny-llama-a", boundaries="thirds", samples=200)

    Parameters
    ----------
    keys: any key of `mspgt intervene`, which `mspgt intervene --help` lists: ``run`` (a run directory, or the result
        of a run with ``out``), or ``model`` (a name or a loaded object) with ``boundaries``; ``intervention``
        (default "gaussian"), ``sigma`` (default 0.1), ``samples`` (default 1,000 prompts), ``new_tokens`` (default
        100), ``metrics`` (default: all built-in ones), ...; options of an intervention or metric as
        ``gaussian={"per_dim": True}``. Without ``out`` the directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown, as ``rich.console.Console()``; nowhere if None.

    Returns
    -------
    The effect of disturbing each scale on each metric, with intervals and verdicts. It shows itself in a notebook and
    has `plot`, `to_csv` and `save`.

    Raises
    ------
    UserError: bad settings, run, corpus or model; the message says what to do.
    """
    if "run" in keys:
        keys["run"] = _directory(keys["run"])
    result: Behaviour = begin("intervention", keys, config, console)
    return result


def drift(*, config: str | Path | None = None, console: Console | None = None, **keys: Any) -> Drift:
    """Follow the boundaries over the checkpoints of a training run.

    ::

        drift = mspgt.drift(checkpoints="training/checkpoint-*", data="heldout.txt", plugins="cka,attn", out="runs/d")
        drift = mspgt.drift(model="EleutherAI/pythia-70m", revisions="step1000,step2000,step4000")

    Parameters
    ----------
    keys: any key of `mspgt drift`, which `mspgt drift --help` lists: ``checkpoints`` or ``revisions``, ``model``,
        ``against`` (drifts of other training runs), and the keys of `run`. Without ``out`` the directory is temporary.
    config: YAML file of keys; `keys` go before it.
    console: where progress is shown, as ``rich.console.Console()``; nowhere if None.

    Returns
    -------
    The drift: an evaluation of each checkpoint, and what changed from one to the next. It shows itself in a notebook
    and has `plot`, `to_csv`, `against` and `save`.

    Raises
    ------
    UserError: bad settings, checkpoints or corpus; the message says what to do.
    """
    result: Drift = begin("drift", keys, config, console)
    return result


def _directory(run: Any) -> Any:
    """The directory of a run that is given as its result."""
    place = run if run is None or isinstance(run, (str, os.PathLike)) else getattr(run, "directory", None)
    if place is None and run is not None:
        raise UserError("run=: give the run's directory, the out= that it was made with.")
    return place


def begin(kind: str, keys: Any, config: str | Path | None, console: Console | None, temporary: bool = True) -> Any:
    """Check the settings of the verb that makes a kind of result, and do its work.

    Parameters
    ----------
    temporary: whether a directory without a name is temporary.
    """
    verb = record_class(kind).kind.verb
    settings = resolve(f"mspgt.config.{verb}:build")(keys, config)
    return resolve(f"mspgt.experiments.{verb}:start")(settings, console, temporary=temporary)
