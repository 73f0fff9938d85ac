"""Representation change between neighbouring blocks: 1/CKA (S1)."""
