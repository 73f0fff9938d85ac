"""Merging on disk: the shards of runs over disjoint documents, copied into one run directory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from mspgt.core.errors import UserError
from mspgt.core.files import writing
from mspgt.experiments.rundir import RunDir
from mspgt.measure.fingerprint import check_fingerprint
from mspgt.measure.shards import shards


def check_mergeable(parts: list[RunDir]) -> list[dict[str, Any]]:
    """The manifests of runs that may be merged.

    Raises
    ------
    UserError: fingerprints differ, a run is unfinished, or a document stands in two parts.
    """
    manifests = [part.complete_manifest() for part in parts]
    corpora = list(manifests[0]["data"])
    for part, manifest in zip(parts[1:], manifests[1:], strict=True):
        check_fingerprint(manifests[0]["fingerprint"], manifest["fingerprint"], f"the fingerprint of {part.path}")
    for manifest, part in zip(manifests, parts, strict=True):
        if manifest["passes"] > 1:
            raise UserError(
                f"{part.path} used a signal with {manifest['passes']} passes, the later of which depend on all "
                "documents; run it over both corpora in one run instead (data= takes a glob)."
            )
        if list(manifest["data"]) != corpora:
            raise UserError(
                f"{parts[0].path} read {' and '.join(corpora)}, {part.path} read {' and '.join(manifest['data'])}: "
                "merge runs that were all given labels=, or none."
            )
    _require_disjoint(parts, [c for c in corpora if not _shared(manifests, c)])
    return manifests


def _shared(manifests: list[dict[str, Any]], corpus: str) -> bool:
    """Whether every part read the same second corpus, which then counts once."""
    read = [(m["data"][corpus]["sha256"], m["data"][corpus].get("limit")) for m in manifests]
    return corpus != "data" and len(set(read)) == 1


def merge_runs(parts: list[RunDir], out: RunDir) -> None:
    """Copy the shards of runs that `check_mergeable` found fit into one run; nothing is fitted yet."""
    manifests = [part.manifest() for part in parts]
    for corpus in manifests[0]["data"]:
        for i, part in enumerate(parts[:1] if _shared(manifests, corpus) else parts):
            folder = out.pass_folder(corpus, 0)
            folder.mkdir(parents=True, exist_ok=True)
            for shard in shards(part.pass_folder(corpus, 0)):
                with writing(folder / f"part{i}-{shard.name}") as temporary:
                    shutil.copyfile(shard, temporary)


def _require_disjoint(parts: list[RunDir], corpora: list[str]) -> None:
    for corpus in corpora:
        seen: dict[str, Path] = {}
        for part in parts:
            documents = {key.document for key in part.done(corpus, 0)}
            for document in documents & seen.keys():
                raise UserError(
                    f"document {document!r} stands in {seen[document]} and in {part.path}; "
                    "merge runs over disjoint documents."
                )
            seen |= dict.fromkeys(documents, part.path)
