"""What the paper says should happen, statement by statement, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan

from mspgt.stats.paired.answers import answer, not_measured, shown, undecided
from mspgt.stats.paired.brittleness import brittleness_of
from mspgt.stats.paired.hypothesis_tests import ALPHA
from mspgt.stats.paired.measured import BASELINE, SCALES, Json, Measured, matched_of
from mspgt.stats.paired.most import Statement, changes_most
from mspgt.stats.paired.resampling import Resampling


def verdicts(
    measured: Sequence[Measured],
    effects: Sequence[Json],
    resampling: Resampling,
    strengths: Mapping[float, str],
    blocks: Mapping[str, int],
    *,
    noise: bool,
) -> dict[str, Json]:
    """Judge every statement about interventions that the paper makes and that can fail.

    * `prediction_2_1`: structure is degraded most by the intermediate scale (section 3.3.2, Tier 2).
    * `global_coherence`: coherence is reduced most by the global scale (section 4.2.2, Figure 7; A1).
    * `global_diversity`: the global scale increases diversity (section 4.2.2).
    * `local_lexical`: lexical choice is changed most by the local scale (A1 with section 4.2.1).
    * `prediction_3_1`: local brittleness varies over a factor of 5 between families (section 3.3.2, Tier 3).

    The verdicts are those of the scales as they were disturbed. Where there are conditions of matched dose too,
    `numbers` has the verdict of these as `matched`, and a reason says so if it is another; where there are none and the
    scales have unequal numbers of blocks, a reason says that scale and dose are confounded.

    Parameters
    ----------
    effects: of the same metrics, from `effects`.
    strengths: sigma -> name of the condition that disturbs the local scale by it.
    blocks: scale -> number of blocks that its condition disturbs.
    noise: whether the intervention adds noise, sigma being its standard deviation; kappa has a meaning only then.

    Returns
    -------
    name -> `verdict` (supported, contradicted or undecided), `reasons` (sentences), `numbers`.
    """
    by_name = {m.name: m for m in measured}
    at_matched_dose = {m.name: _matched(m) for m in measured if matched_of(SCALES[0]) in m.values}
    found = _statements(by_name, effects, resampling)
    matched = _statements(at_matched_dose, _matched_effects(effects), resampling) if at_matched_dose else {}
    for name, one in found.items():
        if name in matched:
            other = matched[name]
            one["numbers"]["matched"] = {"verdict": other["verdict"], **other["numbers"]}
            if other["verdict"] != one["verdict"]:
                one["reasons"].append(f"At a matched dose, as many blocks in every scale, it is {_said(other)}")
        elif len(set(blocks.values())) > 1 and one["numbers"].keys() - {"metric"}:
            listed = ", ".join(f"{count} in the {scale} scale" for scale, count in blocks.items())
            one["reasons"].append(f"Scale and dose are confounded: the disturbed blocks are {listed}.")
    return {**found, "prediction_3_1": brittleness_of(measured, resampling, strengths, noise=noise)}


def prediction_2_1(structure: Measured | None, resampling: Resampling) -> Json:
    """Tier 2, section 3.3.2: the intermediate scale degrades structure more than the local and the global one.

    Degradation is a *rise* of the variance of sentence length, fixed in advance: section 4.2.2 takes +30.3 % and +184 %
    as the prediction come true. The verdict is that of the signed changes; absolute changes stand beside it, as the
    paper also calls Llama-2's -40 % a collapse of structure.
    """
    source = "Prediction 2.1 (Tier 2, section 3.3.2), degradation being a rise of the variance of sentence length"
    return changes_most(Statement("length_variance", "intermediate", 1, source), structure, resampling)


def global_coherence(coherence: Measured | None, resampling: Resampling) -> Json:
    """Section 4.2.2 and Figure 7: the global scale reduces coherence most; the sign, a fall, is the paper's."""
    return changes_most(Statement("coherence", "global", -1, "Section 4.2.2 and Figure 7"), coherence, resampling)


def local_lexical(lexical: Measured | None, resampling: Resampling) -> Json:
    """A1 (section 3.1) makes the local scale that of lexical realisation: disturbing it changes TTR most.

    Section 4.2.1 expects "significant degradation" of what a scale is critical for, and gives no sign for TTR: the
    verdict is that of absolute changes.
    """
    source = "A1 (section 3.1) with section 4.2.1, no sign being given"
    return changes_most(Statement("ttr", "local", 0, source), lexical, resampling)


def global_diversity(effects: Sequence[Json]) -> Json:
    """Section 4.2.2: global perturbations "increase diversity", which is a fall of Self-BLEU by section 4.2.1.

    Decided where the swap test rejects *and* the jackknife interval of the difference leaves out 0: the test alone
    rejects that the texts are exchangeable, which other changes than one of Self-BLEU can make false. TTR, which the
    paper counts as lexical richness, stands beside it.
    """
    found = {e["metric"]: e for e in effects if e["condition"] == "global"}
    if "self_bleu" not in found:
        return not_measured("self_bleu", "global")
    entry = found["self_bleu"]
    change, p = entry["difference"], entry["tests"].get("swap", {}).get("p")
    numbers = {name: _summary(found[name]) for name in ("self_bleu", "ttr") if name in found}
    if change["value"] is None or p is None:
        return undecided(f"Self-BLEU was not tested under the global scale; n = {entry['n']}", numbers)
    value, low, high = change["value"], change["low"], change["high"]
    clear = low is not None and high is not None and not low <= 0 <= high
    verdict = "undecided" if p >= ALPHA or not clear else "supported" if value < 0 else "contradicted"
    moved = "falls, more diverse" if value < 0 else "rises, less diverse" if value > 0 else "does not change"
    interval = f"{low:+.4g} to {high:+.4g}" if low is not None and high is not None else "no interval"
    about = f"{value:+.4g}, {interval}; n = {entry['n']}; p = {p:.3g}"
    reasons = [f"{verdict}: Section 4.2.2 says diversity increases; Self-BLEU {moved} ({about})."]
    if p < ALPHA and not clear:
        reasons.append(
            "The texts differ by the swap test, but the interval does not leave out that Self-BLEU is equal."
        )
    if "ttr" in found and found["ttr"]["difference"]["value"] is not None:
        reasons.append(f"The type-token ratio, not the paper's measure of it, {_went(found['ttr'])}.")
    return answer(verdict, reasons, numbers)


def _statements(by_name: Mapping[str, Measured], effects: Sequence[Json], resampling: Resampling) -> dict[str, Json]:
    return {
        "prediction_2_1": prediction_2_1(by_name.get("length_variance"), resampling),
        "global_coherence": global_coherence(by_name.get("coherence"), resampling),
        "global_diversity": global_diversity(effects),
        "local_lexical": local_lexical(by_name.get("ttr"), resampling),
    }


def _matched(measured: Measured) -> Measured:
    """The metric as if the conditions of matched dose were the scales."""
    values = {s: measured.values[matched_of(s)] for s in SCALES if matched_of(s) in measured.values}
    return replace(measured, values={BASELINE: measured.values[BASELINE], **values}, swapped=None, without=None)


def _matched_effects(effects: Sequence[Json]) -> list[Json]:
    scales = {matched_of(s): s for s in SCALES}
    return [{**e, "condition": scales[e["condition"]]} for e in effects if e["condition"] in scales]


def _said(found: Json) -> str:
    """The first reason of a verdict, which begins with it."""
    return str(found["reasons"][0])


def _summary(effect: Json) -> Json:
    return {key: effect[key] for key in ("n", "difference", "percent", "primary", "tests")}


def _went(effect: Json) -> str:
    change, primary = effect["difference"]["value"], effect["primary"]
    p = effect["tests"][primary]["p"] if primary else None
    way = "rises" if change > 0 else "falls" if change < 0 else "does not change"
    return f"{way} ({change:+.4g}, n = {effect['n']}, p = {shown(nan if p is None else p)})"
