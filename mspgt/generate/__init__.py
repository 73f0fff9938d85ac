"""Paired generation under intervention: the same prompts and the same randomness under every condition.

`prompts` takes the beginnings of texts, `conditions` says which blocks are disturbed, `disturb` owns the hooks that do
it, and `decode` continues all prompts under all conditions at once.
"""
