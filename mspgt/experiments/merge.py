"""`mspgt merge`: one run from several over disjoint documents, as if they had been one."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from mspgt.config.shared import Place
from mspgt.core.errors import UserError
from mspgt.core.files import writing
from mspgt.experiments.run import conclude, config_of
from mspgt.experiments.workspace import Workspace, existing, workspace
from mspgt.measure.corpora import CorpusIdentity
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.shards import shards
from mspgt.measure.store import Manifest
from mspgt.results.run import Run


def merge(paths: Sequence[str], out: str, overwrite: bool, console: Console) -> Run:
    """One run from several over disjoint documents, as if they had been one.

    Raises
    ------
    UserError: fewer than two runs, fingerprints that differ, shared documents.
    """
    if len(paths) < 2:
        raise UserError("merge needs at least two run directories: mspgt merge A B out=C.")
    parts = [existing(path, Run.kind) for path in paths]
    if Path(out).resolve() in {p.path.resolve() for p in parts}:
        raise UserError(f"out={out} is one of the runs to merge; name another directory.")
    manifests = [part.store.complete_manifest() for part in parts]
    _check(parts, manifests)
    with workspace(Place(out, overwrite), Run.kind, "merged", console, temporary=False) as w:
        return _merged(parts, manifests, w)


def _merged(parts: Sequence[Workspace], manifests: Sequence[Manifest], w: Workspace) -> Run:
    first = manifests[0]
    sources = {corpus: _together([m.data[corpus] for m in manifests]) for corpus in first.data}
    config = config_of(parts[0].path)
    options = replace(config.options, out=str(w.path), data=sources["data"].name)
    config = replace(config, options=options)
    manifest = replace(
        first,
        data=sources,
        notes=tuple(dict.fromkeys(note for m in manifests for note in m.notes)),
        left_out=tuple(dict.fromkeys(sentence for m in manifests for sentence in m.left_out)),
        sequences=None,  # until all are there
    )
    w.open(manifest, config.as_dict())
    for corpus in sources:
        for number, part in enumerate(parts[:1] if _shared(manifests, corpus) else parts):
            folder = w.store.folder(corpus, 0)
            folder.mkdir(parents=True, exist_ok=True)
            for shard in shards(part.store.folder(corpus, 0)):
                with writing(folder / f"part{number}-{shard.name}") as temporary:
                    shutil.copyfile(shard, temporary)
    w.store.write_manifest(replace(manifest, sequences={c: len(w.store.done(c, 0)) for c in sources}))
    return conclude(w, config, time.time(), "cpu")


def _check(parts: Sequence[Workspace], manifests: Sequence[Manifest]) -> None:
    """Refuse runs whose fingerprints differ, with several passes, of other corpora, or with shared documents."""
    corpora = list(manifests[0].data)
    for part, manifest in zip(parts, manifests, strict=True):
        check_fingerprint(manifests[0].fingerprint, manifest.fingerprint, f"the fingerprint of {part.path}")
        if manifest.passes > 1:
            raise UserError(
                f"{part.path} used a signal with {manifest.passes} passes, the later of which depend on all "
                "documents; run it over both corpora in one run instead (data= takes a glob)."
            )
        if list(manifest.data) != corpora:
            raise UserError(
                f"{parts[0].path} read {' and '.join(corpora)}, {part.path} read {' and '.join(manifest.data)}: "
                "merge runs that were all given labels=, or none."
            )
    for corpus in (c for c in corpora if not _shared(manifests, c)):
        seen: dict[str, Path] = {}
        for part in parts:
            documents = {key.document for key in part.store.done(corpus, 0)}
            for document in documents & seen.keys():
                raise UserError(
                    f"document {document!r} stands in {seen[document]} and in {part.path}; "
                    "merge runs over disjoint documents."
                )
            seen |= dict.fromkeys(documents, part.path)


def _shared(manifests: Sequence[Manifest], corpus: str) -> bool:
    """Whether every part read the same second corpus, which then counts once."""
    read = {(m.data[corpus].sha256, m.data[corpus].limit) for m in manifests}
    return corpus != "data" and len(read) == 1


def _together(parts: Sequence[CorpusIdentity]) -> CorpusIdentity:
    return CorpusIdentity(
        name=" + ".join(dict.fromkeys(p.name for p in parts)),
        sha256="+".join(dict.fromkeys(p.sha256 or "" for p in parts)),
        limit=parts[0].limit,
        flags=tuple(dict.fromkeys(flag for p in parts for flag in p.flags)),
    )
