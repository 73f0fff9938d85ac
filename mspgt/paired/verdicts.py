"""What the paper says should happen, statement by statement, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

from mspgt.paired.brittleness import brittleness_of
from mspgt.paired.greatest import Changes
from mspgt.paired.hypothesis_tests import ALPHA
from mspgt.paired.measured import SCALES, Json, Measured, number
from mspgt.paired.resampling import Resampling


def verdicts(
    measured: Sequence[Measured],
    effects: Sequence[Json],
    resampling: Resampling,
    strengths: Mapping[float, str],
) -> dict[str, Json]:
    """Judge every statement about interventions that the paper makes and that can fail.

    * `prediction_2_1`: structure is degraded most by the intermediate scale (section 3.3.2, Tier 2).
    * `global_coherence`: coherence is reduced most by the global scale (section 4.2.2, Figure 7; A1).
    * `global_diversity`: the global scale increases diversity (section 4.2.2).
    * `local_lexical`: lexical choice is changed most by the local scale (A1 with section 4.2.1).
    * `prediction_3_1`: local brittleness varies over a factor of 5 between families (section 3.3.2, Tier 3).

    Parameters
    ----------
    effects: of the same metrics, from `effects`.
    strengths: sigma -> name of the condition that disturbs the local scale by it.

    Returns
    -------
    name -> `verdict` (supported, contradicted or undecided), `reasons` (sentences), `numbers`.
    """
    by_name = {m.name: m for m in measured}
    return {
        "prediction_2_1": prediction_2_1(by_name.get("length_variance"), resampling),
        "global_coherence": global_coherence(by_name.get("coherence"), resampling),
        "global_diversity": global_diversity(effects),
        "local_lexical": local_lexical(by_name.get("ttr"), resampling),
        "prediction_3_1": brittleness_of(measured, resampling, strengths),
    }


def prediction_2_1(structure: Measured | None, resampling: Resampling) -> Json:
    """Tier 2, section 3.3.2: the intermediate scale degrades structure more than the local and the global one.

    Degradation is a *rise* of the variance of sentence length, fixed in advance: section 4.2.2 takes +30.3 % and +184 %
    as the prediction come true. The verdict is that of the signed changes; absolute changes stand beside it, as the
    paper also calls Llama-2's -40 % a collapse of structure.
    """
    source = "Prediction 2.1 (Tier 2, section 3.3.2), degradation being a rise of the variance of sentence length"
    return _greatest(structure, "length_variance", resampling, "intermediate", 1, source)


def global_coherence(coherence: Measured | None, resampling: Resampling) -> Json:
    """Section 4.2.2 and Figure 7: the global scale reduces coherence most; the sign, a fall, is the paper's."""
    return _greatest(coherence, "coherence", resampling, "global", -1, "Section 4.2.2 and Figure 7")


def local_lexical(lexical: Measured | None, resampling: Resampling) -> Json:
    """A1 (section 3.1) makes the local scale that of lexical realisation: disturbing it changes TTR most.

    Section 4.2.1 expects "significant degradation" of what a scale is critical for, and gives no sign for TTR: the
    verdict is that of absolute changes.
    """
    return _greatest(lexical, "ttr", resampling, "local", 0, "A1 (section 3.1) with section 4.2.1, no sign being given")


def global_diversity(effects: Sequence[Json]) -> Json:
    """Section 4.2.2: global perturbations "increase diversity", which is a fall of Self-BLEU by section 4.2.1.

    TTR, which the paper counts as lexical richness, stands beside it.
    """
    found = {e["metric"]: e for e in effects if e["condition"] == "global"}
    if "self_bleu" not in found:
        return _not_measured("self_bleu", "global")
    entry = found["self_bleu"]
    change, p = entry["difference"]["value"], entry["tests"].get("swap", {}).get("p")
    numbers = {name: _summary(found[name]) for name in ("self_bleu", "ttr") if name in found}
    if change is None or p is None:
        return _verdict("undecided", ["undecided: Self-BLEU was not tested under the global scale."], numbers)
    verdict = "undecided" if p >= ALPHA else "supported" if change < 0 else "contradicted"
    moved = "falls, more diverse" if change < 0 else "rises, less diverse" if change > 0 else "does not change"
    reasons = [f"{verdict}: Section 4.2.2 says diversity increases; Self-BLEU {moved} ({change:+.4g}, p = {p:.3g})."]
    if "ttr" in found and found["ttr"]["difference"]["value"] is not None:
        reasons.append(f"The type-token ratio, not the paper's measure of it, {_went(found['ttr'])}.")
    return _verdict(verdict, reasons, numbers)


def _greatest(metric: Measured | None, name: str, resampling: Resampling, scale: str, sign: int, source: str) -> Json:
    """Judge that a scale changes a metric most: in the direction of `sign`, or absolutely where it is 0."""
    if metric is None:
        return _not_measured(name, *SCALES)
    missing = [s for s in SCALES if s not in metric.values]
    if missing:
        return _not_measured(name, *missing)
    changes = Changes(metric, resampling)
    absolute = changes.absolute(scale)
    signed, ranks = (changes.signed(scale, sign), changes.ranks(scale, sign)) if sign else (None, None)
    main = signed or absolute
    verdict = main.verdict
    means = {s: changes.mean(s) for s in SCALES}
    reasons = []
    if verdict == "supported" and sign * means[scale] < 0:
        verdict = "undecided"
        reasons.append(f"The {scale} scale moves {name} least the other way; that is no degradation.")
    listed = ", ".join(f"{s} {means[s]:+.4g}" for s in SCALES)
    told = {
        "supported": f"the {scale} scale changes {name} most",
        "contradicted": f"{_stronger(main.p_more)} changes {name} more than the {scale} scale",
        "undecided": f"no scale is shown to change {name} most" if changes.n > 1 else f"too few texts have {name}",
    }[verdict]
    reasons.insert(0, f"{verdict}: {told} ({listed}; p = {_shown(main.p)}). {source}.")
    if signed and absolute.verdict != signed.verdict:
        reasons.append(f"By absolute changes it is {absolute.verdict} (p = {_shown(absolute.p)}).")
    if ranks and signed and ranks.verdict != signed.verdict:
        reasons.append(f"By ranks, which a few extreme texts cannot decide, it is {ranks.verdict}.")
    numbers = {
        "metric": name,
        "n": changes.n,
        "unit": resampling.unit,
        "degradation": {1: "rise", -1: "fall", 0: "either"}[sign],
        "changes": {s: number(means[s]) for s in SCALES},
        "signed": signed.json() if signed else None,
        "absolute": absolute.json(),
        "ranks": ranks.json() if ranks else None,
    }
    return _verdict(verdict, reasons, numbers)


def _verdict(verdict: str, reasons: list[str], numbers: Json) -> Json:
    return {"verdict": verdict, "reasons": reasons, "numbers": numbers}


def _not_measured(metric: str, *conditions: str) -> Json:
    reason = f"undecided: {metric} was not measured under {' and '.join(conditions)}."
    return _verdict("undecided", [reason], {"metric": metric})


def _stronger(p_more: Mapping[str, float]) -> str:
    names = [scale for scale, p in p_more.items() if p < ALPHA]
    return f"the {' and the '.join(names)} scale"


def _shown(p: float) -> str:
    return "undefined" if p != p else f"{p:.3g}"


def _summary(effect: Json) -> Json:
    return {key: effect[key] for key in ("difference", "percent", "tests")}


def _went(effect: Json) -> str:
    change = effect["difference"]["value"]
    p = (effect["tests"].get("t") or {}).get("p")
    way = "rises" if change > 0 else "falls" if change < 0 else "does not change"
    return f"{way} ({change:+.4g}, p = {_shown(nan if p is None else p)})"
