"""What the paper says should happen, statement by statement, and whether it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan

from mspgt.stats.paired.answers import Prediction, not_measured, p_text, undecided
from mspgt.stats.paired.brittleness import local_brittleness
from mspgt.stats.paired.conditions import Conditions
from mspgt.stats.paired.most import Statement, changes_most
from mspgt.stats.paired.numbers import Answer, Diversity
from mspgt.stats.paired.paper import PAPER_NOTES
from mspgt.stats.paired.records import ALPHA, Effect, Test
from mspgt.stats.paired.resampling import Resampling
from mspgt.stats.paired.samples import Samples

ByScale = Mapping[str, str]
"""scale -> the condition that disturbs it"""
STATEMENTS = {
    # Tier 2, section 3.3.2: the intermediate scale degrades structure more than the local and the global one.
    # Degradation is a *rise* of the variance of sentence length, fixed in advance: section 4.2.2 takes +30.3 % and
    # +184 % as the prediction come true. The verdict is that of the signed changes; absolute changes stand beside it,
    # as the paper also calls Llama-2's -40 % a collapse of structure.
    "prediction_2_1": Statement(
        *("length_variance", "intermediate", 1),
        "Prediction 2.1 (Tier 2, section 3.3.2), degradation being a rise of the variance of sentence length",
    ),
    # The global scale reduces coherence most; the sign, a fall, is the paper's.
    "global_coherence": Statement("coherence", "global", -1, "Section 4.2.2 and Figure 7"),
    # A1 makes the local scale that of lexical realisation: disturbing it changes TTR most. Section 4.2.1 expects
    # "significant degradation" of what a scale is critical for, and gives no sign for TTR: the verdict is that of
    # absolute changes.
    "local_lexical": Statement("ttr", "local", 0, "A1 (section 3.1) with section 4.2.1, no sign being given"),
}
"""name -> that a scale changes a metric most"""


def verdicts(
    metrics: Sequence[Samples],
    effects: Sequence[Effect],
    resampling: Resampling,
    conditions: Conditions,
    *,
    noise: bool,
) -> dict[str, Prediction]:
    """Judge every statement about interventions that the paper makes and that can fail.

    * `prediction_2_1`: structure is degraded most by the intermediate scale (section 3.3.2, Tier 2).
    * `global_coherence`: coherence is reduced most by the global scale (section 4.2.2, Figure 7; A1).
    * `global_diversity`: the global scale increases diversity (section 4.2.2).
    * `local_lexical`: lexical choice is changed most by the local scale (A1 with section 4.2.1).
    * `prediction_3_1`: local brittleness varies over a factor of 5 between families (section 3.3.2, Tier 3).

    The statements are of groups called local, intermediate and global, disturbed as they were asked for; where there
    are none, the answers say so. Where there are conditions of matched dose too, the answer on these is `matched`,
    and a reason says so if it is another; where there are none and the groups have unequal numbers of
    blocks, a reason says that scale and dose are confounded.

    Parameters
    ----------
    effects: of the same metrics, from `effects`.
    noise: whether the intervention adds noise, sigma being its standard deviation; kappa has a meaning only then.
    """
    by_name, sizes = {m.name: m for m in metrics}, conditions.sizes
    answers = _statements(by_name, effects, resampling, conditions.main)
    matched = _statements(by_name, effects, resampling, conditions.matched) if conditions.matched else {}
    for name, one in answers.items():
        if name in matched:
            answers[name] = _beside(one, matched[name])
        elif len(set(sizes.values())) > 1 and one.numbers is not None:
            listed = ", ".join(f"{count} in the {group} scale" for group, count in sizes.items())
            confounded = f"Scale and dose are confounded: the disturbed blocks are {listed}."
            answers[name] = replace(one, reasons=(*one.reasons, confounded))
    answers["prediction_3_1"] = local_brittleness(metrics, resampling, conditions, noise=noise)
    return {name: replace(one, note=PAPER_NOTES.get(name, "")) for name, one in answers.items()}


def global_diversity(effects: Sequence[Effect], scales: ByScale) -> Prediction:
    """Section 4.2.2: global perturbations "increase diversity", which is a fall of Self-BLEU by section 4.2.1.

    Decided where the swap test rejects *and* the jackknife interval of the difference leaves out 0: the test alone
    rejects that the texts are exchangeable, which other changes than one of Self-BLEU can make false. TTR, which the
    paper counts as lexical richness, stands beside it.
    """
    by_metric = {e.metric: e for e in effects if e.condition == scales.get("global")}
    if "self_bleu" not in by_metric:
        return not_measured("self_bleu", "global")
    effect, ttr = by_metric["self_bleu"], by_metric.get("ttr")
    change, p = effect.difference, effect.tests.get("swap", Test()).p
    numbers = Diversity(effect, ttr)
    if not change or p != p:
        return undecided(f"Self-BLEU was not tested under the global scale; n = {change.n}", numbers)
    clear = change.leaves_out_zero
    verdict: Answer = "undecided"
    if p < ALPHA and clear:
        verdict = "supported" if change.value < 0 else "contradicted"
    moved = {1: "rises, less diverse", -1: "falls, more diverse", 0: "does not change"}[_sign(change.value)]
    interval = f"{change.low:+.4g} to {change.high:+.4g}" if change.has_interval else "no interval"
    about = f"{change.value:+.4g}, {interval}; n = {change.n}; p = {p:.3g}"
    reasons = [f"{verdict}: Section 4.2.2 says diversity increases; Self-BLEU {moved} ({about})."]
    if p < ALPHA and not clear:
        reasons.append(
            "The texts differ by the swap test, but the interval does not leave out that Self-BLEU is equal."
        )
    if ttr and ttr.difference:
        reasons.append(f"The type-token ratio, not the paper's measure of it, {_went(ttr)}.")
    return Prediction(verdict, tuple(reasons), numbers)


def _statements(
    by_name: Mapping[str, Samples], effects: Sequence[Effect], resampling: Resampling, scales: ByScale
) -> dict[str, Prediction]:
    most = {name: changes_most(one, by_name.get(one.metric), resampling, scales) for name, one in STATEMENTS.items()}
    return {**most, "global_diversity": global_diversity(effects, scales)}


def _beside(one: Prediction, matched: Prediction) -> Prediction:
    """An answer with that of the conditions of matched dose."""
    other = f"At a matched dose, as many blocks in every scale, it is {matched}"
    reasons = one.reasons if matched.verdict == one.verdict else (*one.reasons, other)
    return replace(one, reasons=reasons, matched=matched)


def _went(effect: Effect) -> str:
    change = effect.difference.value
    way = {1: "rises", -1: "falls", 0: "does not change"}[_sign(change)]
    p = effect.tests[effect.primary].p if effect.primary else nan
    return f"{way} ({change:+.4g}, n = {effect.difference.n}, p = {p_text(p)})"


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
