"""Every format gives documents, or one sentence that says which line is wrong."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from conllu_writer import COLUMNS, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mspgt.core.errors import UserError
from mspgt.data import TASKS, Document, Frame, Sentence, load
from mspgt.data.conllu import STANDARD, read
from mspgt.data.corpus import GRAMMAR_SENTENCES
from mspgt.data.files import EXTENSIONS
from mspgt.data.lines import CUT_FLAG, group
from mspgt.data.segment import sentences
from mspgt.data.wikitext import detokenise

HEADER = f"# global.columns = {' '.join(COLUMNS)}\n"


def row(number, form, upos="X", head=0, relation="root", misc="_", tag="O", predicate="_", spans="_"):
    head = str(head)
    cells = [str(number), form, "_", upos, "_", "_", head, relation, "_", misc, tag, predicate, spans]
    return "\t".join(cells) + "\n"


def parse(text, name="x.conllup"):
    lines = enumerate(text.split("\n"), 1)
    return list(group(read(lines, name), name, name, {}))


def only_sentence(text):
    (document,) = parse(text)
    (sentence,) = document.sentences
    return sentence


def texts(corpus):
    return [[s.text for s in d.sentences] for d in corpus.documents()]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ------------------------------------------------------------------ CoNLL-U


def test_conllu_columns_become_annotations():
    sentence = only_sentence(
        HEADER
        + "# newdoc id = a\n# up_layer = yes\n"
        + row(1, "Ann", "PROPN", 2, "nsubj", tag="B-PER")
        + row(2, "paid", "VERB", 0, "root", predicate="pay.01", spans="ARG0:1-1|R-ARGM-LOC:3-4")
        + row(3, "the", "DET", 4, "det")
        + row(4, "fox", "NOUN", 2, "obj:x", misc="Gloss=a|SpaceAfter=No")
        + row(5, ".", "PUNCT", 2, "punct")
        + "\n"
    )
    assert sentence == Sentence(
        text="Ann paid the fox.",
        words=("Ann", "paid", "the", "fox", "."),
        starts=(0, 4, 9, 13, 16),
        pos=("PROPN", "VERB", "DET", "NOUN", "PUNCT"),
        heads=(1, -1, 3, 1, 1),
        relations=("nsubj", "root", "det", "obj:x", "punct"),
        entities=("B-PER", "O", "O", "O", "O"),
        frames=(Frame(1, (("ARG0", 0, 0), ("R-ARGM-LOC", 2, 3))),),
    )


def test_an_annotation_that_is_missing_in_a_sentence_is_none():
    text = HEADER + "# up_layer = no\n" + row(1, "Yes", tag="_", upos="_", head="_")
    sentence = only_sentence(text)
    assert (sentence.pos, sentence.heads, sentence.entities, sentence.frames) == (None,) * 4
    assert only_sentence(HEADER + row(1, "Yes")).frames == ()


def test_contractions_share_out_their_surface_and_empty_nodes_are_passed_over():
    text = HEADER + row("1-2", "Don't", misc="SpaceAfter=No") + row(1, "Do") + row(2, "n't")
    text += row(3, ",") + row("3.1", "nothing") + row("4-5", "zum") + row(4, "zu") + row(5, "dem") + row(6, "Arzt")
    sentence = only_sentence(text)
    assert sentence.text == "Don't, zum Arzt"
    assert sentence.words == ("Do", "n't", ",", "zum", "zum", "Arzt")
    assert sentence.starts == (0, 2, 5, 7, 7, 11)


def test_newdoc_begins_a_document_with_or_without_identifier():
    text = "# newdoc\n" + _plain("a") + "# newdoc id = named\n" + _plain("b") + _plain("c") + "# newdoc\n" + _plain("d")
    found = {d.id: [s.text for s in d.sentences] for d in parse(text)}
    assert found == {"x.conllup#1": ["a"], "named": ["b", "c"], "x.conllup#3": ["d"]}


def _plain(form):
    return "\t".join(["1", form, *["_"] * 8]) + "\n\n"


def test_the_last_sentence_needs_no_blank_line_and_line_ends_may_be_windows(tmp_path):
    text = "\ufeff# newdoc id = a\r\n" + _plain("one").replace("\n", "\r\n") + _plain("two").rstrip("\n")
    assert texts(load(put(tmp_path / "a.conllu", text))) == [["one", "two"]]


@pytest.mark.parametrize(
    ("columns", "tasks"),
    [
        (STANDARD, ("pos", "dep")),
        (COLUMNS, TASKS),
        (("ID", "FORM"), ()),
        (("ID", "FORM", "HEAD"), ()),
        (("FORM", "ID", "NER"), ("ner",)),
        (("ID", "FORM", "UPOS", "UP:PRED"), ("pos",)),
        (("UP:ARGSPANS", "UP:PRED", "ID", "FORM", "DEPREL", "HEAD"), ("dep", "srl")),
    ],
)
def test_the_columns_decide_the_tasks(tmp_path, columns, tasks):
    cells = {"ID": "1", "FORM": "Yes", "HEAD": "0", "NER": "O", "UNER:TAG": "O"}
    text = f"# global.columns = {' '.join(columns)}\n" + "\t".join(cells.get(c, "_") for c in columns) + "\n"
    corpus = load(put(tmp_path / "a.conllup", text))
    assert corpus.tasks == tasks
    assert texts(corpus) == [["Yes"]]


@pytest.mark.parametrize(
    ("text", "line", "found", "expected"),
    [
        (HEADER + "1\tYes\t_\n", 2, "3 columns", "13 separated by tabs"),
        ("1\tYes\t_\n", 1, "3 columns", "none are declared"),
        (HEADER + row("a", "Yes"), 2, "ID 'a'", "a number"),
        (HEADER + row("9" * 5000, "Yes"), 2, "ID '999", "a number"),
        (HEADER + row(1, "Yes") + row(3, "No"), 3, "ID 3", "word 2"),
        (HEADER + row("1-2", "Yes") + row(1, "Yes"), 3, "end of the sentence", "word 2"),
        (HEADER + row("1-2", "Yes") + row("1-3", "Yes"), 3, "ID 1-3", "word 1"),
        (HEADER + row("0.1", "nothing"), 2, "after 0 words", "word 1"),
        (HEADER + row(1, " "), 2, "empty column FORM", "a value"),
        (HEADER + row(1, "Yes", head="x"), 2, "HEAD 'x'", "0 for the root"),
        (HEADER + row(1, "Yes", head="9" * 5000), 2, "HEAD '999", "0 for the root"),
        (HEADER + row(1, "Yes", head=2), 2, "HEAD '2'", "0 for the root"),
        (HEADER + row(1, "Yes", head=-1), 2, "HEAD '-1'", "0 for the root"),
        (HEADER + row(1, "Yes", head=1), 2, "HEAD '1'", "another word"),
        (HEADER + row(1, "Yes", tag="PER"), 2, "'PER'", "IOB2"),
        (HEADER + row(1, "Yes", tag="I-PER"), 2, "'I-PER' after 'O'", "IOB2"),
        (HEADER + row(1, "A", tag="B-LOC") + row(2, "B", tag="I-PER"), 3, "'I-PER' after 'B-LOC'", "IOB2"),
        (HEADER + row(1, "Yes", predicate="be.01", spans="ARG0"), 2, "'ARG0'", "ROLE:first-last"),
        (HEADER + row(1, "Yes", predicate="be.01", spans="ARG0:1-2"), 2, "'ARG0:1-2'", "1 to 1"),
        (HEADER + row(1, "Yes", predicate="be.01", spans="A:1-1|"), 2, "''", "joined by '|'"),
        (HEADER + row(1, "Yes", spans="ARG0:1-1"), 2, "without a UP:PRED", "'_'"),
        ("# global.columns = ID LEMMA\n1\tyes\n", 1, "no column FORM", "FORM"),
        ("# global.columns = ID FORM ID\n1\tyes\t1\n", 1, "ID twice", "once"),
        (_plain("a") + HEADER + _plain("b"), 3, "'# global.columns'", "before any word"),
    ],
)
def test_a_fault_in_conllu_names_line_finding_and_expectation(text, line, found, expected):
    with pytest.raises(UserError) as raised:
        parse(text, "folder/x.conllup")
    said = str(raised.value)
    assert said.startswith(f"folder/x.conllup, line {line}: found ")
    before, after = said.split("expected", 1)
    assert found in before
    assert expected in after


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5)
cells = names.filter(lambda cell: cell != "_")


@st.composite
def annotated_sentences(draw):
    words = draw(st.lists(names, min_size=1, max_size=6))
    n = len(words)
    text, starts = "", []
    for word in words:
        starts.append(len(text))
        text += word + draw(st.sampled_from(["", " "]))
    text = text.rstrip(" ")

    def maybe(element):
        return draw(st.none() | st.tuples(*[element] * n))

    heads = maybe(st.integers(-1, n - 1))
    if heads is not None:
        heads = tuple(-1 if head == i else head for i, head in enumerate(heads))
    span = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).map(sorted)
    role = cells.filter(lambda cell: "|" not in cell)
    argument = st.tuples(role, span).map(lambda pair: (pair[0], *pair[1]))
    predicates = draw(st.none() | st.sets(st.integers(0, n - 1), max_size=n))
    return Sentence(
        text=text,
        words=tuple(words),
        starts=tuple(starts),
        pos=maybe(cells),
        heads=heads,
        relations=None if heads is None else draw(st.tuples(*[cells] * n)),
        entities=_iob2(maybe(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]))),
        frames=None
        if predicates is None
        else tuple(Frame(p, tuple(draw(st.lists(argument, max_size=3)))) for p in sorted(predicates)),
    )


def _iob2(tags):
    """Mend tags so that an entity begins with B-."""
    if tags is None:
        return None
    mended = ["O"]
    for tag in tags:
        mended.append("B" + tag[1:] if tag[0] == "I" and mended[-1][1:] != tag[1:] else tag)
    return tuple(mended[1:])


@given(st.lists(st.lists(annotated_sentences(), min_size=1, max_size=3), max_size=3))
@settings(max_examples=80, deadline=None)
def test_what_is_written_as_conllu_is_read_back(sentence_lists):
    documents = [Document(f"d{i}", tuple(s)) for i, s in enumerate(sentence_lists)]
    file = io.StringIO()
    write(documents, file)
    assert parse(file.getvalue()) == documents


def test_shared_surface_forms_are_written_as_contractions():
    sentence = Sentence("zum Arzt", ("zum", "zum", "Arzt"), (0, 0, 4), pos=("ADP", "DET", "NOUN"))
    file = io.StringIO()
    write([Document("d", (sentence,))], file)
    assert "1-2\tzum\t" in file.getvalue()
    assert only_sentence(file.getvalue()) == sentence


@pytest.mark.parametrize(
    ("sentence", "why"),
    [
        (Sentence("Raw text."), "no words"),
        (Sentence("a  b", ("a", "b"), (0, 3)), "do not make up its text"),
        (Sentence(" a", ("a",), (1,)), "do not make up its text"),
        (Sentence("a b", ("a",), (0,)), "do not make up its text"),
        (Sentence("a\tb", ("a\tb",), (0,)), "tab"),
        (Sentence("a", ("a",), (0,), frames=(Frame(0, ()), Frame(0, ()))), "two frames"),
        (Sentence("a", ("a",), (0,), frames=(Frame(3, ()),)), "predicate"),
    ],
)
def test_what_conllu_cannot_hold_is_refused(sentence, why):
    with pytest.raises(UserError, match=why):
        write([Document("d", (sentence,))], io.StringIO())


# ------------------------------------------------------------------ raw text


@given(st.text(max_size=400) | st.text("aB .?!\"'(\n", max_size=400))
@settings(max_examples=200, deadline=None)
@example("Mr. A said. " * 3000)
@example("a" * 25_000 + ". B " + "c " * 15_000)
def test_segmentation_loses_only_white_space(text):
    found = [s.text for s in sentences(text)]
    assert "".join("".join(s.split()) for s in found) == "".join(text.split())
    assert all(s == " ".join(s.split()) and s for s in found)


def test_wide_white_space_before_a_full_stop_is_read():
    assert [s.text for s in sentences("It cost 5\u00a0. A\u3000.")] == ["It cost 5 .", "A ."]


def test_a_line_break_ends_a_sentence_and_abbreviations_do_not():
    text = "A title\nDr. Smith met J. K. Rowling. It rained 3.5 mm."
    assert [s.text for s in sentences(text)] == ["A title", "Dr. Smith met J. K. Rowling.", "It rained 3.5 mm."]


def test_blank_lines_stand_between_documents_of_plain_text(tmp_path):
    corpus = load(put(tmp_path / "a.txt", "\n One. Two.\nThree.\n \n\nFour.\n\n"))
    assert texts(corpus) == [["One.", "Two.", "Three."], ["Four."]]
    assert [d.id for d in corpus.documents()] == ["a.txt#1", "a.txt#2"]
    assert corpus.flags == ()


@pytest.mark.parametrize(("name", "line"), [("a.txt", "Number {}.\n"), ("a.conllu", "1\tword{}" + "\t_" * 8 + "\n\n")])
def test_a_corpus_without_document_marks_is_cut_into_documents_of_20_sentences(tmp_path, name, line):
    corpus = load(put(tmp_path / name, "".join(line.format(i) for i in range(45))))
    assert [len(t) for t in texts(corpus)] == [20, 20, 5]
    assert corpus.flags == (CUT_FLAG,)
    assert "20 sentences" in corpus.describe()


def test_in_a_folder_each_text_file_is_a_document(tmp_path):
    for name in "ab":
        put(tmp_path / f"{name}.txt", f"This is {name}.\n" * 30)
    corpus = load(tmp_path)
    assert [(d.id, len(d.sentences)) for d in corpus.documents()] == [("a.txt#1", 30), ("b.txt#1", 30)]
    assert corpus.flags == ()


def test_jsonl_rows_are_documents(tmp_path):
    rows = [
        {"id": "x", "text": "One. Two.\nThree"},
        {"id": 7, "text": "Four.", "more": 1},
        {"text": " "},
        {"text": "Five."},
    ]
    corpus = load(put(tmp_path / "a.jsonl", "\n\n".join(map(json.dumps, rows))))
    found = {d.id: [s.text for s in d.sentences] for d in corpus.documents()}
    assert found == {"x": ["One.", "Two.", "Three"], "7": ["Four."], "a.jsonl#3": ["Five."]}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('{"text": "a"', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("9" * 5000, "no JSON"),
        ('["text"]', "a list"),
        ('"text"', "a text"),
        ("3", "a number"),
        ('{"txt": "a"}', "no 'text' (keys: 'txt')"),
        ('{"text": null}', "null as 'text'"),
        ('{"text": "a", "id": [1]}', "a list as 'id'"),
        ('{"text": "a", "id": true}', "true or false as 'id'"),
        ('{"text": "a \\ud800"}', "lone surrogate"),
    ],
)
def test_a_fault_in_jsonl_names_line_finding_and_expectation(tmp_path, line, found):
    path = put(tmp_path / "a.jsonl", '{"text": "Fine."}\n' + line + "\n")
    with pytest.raises(UserError) as raised:
        load(path).count()
    said = str(raised.value)
    assert said.startswith(f"{path}, line 2: found ")
    assert found in said
    assert "expected" in said


WIKITEXT = """
 = Ann Fox =

 The fox , a well @-@ known one , paid 1 @,@ 000 @.@ 50 . It ran .

 = = Life = =

 = = = Youth = = =

 She was 5 .
 = 1 henry and capacitance C =
 More of it .

 = Bob =

 He " is " .
"""


def test_wikitext_titles_begin_documents_and_headings_are_dropped(tmp_path):
    corpus = load(put(tmp_path / "w.tokens", WIKITEXT))
    assert [d.id for d in corpus.documents()] == ["w.tokens#1 Ann Fox", "w.tokens#2 Bob"]
    assert texts(corpus) == [
        [
            "The fox, a well-known one, paid 1,000.50.",
            "It ran.",
            "She was 5.",
            "= 1 henry and capacitance C =",
            "More of it.",
        ],
        ['He "is".'],
    ]


@pytest.mark.parametrize(
    ("tokens", "written"),
    [
        (
            "She said , \" no ! \" ( and left ) ; it 's Linnaeus ' idea .",
            "She said, \"no!\" (and left); it's Linnaeus' idea.",
        ),
        ("Don 't we ' ll ' in O 'Neill", "Don't we 'll' in O'Neill"),
        ("US $ 5 @.@ 3 million at 7 : 30 in 1950 – 51 – a year", "US $5.3 million at 7:30 in 1950–51 – a year"),
        ("Dallas / Fort Worth : 5 % [ sic ]", "Dallas/Fort Worth: 5% [sic]"),
        ('" Angel " and " Fox "', '"Angel" and "Fox"'),
    ],
)
def test_tokenised_spacing_is_undone(tokens, written):
    assert detokenise(tokens) == written


@given(st.text(" a1\"'()@-,.:–/$sé", max_size=60))
def test_undoing_tokenised_spacing_keeps_every_character(text):
    plain = text.replace("@-@", "-").replace("@,@", ",").replace("@.@", ".")
    assert Counter("".join(detokenise(plain).split())) == Counter("".join(plain.split()))


# ------------------------------------------------------------------ files, folders, names


def test_a_folder_mixes_formats_and_passes_over_the_rest(tmp_path):
    put(tmp_path / "b" / "x.jsonl", '{"id": "one", "text": "One."}')
    put(tmp_path / "a.conllup", HEADER + "# newdoc id = two\n" + row(1, "Two"))
    put(tmp_path / "notes.md", "No.")
    put(tmp_path / ".hidden" / "y.txt", "No.")
    corpus = load(tmp_path)
    assert [d.id for d in corpus.documents()] == ["two", "one"]
    assert corpus.tasks == TASKS
    assert [d.id for d in load(str(tmp_path / "*" / "*.jsonl")).documents()] == ["one"]


def test_one_file_twice_in_a_folder_is_refused(tmp_path):
    put(tmp_path / "a.txt", "One.")
    put(tmp_path / "b.txt", "Two.")
    put(tmp_path / "copy" / "a.txt", "One.")
    for source in (tmp_path, tmp_path / "**" / "*.txt"):
        with pytest.raises(UserError, match="same content"):
            load(source)
    assert load(tmp_path / "*.txt").count() == (2, 2)


def test_a_link_to_a_file_beside_it_is_refused(tmp_path):
    put(tmp_path / "a.txt", "One.")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    with pytest.raises(UserError, match="same content"):
        load(tmp_path)


def test_one_identifier_twice_is_refused_with_both_places(tmp_path):
    put(tmp_path / "a.jsonl", '{"id": "x", "text": "One."}')
    put(tmp_path / "b.jsonl", '{"text": "Two."}\n{"id": "x", "text": "Three."}')
    with pytest.raises(UserError) as raised:
        load(tmp_path).count()
    assert f"{tmp_path / 'b.jsonl'}, line 2: found document 'x'" in str(raised.value)
    assert f"{tmp_path / 'a.jsonl'}, line 1" in str(raised.value)


def test_a_missing_file_suggests_near_names(tmp_path):
    put(tmp_path / "corpus.conllup", "x")
    with pytest.raises(UserError, match=r"no such file.*Did you mean '.*corpus\.conllup'"):
        load(tmp_path / "corpus.conllu")
    with pytest.raises(UserError, match="Did you mean 'grammar'"):
        load("gramar")
    for source in ("x" * 5000, "a\0b", str(tmp_path / "no" / "where.txt")):
        with pytest.raises(UserError, match="no such file"):
            load(source)


@pytest.mark.parametrize(
    ("name", "said"), [("a.pdf", r"unknown file extension '\.pdf'.*\.conllu"), ("a", "unknown file extension ''")]
)
def test_an_unknown_extension_lists_the_known_ones(tmp_path, name, said):
    with pytest.raises(UserError, match=said):
        load(put(tmp_path / name, "x"))


def test_a_folder_or_glob_without_readable_files_is_an_error(tmp_path):
    put(tmp_path / "a.pdf", "x")
    for source in (tmp_path, tmp_path / "*.pdf", tmp_path / "*.txt"):
        with pytest.raises(UserError, match="expected files ending in"):
            load(source)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("content", ["", "\n \n", "\ufeff"])
def test_an_empty_corpus_is_an_error(tmp_path, extension, content):
    with pytest.raises(UserError, match="found no sentences"):
        load(put(tmp_path / f"a{extension}", content))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_bytes_that_are_not_utf8_are_named_with_their_position(tmp_path, extension):
    start = b'{"text": "Fine"}\n' if extension == ".jsonl" else b"\n\n" if "conllu" in extension else b"Fine.\n\n"
    path = put(tmp_path / f"a{extension}", start + "naïve\n".encode("latin-1"))
    with pytest.raises(UserError) as raised:
        load(path).count()
    line = start.count(b"\n") + 1
    assert f"{path}, line {line}: found byte 0xef at byte {len(start) + 2} of the file" in str(raised.value)
    assert "expected UTF-8" in str(raised.value)


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(limit):
    with pytest.raises(UserError, match="limit"):
        load(["a"], limit=limit)


@pytest.mark.parametrize(
    ("limit", "sizes"), [(1, [1]), (3, [3]), (4, [3, 1]), (5, [3, 2]), (99, [3, 2]), (None, [3, 2])]
)
def test_the_limit_counts_sentences_and_cuts_the_document(tmp_path, limit, sizes):
    path = put(tmp_path / "a.txt", "A. B. C.\n\nD. E.\n".replace(". ", ".\n"))
    for source in (path, ["A.\nB.\nC.", "D.\nE."], iter(["A.\nB.\nC.", "D.\nE."])):
        corpus = load(source, limit=limit)
        assert [len(t) for t in texts(corpus)] == sizes
        assert [len(t) for t in texts(corpus)] == sizes, "a corpus can be read again"
        assert corpus.count() == (len(sizes), sum(sizes))


def test_files_are_read_lazily(tmp_path):
    path = put(tmp_path / "a.conllu", "# newdoc\n" + _plain("a") + "# newdoc\n" + _plain("b") + "broken\n")
    assert next(load(path, limit=1).documents()).sentences[0].text == "a"
    with pytest.raises(UserError, match="line 7"):
        load(path).count()


def test_sha256_is_that_of_the_bytes_of_a_file_and_of_all_files_of_a_folder(tmp_path):
    path = put(tmp_path / "a.txt", "One.\n")
    assert load(path).sha256 == hashlib.sha256(b"One.\n").hexdigest() == load(path, limit=1).sha256
    put(tmp_path / "b.txt", "Two.\n")
    both = load(tmp_path).sha256
    put(tmp_path / "b.txt", "Three.\n")
    assert both != load(tmp_path).sha256


def test_sha256_of_an_iterable_is_that_of_its_content():
    same = [load(["One.", "Two."]).sha256, load(iter(["One.", "Two."])).sha256]
    assert same[0] == same[1]
    assert len({same[0], load(["One.", "Three."]).sha256, load(["One. Two."]).sha256}) == 3


# ------------------------------------------------------------------ Python iterables


def test_an_iterable_gives_texts_mappings_and_documents():
    ready = Document("ready", (Sentence("Six", ("Six",), (0,), pos=("NUM",), frames=()),))
    corpus = load(["One. Two.", {"id": "x", "text": "Three."}, {"text": "Four.\nFive."}, "", ready])
    assert [d.id for d in corpus.documents()] == ["document 1", "x", "document 3", "ready"]
    assert texts(corpus) == [["One.", "Two."], ["Three."], ["Four.", "Five."], ["Six"]]
    assert corpus.tasks == ("pos", "srl")


def test_a_generator_is_read_once_and_kept():
    taken = []

    def generate():
        for i in range(1000):
            taken.append(i)
            yield f"Number {i}."

    corpus = load(generate(), limit=3)
    assert texts(corpus) == texts(corpus) == [["Number 0."], ["Number 1."], ["Number 2."]]
    assert taken == [0, 1, 2]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (5, "found int, expected the name of a corpus"),
        (None, "found NoneType"),
        ({"text": "a"}, "found dict"),
        (b"text", "found bytes"),
        ([], "found no sentences"),
        ([" ", ""], "found no sentences"),
        ([3], "item 1 of the list of documents: found int"),
        (["a", {"txt": 1}], "item 2 .* found no 'text'"),
        (["a", {"id": "document 1", "text": "b"}], "item 2 .* found document 'document 1'"),
        (["a\ud800"], "lone surrogate"),
        ([Document("d", (Sentence("a", ("a",), (1,)),))], "word 'a' is not at offset 1"),
        ([Document("d", (Sentence("a", ("a",), (0,), pos=("X", "Y")),))], "2 pos for 1 words"),
        ([Document("d", (Sentence("a", ("a",), (0,), heads=(-1,)),))], "only one of heads and relations"),
        (
            [Document("d", (Sentence("a", ("a",), (0,), heads=(4,), relations=("x",)),))],
            "points outside of the 1 words",
        ),
        ([Document("d", (Sentence("a", ("a",), (0,), frames=(Frame(0, (("A", 1, 0),)),)),))], "first before last"),
    ],
)
def test_what_is_no_document_is_refused(source, said):
    with pytest.raises(UserError, match=said):
        load(source).count()


# ------------------------------------------------------------------ the built-in generator


def test_the_built_in_generator_ends_without_a_limit():
    corpus = load("grammar")
    assert corpus.limit == GRAMMAR_SENTENCES
    assert f"up to {GRAMMAR_SENTENCES:,} sentences" in corpus.describe()
    assert corpus.tasks == TASKS


def test_generated_documents_depend_on_the_seed_and_survive_writing_and_reading(tmp_path):
    corpus = load("grammar", limit=100, seed=3)
    documents = list(corpus.documents())
    assert corpus.count() == (len(documents), 100)
    assert documents == list(load("grammar", limit=100, seed=3).documents())
    assert corpus.sha256 == load("grammar", limit=100, seed=3).sha256 != load("grammar", limit=100, seed=4).sha256
    with (tmp_path / "a.conllup").open("w", encoding="utf-8") as file:
        write(documents, file)
    assert list(load(tmp_path / "a.conllup").documents()) == documents


# ------------------------------------------------------------------ Hugging Face


@pytest.fixture
def hub(monkeypatch):
    """Stands in for the network: splits by dataset name and configuration."""
    datasets = pytest.importorskip("datasets")
    stored = {}

    def load_dataset(path, config, *, streaming):
        assert streaming
        if (path, config) not in stored:
            raise FileNotFoundError(f"Dataset {path} not found")
        rows = {name: list(given) for name, given in stored[path, config].items()}
        return {name: datasets.IterableDataset.from_generator(lambda r=r: iter(r)) for name, r in rows.items()}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return stored


def test_a_dataset_is_streamed_and_its_split_chosen(hub):
    hub["me/text", None] = {
        "train": [{"text": "One. Two."}, {"text": ""}, {"text": "Three."}],
        "test": [{"text": "Four."}],
    }
    assert texts(load("me/text")) == [["Four."]]
    assert texts(load("me/text::train")) == [["One.", "Two."], ["Three."]]
    assert texts(load("me/text::train", limit=1)) == [["One."]]
    with pytest.raises(UserError, match="found splits train, test, expected validation"):
        load("me/text::validation")


def test_rows_that_are_lines_of_wikitext_are_read_as_wikitext(hub):
    hub["me/wiki", "raw"] = {"validation": [{"text": line + "\n"} for line in WIKITEXT.split("\n")]}
    corpus = load("me/wiki:raw")
    assert [d.id for d in corpus.documents()] == ["me/wiki:raw#1 Ann Fox", "me/wiki:raw#2 Bob"]
    assert corpus.flags == ()


def test_a_dataset_that_cannot_be_read_is_one_sentence(hub):
    with pytest.raises(UserError, match=r"'you/text': the Hugging Face dataset could not be read .*not found"):
        load("you/text")
    hub["me/labels", None] = {"test": [{"label": 1}]}
    with pytest.raises(UserError, match=r"row 1: found no 'text' .keys: 'label'"):
        load("me/labels")


def test_a_missing_extra_is_said_with_its_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'mspgt\[datasets\]'"):
        load("me/text")


# ------------------------------------------------------------------ fuzzing

PIECES = st.sampled_from(
    [
        "# newdoc id = a",
        "# newdoc",
        HEADER.strip(),
        "# global.columns = ID FORM NER",
        "# up_layer = no",
        "#",
        "",
        " ",
        "\t",
    ]
    + [row(i, "w").strip() for i in (1, 2, "1-2", "1.1", 0, "x")]
    + [row(1, "w", tag="B-X", predicate="p", spans="A:1-1").strip(), row(2, "w", head=1, tag="I-X").strip()]
    + [
        "1\ta\tO",
        " = Title = ",
        "= = H = =",
        'said , " x @-@ y " .',
        '{"text": "A. B."}',
        '{"id": 1, "text": "x"}',
        "{}",
    ]
)
CONTENT = st.one_of(
    st.binary(max_size=120),
    st.text(max_size=120).map(lambda text: text.encode()),
    st.lists(PIECES | st.text(max_size=8), max_size=12).map(lambda lines: "\n".join(lines).encode()),
)


@pytest.mark.parametrize("extension", EXTENSIONS)
@given(content=CONTENT)
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_documents_or_a_user_error(extension, content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{extension}"
        path.write_bytes(content)
        try:
            documents = list(load(path).documents())
        except UserError:
            return
    assert len({d.id for d in documents}) == len(documents)
    for sentence in (s for d in documents for s in d.sentences):
        assert sentence.text.strip()
        for word, start in zip(sentence.words, sentence.starts, strict=True):
            assert sentence.text[start : start + len(word)] == word


# ------------------------------------------------------------------ real corpora


@pytest.mark.shared_data
def test_the_english_web_treebank_has_its_known_counts(shared_data):
    corpus = load(shared_data / "ewt")
    found = [s for d in corpus.documents() for s in d.sentences]
    assert corpus.count() == (634, 4078)
    assert sum(len(s.words) for s in found) == 50241
    assert corpus.tasks == TASKS
    assert corpus.flags == ()
    assert sum(s.frames is None for s in found) == 57
    assert sum(s.entities is None for s in found) == 6
    assert all(s.pos and s.heads and s.relations for s in found)


@pytest.mark.shared_data
def test_the_text_of_the_treebank_is_rebuilt_from_its_words(shared_data):
    path = shared_data / "ewt" / "en_ewt-dev.conllup"
    given = [
        line.removeprefix("# text = ") for line in path.read_text("utf-8").split("\n") if line.startswith("# text = ")
    ]
    assert [s.text for d in load(path).documents() for s in d.sentences] == given


@pytest.mark.shared_data
def test_the_treebank_survives_writing_and_reading(shared_data, tmp_path):
    documents = list(load(shared_data / "ewt" / "en_ewt-test.conllup").documents())
    with (tmp_path / "again.conllup").open("w", encoding="utf-8") as file:
        write(documents, file)
    assert list(load(tmp_path / "again.conllup").documents()) == documents


@pytest.mark.shared_data
def test_wikitext_validation_has_60_articles(shared_data):
    corpus = load(shared_data / "wikitext-103" / "wiki.valid.tokens")
    documents, found = corpus.count()
    assert documents == 60
    assert found == pytest.approx(7900, rel=0.02)
    joined = " ".join(s.text for d in corpus.documents() for s in d.sentences)
    assert "@-@" not in joined
    assert " ( " not in joined
    assert load(shared_data / "wikitext-103").count()[0] == 120


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_current_folder(name):
    with pytest.raises(UserError, match="data= is empty"):
        load(name)
