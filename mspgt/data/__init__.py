"""Corpora: readers, segmentation, tokenisation, alignment of words to tokens, batching."""
