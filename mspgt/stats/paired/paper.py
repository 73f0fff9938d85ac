"""Where the paper disagrees with itself, to be shown beside the number concerned."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_GAMMA = (
    "gamma = change / sigma is no coefficient: by equation 30 the change goes with sigma squared, so "
    "gamma depends on sigma. kappa, what change / sigma squared tends to at small sigma, does not."
)
_RATIO = (
    "The paper's 40/1 (equation 8) does not follow from its Table 2, which gives 40/2.43 = 16.5 for "
    "diversity and 40/7.40 = 5.4 for structure; sigma cancels, and no interval is given."
)
_TABLE_2 = (
    "Table 2 is captioned Qwen1.5-7B, but section 4.2.2 quotes the same numbers (-2.4, -7.4, +30.3, -24.1 %) as those "
    "of Qwen2.5-7B."
)

PAPER_NOTES: Mapping[str, str] = MappingProxyType(
    {
        "length_variance": "Section 4.2.2 gives the same model +30.3 % and, with Figure 7, +184 % structure; the paper "
        "has one variance per corpus, which no paired t test can be made of. Here a value is the variance within a "
        f"text. {_TABLE_2}",
        "self_bleu": "Section 4.2.2 says that global perturbation increases diversity, but Table 2 has Self-BLEU "
        "+28.0 %, which is less diverse (lower is more diverse). The scores depend on each other, so the paper's t "
        f"test of them is invalid. {_TABLE_2}",
        "coherence": _TABLE_2,
        "ttr": "Table 2 has +30.9 % under global perturbation, more diverse, where its Self-BLEU says less diverse.",
        "grammaticality": "Section 4.2.1 announces five metrics; Table 2 gives four, without this one, "
        "and the bold type that its caption explains is absent.",
        "prediction_2_1": "The paper counts +30.3 % (section 4.2.2) and Llama-2's -40 % (Figure 9) both as structure "
        "breaking down. By absolute changes Llama-2's local scale contradicts the prediction unless its intermediate "
        "one, not given, exceeds 40 %; 'no evidence contradicting' (section 4.4) holds for signed changes only.",
        "global_diversity": "By Table 2 the statement is contradicted by Self-BLEU (+28.0 %) and supported by TTR "
        "(+30.9 %).",
        "prediction_3_1": f"{_RATIO} {_GAMMA}",
        "dose": "Every block of a scale gets the same noise, so a scale with more blocks gets more in all (Llama 13, 3 "
        "and 16 blocks; Qwen1.5 2, 6 and 24; Qwen2.5 2, 18 and 8): scale and dose are confounded.",
    }
)
"""name of a metric, verdict or number in `interventions.json` -> one line"""
