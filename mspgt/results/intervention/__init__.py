"""What an intervention experiment found: views of interventions.json, its table, figures, page and CSV."""

from mspgt.results.intervention.behaviour import Behaviour, load

__all__ = ["Behaviour", "load"]
