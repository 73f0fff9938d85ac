"""Models: load a language model with its tokenizer, and say what it is. Heavy imports wait for the first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
