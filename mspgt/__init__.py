"""Measure how a language model organises its layers.

`mspgt.run` runs a corpus through a model and returns a `Run`; `mspgt.intervene` disturbs a model while it generates
and returns a `Behaviour`; `mspgt.callbacks.BoundaryDrift` follows a training and gives a `Drift`; `mspgt.load` reads
them back. Authors of plugins import all they need from here, too. Heavy imports happen when a name is first used, so
that importing the package and `mspgt --help` are instant.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
