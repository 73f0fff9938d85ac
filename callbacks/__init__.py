"""What hangs on a Lightning Trainer: accumulation of states and progress of an analysis."""

if __name__ != "mspgt.callbacks":
    raise ImportError("import mspgt.callbacks instead of callbacks")
