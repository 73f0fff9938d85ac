"""What plugin authors test with: conformance classes, planted corpora, and the engine's way through a signal."""

from mspgt.testing.attention import PlantedAttention, random_attention
from mspgt.testing.conformance import SignalConformance
from mspgt.testing.drive import PlantedMeasurement, measure, observe
from mspgt.testing.interventions import InterventionConformance
from mspgt.testing.metrics import MetricConformance
from mspgt.testing.planted import (
    Planted,
    PlantedCorpus,
    planted_batches,
    planted_cka_layers,
    planted_corpus,
    planted_steps,
)

__all__ = [
    "InterventionConformance",
    "MetricConformance",
    "Planted",
    "PlantedAttention",
    "PlantedCorpus",
    "PlantedMeasurement",
    "SignalConformance",
    "measure",
    "observe",
    "planted_batches",
    "planted_cka_layers",
    "planted_corpus",
    "planted_steps",
    "random_attention",
]
