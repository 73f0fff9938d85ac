"""The sentence structures: phrases with their alternatives, and schemata, in the notation of `template`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from mspgt.grammar.english import table, text
from mspgt.grammar.lexicon import VERBS
from mspgt.grammar.template import Outline, Phrase, compile_phrase, compile_schema


@dataclass(frozen=True)
class Schema:
    """A sentence structure: its weight before topic and mixture, the tag that topics may favour, its template."""

    weight: float
    tag: str
    template: str


def _nouns(lines: str, noun: str, adjective: str) -> str:
    return lines.replace("N.", f"{noun}.").replace("ADJ", adjective)


def _verbs(lines: str, verb: str, number: str) -> str:
    be, have = (("was", "is"), "has") if number == "sg" else (("were", "are"), "have")
    lines = lines.replace("WAS", be[0]).replace("IS", be[1]).replace("HAS", have)
    return lines.replace("be.N", f"be.{number}").replace("V.", f"{verb}.")


def _phrase_texts() -> dict[str, str]:
    part: dict[str, str] = table("phrases")["parts"]
    texts = dict(table("phrases")["phrases"])
    agent, thing, person = {}, {}, {}
    for number in ("sg", "pl"):
        common = part[f"common_{number}"]
        agent[number] = _nouns(common, "agent", "adj.human") + part.get(f"agent_{number}", "")
        thing[number] = _nouns(common, "thing", "adj") + part[f"thing_{number}"].replace("ADJ", "adj")
        person[number] = agent[number] + part[f"person_{number}"]
        texts[f"np.common.{number}"] = agent[number]
        texts[f"np.person.{number}"] = person[number]
        texts[f"np.agent.{number}"] = person[number] + (part["organisation"] if number == "sg" else "")
        texts[f"np.thing.{number}"] = thing[number]
        texts[f"cop.{number}"] = _verbs(part["copula"], "", number)
        for verb in VERBS:
            texts[f"vg.{verb}.{number}"] = _verbs(part[f"verb_{number}"], verb, number)
            texts[f"vp.{verb}.{number}"] = _verbs(part["passive"], verb, number)
    texts["np.human"] = agent["sg"] + agent["pl"]
    texts["np.thing"] = thing["sg"] + thing["pl"]
    texts["np.by"] = texts["np.human"] + part["agent_by"]
    return texts


def _schemata() -> dict[str, Schema]:
    schemata = {}
    for block in re.split(r"\n(?=\S)", text("schemata.txt").strip()):
        header, *template = block.splitlines()
        name, weight, tag = header.split()
        schemata[name] = Schema(float(weight), tag, " ".join(line.strip() for line in template))
    return schemata


SCHEMATA: dict[str, Schema] = _schemata()


@cache
def phrases() -> dict[str, Phrase]:
    """Compile every phrase."""
    return {name: compile_phrase(lines) for name, lines in _phrase_texts().items()}


@cache
def outlines() -> tuple[Outline, ...]:
    """Compile every schema to its outlines, in the order of `SCHEMATA`."""
    return tuple(p for name, s in SCHEMATA.items() for p in compile_schema(name, s.template, phrases()))
