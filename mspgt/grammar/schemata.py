"""The sentence structures: phrases with their alternatives, and schemata, in the notation of `template`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from mspgt.grammar.lexicon import VERBS
from mspgt.grammar.template import Phrase, Plan, compile_phrase, compile_schema


@dataclass(frozen=True)
class Schema:
    """A sentence structure: its weight before topic and mixture, the tag that topics may favour, its template."""

    weight: float
    tag: str
    template: str


_COMMON_SG = """
8 the *N.sg
5 a *N.sg
3 the ADJ *N.sg
3 a ADJ *N.sg
1 a degree:advmod ADJ *N.sg
1 every *N.sg
1 this *N.sg"""
_COMMON_PL = """
6 the *N.pl
2 *N.pl
3 num *N.pl
2 ADJ *N.pl
2 the ADJ *N.pl
1 some *N.pl
1 many *N.pl
1 several *N.pl
1 the num *N.pl
1 these *N.pl"""
_THING_SG = """
2 per.poss:nmod:poss *thing.sg
1 org.poss:nmod:poss *thing.sg
1 fam.poss:nmod:poss *thing.sg
2 the *thing.sg [ prep.noun the *thing.sg ]:nmod
1 the *thing.sg [ in the *place.sg ]:nmod
1 the *thing.sg [ from *loc ]:nmod
1 the place.sg:compound *thing.sg"""
_THING_PL = """
2 per.poss:nmod:poss *thing.pl
1 org.poss:nmod:poss *thing.pl
2 the *thing.pl [ prep.noun the *thing.sg ]:nmod
1 the *thing.pl [ in the *place.sg ]:nmod
1 several ADJ *thing.pl"""
_AGENT_SG = "\n1 the *agent.sg [ from the *place.sg ]:nmod\n1 the *agent.sg [ from *loc ]:nmod"
_PERSON_SG = "\n22 *per.nom"
_PERSON_PL = "\n9 *fam.nom"
_ORGANISATION = "\n5 *org.nom"

_VERB_SG = """
30 *V.past
14 *V.s
8 will *V.base
5 modal *V.base
6 has *V.part
4 is *V.ing
3 was *V.ing
4 did not *V.base
3 does not *V.base
2 will not *V.base
2 has not *V.part
3 adv.freq *V.s
2 adv.freq *V.past"""
_VERB_PL = """
30 *V.past
14 *V.base
8 will *V.base
5 modal *V.base
6 have *V.part
4 are *V.ing
3 were *V.ing
4 did not *V.base
3 do not *V.base
2 will not *V.base
2 have not *V.part
3 adv.freq *V.base
2 adv.freq *V.past"""
_PASSIVE = """
20 WAS:aux:pass *V.part
10 IS:aux:pass *V.part
5 HAS been:aux:pass *V.part
5 will be:aux:pass *V.part
3 modal be:aux:pass *V.part
4 WAS:aux:pass not *V.part
2 HAS not been:aux:pass *V.part"""
_COPULA = """
12 *be.N
3 will^:aux=ARGM-MOD *be
2 modal^:aux=ARGM-MOD *be
2 HAS^:aux *been
4 *be.N not^:advmod=ARGM-NEG"""
_TIME = "\n4 on *weekday\n2 in *month\n3 *adv.time:advmod\n4 prep.time the *event.sg"
_PLACE = "\n5 prep.place the *place.sg\n3 in *loc"


def _nouns(lines: str, noun: str, adjective: str) -> str:
    return lines.replace("N.", f"{noun}.").replace("ADJ", adjective)


def _verbs(lines: str, verb: str, number: str) -> str:
    be, have = (("was", "is"), "has") if number == "sg" else (("were", "are"), "have")
    lines = lines.replace("WAS", be[0]).replace("IS", be[1]).replace("HAS", have)
    return lines.replace("be.N", f"be.{number}").replace("V.", f"{verb}.")


def _phrase_texts() -> dict[str, str]:
    agent = {
        "sg": _nouns(_COMMON_SG, "agent", "adj.human") + _AGENT_SG,
        "pl": _nouns(_COMMON_PL, "agent", "adj.human"),
    }
    thing = {
        "sg": _nouns(_COMMON_SG, "thing", "adj") + _THING_SG.replace("ADJ", "adj"),
        "pl": _nouns(_COMMON_PL, "thing", "adj") + _THING_PL.replace("ADJ", "adj"),
    }
    person = {"sg": agent["sg"] + _PERSON_SG, "pl": agent["pl"] + _PERSON_PL}
    texts = {
        "np.human": agent["sg"] + agent["pl"],
        "np.thing": thing["sg"] + thing["pl"],
        "np.by": agent["sg"] + agent["pl"] + "\n6 *per.name\n4 *org.name",
        "np.thing.plain": "3 the *thing.sg\n2 a *thing.sg\n2 the adj *thing.sg\n2 the *thing.pl\n1 num *thing.pl",
        "np.exist.sg": "3 a *thing.sg\n2 a adj *thing.sg\n1 no *thing.sg",
        "np.exist.pl": "2 some *thing.pl\n2 num *thing.pl\n1 many *thing.pl\n1 adj *thing.pl\n1 no *thing.pl",
        "np.kind.sg": "2 a *agent.sg\n2 a adj.human *agent.sg\n1 the *agent.sg",
        "np.title": "2 a adj.human *agent.sg\n1 a *agent.sg\n1 the *agent.sg",
        "np.kind.pl": "2 *agent.pl\n2 adj.human *agent.pl",
        "ap": "3 *adj\n1 degree:advmod *adj",
        "ap.human": "3 *adj.human\n1 degree:advmod *adj.human",
        "time": _TIME,
        "time?": "20 -" + _TIME,
        "place": _PLACE,
        "place?": "14 -" + _PLACE,
        "mnr?": "3 -\n2 *adv.mnr",
    }
    for number in ("sg", "pl"):
        texts[f"np.common.{number}"] = agent[number]
        texts[f"np.person.{number}"] = person[number]
        texts[f"np.agent.{number}"] = person[number] + (_ORGANISATION if number == "sg" else "")
        texts[f"np.thing.{number}"] = thing[number]
        texts[f"cop.{number}"] = _verbs(_COPULA, "", number)
        for verb in VERBS:
            texts[f"vg.{verb}.{number}"] = _verbs(_VERB_SG if number == "sg" else _VERB_PL, verb, number)
            texts[f"vp.{verb}.{number}"] = _verbs(_PASSIVE, verb, number)
    return texts


_SCHEMATA = """
intransitive 5 simple
    np.person#1:nsubj=ARG0 *vg.vi#1 mnr?:advmod=ARGM-MNR time?:obl=ARGM-TMP .
transitive 8 simple
    np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 time?:obl=ARGM-TMP .
transitive-manner 3 simple
    np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 adv.mnr=ARGM-MNR .
transitive-place 4 place
    np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 place:obl=ARGM-LOC .
unaccusative 3 simple
    np.thing#1:nsubj=ARG1 *vg.vu#1 time?:obl=ARGM-TMP .
unaccusative-place 2 place
    np.thing#1:nsubj=ARG1 *vg.vu#1 place:obl=ARGM-LOC .
place-first 2 place
    place:obl=ARGM-LOC , np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 .
time-first 2 time
    [ on *weekday ]:obl=ARGM-TMP , np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 .
event-first 2 time
    [ prep.time the *event.sg ]:obl=ARGM-TMP , np.person#1:nsubj=ARG0 *vg.vi#1 place?:obl=ARGM-LOC .
comment 2 simple
    adv.sent:advmod=ARGM-ADV , np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 .
instrument 2 simple
    np.person#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 [ with *np.thing.plain ]:obl=ARGM-MNR .
preposition-for 2 simple
    np.person#1:nsubj=ARG0 *vg.vfor#1 [ for *np.thing ]:obl=ARG1 time?:obl=ARGM-TMP .
preposition-on 2 simple
    np.agent#1:nsubj=ARG0 *vg.von#1 [ on *np.thing ]:obl=ARG1 .
motion 3 motion
    np.person#1:nsubj=ARG0 *vg.vm#1 [ to *loc ]:obl=ARGM-GOL time?:obl=ARGM-TMP .
motion-place 2 motion
    np.person#1:nsubj=ARG0 *vg.vm#1 [ to the *place.sg ]:obl=ARGM-GOL time?:obl=ARGM-TMP .
ditransitive 3 transfer
    np.agent#1:nsubj=ARG0 *vg.vd#1 np.human:iobj=ARG2 np.thing.plain:obj=ARG1 .
ditransitive-person 2 transfer
    np.common#1:nsubj=ARG0 *vg.vd#1 per.acc:iobj=ARG2 np.thing.plain:obj=ARG1 .
dative 3 transfer
    np.agent#1:nsubj=ARG0 *vg.vd#1 np.thing:obj=ARG1 [ to *np.human ]:obl=ARG2 .
dative-family 1 transfer
    np.common#1:nsubj=ARG0 *vg.vd#1 np.thing:obj=ARG1 [ to *fam.acc ]:obl=ARG2 .
passive 3 passive
    np.thing#1:nsubj:pass=ARG1 *vp.vt#1 time?:obl=ARGM-TMP .
passive-agent 3 passive
    np.thing#1:nsubj:pass=ARG1 *vp.vt#1 [ by *np.by ]:obl=ARG0 .
passive-place 2 passive
    np.thing#1:nsubj:pass=ARG1 *vp.vt#1 place:obl=ARGM-LOC .
passive-recipient 2 passive
    np.person#1:nsubj:pass=ARG2 *vp.vd#1 np.thing.plain:obj=ARG1 [ by *np.human ]:obl=ARG0 .
passive-person 1 passive
    np.person#1:nsubj:pass=ARG1 *vp.vh#1 [ by *np.human ]:obl=ARG0 .
copula-adjective 4 copula
    np.thing#1:nsubj=ARG1/1 cop#1:cop *ap=ARG2/1 .
copula-person 2 copula
    np.person#1:nsubj=ARG1/1 cop#1:cop *ap.human=ARG2/1 .
copula-noun 2 copula
    np.person#1:nsubj=ARG1/1 cop#1:cop *np.kind#1=ARG2/1 .
copula-place 2 place
    np.thing#1:nsubj=ARG1/1 cop#1:cop *place=ARG2/1 .
comparison 2 copula
    np.thing#1:nsubj=ARG1/1 cop#1:cop *adj.more=ARG2/1 [ than *np.thing ]:obl .
seem 2 copula
    np.person#1:nsubj=ARG1 *vg.vk#1 ap.human:xcomp=ARG2 .
existential 2 copula
    there:expl *exist#1 np.exist#1:nsubj=ARG1 place:obl=ARGM-LOC .
report 3 report
    np.agent#1:nsubj=ARG0 *vg.vs#1 [ that/SCONJ np.thing#2:nsubj=ARG1 *vg.vu#2 ]:ccomp=ARG1 .
report-action 3 report
    np.agent#1:nsubj=ARG0 *vg.vs#1 [ that/SCONJ np.agent#2:nsubj=ARG0 *vg.vt#2 np.thing:obj=ARG1
        ]:ccomp=ARG1 .
report-passive 2 report
    np.agent#1:nsubj=ARG0 *vg.vs#1 [ that/SCONJ np.thing#2:nsubj:pass=ARG1 *vp.vt#2 ]:ccomp=ARG1 .
report-copula 2 report
    np.agent#1:nsubj=ARG0/1 *vg.vs#1 [ that/SCONJ np.thing#2:nsubj=ARG1/2 cop#2:cop *ap=ARG2/2
        ]:ccomp=ARG1/1 .
ask-whether 2 report
    np.agent#1:nsubj=ARG0 *vg.vq#1 [ whether np.agent#2:nsubj=ARG0 *vg.vt#2 np.thing:obj=ARG1
        ]:ccomp=ARG1 .
ask-why 1 report
    np.agent#1:nsubj=ARG0 *vg.vq#1 [ why=ARGM-CAU np.thing#2:nsubj=ARG1 *vg.vu#2 ]:ccomp=ARG1 .
intention 3 infinitive
    np.agent#1:nsubj=ARG0,ARG0/2 *vg.vc#1 [ to/PART:mark *vt.base np.thing:obj=ARG1 ]:xcomp=ARG1 .
object-control 2 infinitive
    np.agent#1:nsubj=ARG0 *vg.vo#1 np.human:obj=ARG1,ARG0/2 [ to/PART:mark *vt.base
        np.thing:obj=ARG1 ]:xcomp=ARG2 .
gerund 2 infinitive
    np.person#1:nsubj=ARG0,ARG0/2 *vg.vg#1 [ *vt.ing np.thing:obj=ARG1 ]:xcomp=ARG1 .
purpose 2 infinitive
    np.person#1:nsubj=ARG0,ARG0/2 *vg.vt#1 np.thing:obj=ARG1 [ to/PART:mark *vt.base
        np.thing:obj=ARG1 ]:advcl=ARGM-PRP .
subject-relative 3 relative
    [ *np.common#1=ARG0/1 [ who:nsubj=R-ARG0 *vg.vt#1 np.thing:obj=ARG1 ]:acl:relcl ]:nsubj=ARG0
        *vg.vi#1 mnr?:advmod=ARGM-MNR .
subject-relative-object 2 relative
    np.agent#1:nsubj=ARG0 *vg.vh#1 [ *np.common#2=ARG0/2 [ who:nsubj=R-ARG0 *vg.vt#2
        np.thing:obj=ARG1 ]:acl:relcl ]:obj=ARG1 .
object-relative 3 relative
    np.agent#1:nsubj=ARG0 *vg.vt#1 [ *np.thing.plain=ARG1/2 [ that/PRON:obj=R-ARG1
        np.agent#2:nsubj=ARG0 *vg.vt#2 ]:acl:relcl ]:obj=ARG1 .
reduced-relative 2 relative
    [ *np.thing#1=ARG1/1 [ np.common#2:nsubj=ARG0 *vg.vt#2 ]:acl:relcl ]:nsubj=ARG1 *vg.vu#1 .
passive-relative 2 relative
    [ *np.thing#1=ARG1/1 [ which:nsubj:pass=R-ARG1 *vp.vt#1 ]:acl:relcl ]:nsubj=ARG1/2 cop#1:cop
        *ap=ARG2/2 .
participial 2 relative
    [ *np.thing#1=ARG1/1 [ *vt.part [ by *np.human ]:obl=ARG0 ]:acl ]:nsubj=ARG1 *vg.vu#1 .
place-relative 2 relative
    np.person#1:nsubj=ARG0 *vg.vm#1 [ to the *place.sg=ARGM-LOC/2 [ where=R-ARGM-LOC
        np.person#2:nsubj=ARG0 *vg.vi#2 ]:acl:relcl ]:obl=ARGM-GOL .
when-clause 3 adverbial
    [ when np.person#1:nsubj=ARG0 *vg.vi#1 ]:advcl=ARGM-TMP , np.agent#2:nsubj=ARG0 *vg.vt#2
        np.thing:obj=ARG1 .
because-clause 3 adverbial
    np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 [ because np.thing#2:nsubj=ARG1 *vg.vu#2
        ]:advcl=ARGM-CAU .
although-clause 2 adverbial
    [ although np.thing#1:nsubj=ARG1/1 cop#1:cop *ap=ARG2/1 ]:advcl=ARGM-ADV , np.agent#2:nsubj=ARG0
        *vg.vt#2 np.thing:obj=ARG1 .
if-clause 2 adverbial
    [ if np.thing#1:nsubj=ARG1 *vg.vu#1 ]:advcl=ARGM-ADV , np.agent#2:nsubj=ARG0 will:aux=ARGM-MOD
        *vt.base np.thing:obj=ARG1 .
before-gerund 2 adverbial
    [ before/SCONJ *vt.ing np.thing:obj=ARG1 ]:advcl=ARGM-TMP , np.person#1:nsubj=ARG0,ARG0/1
        *vg.vt#1 np.thing:obj=ARG1 .
while-clause 1 adverbial
    np.person#1:nsubj=ARG0 *vg.vi#1 [ while np.person#2:nsubj=ARG0 *vg.vt#2 np.thing:obj=ARG1
        ]:advcl=ARGM-TMP .
and-subjects 2 coordination
    [ *np.person.sg [ and *np.person.sg ]:conj ]:nsubj=ARG0 *vg.vi.pl time?:obl=ARGM-TMP .
and-objects 2 coordination
    np.agent#1:nsubj=ARG0 *vg.vt#1 [ *np.thing.plain [ and *np.thing.plain ]:conj ]:obj=ARG1 .
or-objects 1 coordination
    np.agent#1:nsubj=ARG0 *vg.vt#1 [ *np.thing.plain [ or *np.thing.plain ]:conj ]:obj=ARG1 .
and-verbs 3 coordination
    np.agent#1:nsubj=ARG0,ARG0/2 *vt.past np.thing.plain:obj=ARG1 [ and *vt.past np.thing:obj=ARG1
        ]:conj .
and-intransitive 2 coordination
    np.person#1:nsubj=ARG0,ARG0/2 *vi.past [ and *vi.past ]:conj time?:obl=ARGM-TMP .
but-clauses 3 coordination
    np.agent#1:nsubj=ARG0 *vg.vt#1 np.thing:obj=ARG1 [ , but np.thing#2:nsubj=ARG1 *vg.vu#2 ]:conj .
yes-no-question 2 question
    do#1:aux np.agent#1:nsubj=ARG0 *vt.base np.thing:obj=ARG1 time?:obl=ARGM-TMP ?
passive-question 2 question
    be#1:aux:pass np.thing#1:nsubj:pass=ARG1 *vt.part place?:obl=ARGM-LOC ?
copula-question 1 question
    be#1:cop np.thing#1:nsubj=ARG1/1 *ap=ARG2/1 ?
who-question 2 question
    who:nsubj=ARG0 *vg.vt.sg np.thing:obj=ARG1 ?
what-question 2 question
    what:obj=ARG1 do#1:aux np.agent#1:nsubj=ARG0 *vt.base time?:obl=ARGM-TMP ?
where-question 1 question
    where:advmod=ARGM-LOC do#1:aux np.agent#1:nsubj=ARG0 *vt.base np.thing:obj=ARG1 ?
why-question 1 question
    why:advmod=ARGM-CAU do#1:aux np.person#1:nsubj=ARG0 *vi.base ?
person-object 3 person
    per.nom:nsubj=ARG0 *vg.vh.sg per.rfx:obj=ARG1 time?:obl=ARGM-TMP .
person-helped 3 person
    np.common#1:nsubj=ARG0 *vg.vh#1 per.acc:obj=ARG1 place?:obl=ARGM-LOC .
family-object 1 person
    np.common#1:nsubj=ARG0 *vg.vh#1 fam.acc:obj=ARG1 .
apposition 2 person
    [ *per.name , np.title:appos ]:nsubj=ARG0 ,:punct *vg.vt.sg np.thing:obj=ARG1 .
organisation 2 report
    org.nom:nsubj=ARG0 *vg.vt.sg np.thing:obj=ARG1 [ in *loc ]:obl=ARGM-LOC .
partitive 1 simple
    [ *num [ of the *agent.pl ]:nmod ]:nsubj=ARG0 *vg.vt.pl np.thing:obj=ARG1 .
no-one 1 simple
    [ no *agent.sg ]:nsubj=ARG0 *vg.vt.sg np.thing:obj=ARG1 .
"""
"""name, weight and tag on one line; below it, indented, the template"""


def _schemata() -> dict[str, Schema]:
    found = {}
    for block in re.split(r"\n(?=\S)", _SCHEMATA.strip()):
        header, *template = block.splitlines()
        name, weight, tag = header.split()
        found[name] = Schema(float(weight), tag, " ".join(line.strip() for line in template))
    return found


SCHEMATA: dict[str, Schema] = _schemata()


@cache
def phrases() -> dict[str, Phrase]:
    """Compile every phrase."""
    return {name: compile_phrase(text) for name, text in _phrase_texts().items()}


@cache
def plans() -> tuple[Plan, ...]:
    """Compile every schema to its plans, in the order of `SCHEMATA`."""
    return tuple(p for name, s in SCHEMATA.items() for p in compile_schema(name, s.template, phrases()))
