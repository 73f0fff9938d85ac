"""Small fast tokenizers of the three families, made on the spot: for tests that need no pretrained model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXT = (
    "The quick brown fox doesn't jump over the lazy dogs; it walks around them (slowly).",
    "In 1997 Ms. O'Neill paid $3.50 for a well-known café's coffee, didn't she?",
    'He said: "Nobody\'s naïve enough to re-read unreadable, untidy notes!"',
)
"""what the vocabularies are trained on; other text falls into pieces"""


def wordpiece(text: Sequence[str] = TEXT, vocabulary: int = 300) -> Any:
    """Make a tokenizer in the manner of BERT: lower case, ``##`` pieces, [CLS] and [SEP]."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.train_from_iterator(text, trainers.WordPieceTrainer(vocab_size=vocabulary, special_tokens=specials))
    around = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    names = ("pad", "unk", "cls", "sep", "mask")
    roles = {f"{name}_token": token for name, token in zip(names, specials, strict=True)}
    return PreTrainedTokenizerFast(tokenizer_object=made, **roles)


def byte_bpe(text: Sequence[str] = TEXT, vocabulary: int = 400, *, trim_offsets: bool = True) -> Any:
    """Make a tokenizer in the manner of GPT-2: bytes, the space belongs to the following token, nothing is added.

    Parameters
    ----------
    trim_offsets: whether the character offsets leave out the leading space.
    """
    end = "<|endoftext|>"
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=[end], initial_alphabet=alphabet)
    made.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end, unk_token=end)


def metaspace(text: Sequence[str] = TEXT, vocabulary: int = 200) -> Any:
    """Make a tokenizer in the manner of SentencePiece: unigrams with ``▁`` for spaces, <s> at the start."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    specials = ["<unk>", "<s>", "</s>"]
    trainer = trainers.UnigramTrainer(vocab_size=vocabulary, special_tokens=specials, unk_token="<unk>")
    made.train_from_iterator(text, trainer)
    start = [("<s>", made.token_to_id("<s>"))]
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=start)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
