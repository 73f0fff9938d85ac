"""What hangs on a Lightning Trainer: boundary drift of a training, accumulation of states, progress of an analysis."""

import lazy_loader

if __name__ != "mspgt.callbacks":
    raise ImportError("import mspgt.callbacks instead of callbacks")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
