"""Checkpoints of a training run: find them, put them in the order of their steps, and load them one at a time."""

from mspgt.models.checkpoints.finding import Checkpoint, find, of_revisions
from mspgt.models.checkpoints.loading import load
from mspgt.models.checkpoints.same import common, require_same

__all__ = ["Checkpoint", "common", "find", "load", "of_revisions", "require_same"]
