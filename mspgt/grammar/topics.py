"""The lexicons of the topics: which nouns, verbs and adjectives each topic adds to the general words."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Topic:
    """The words of one discourse topic, each a text of lemmas separated by spaces, most frequent first."""

    agent: str
    """people, as nouns"""
    thing: str
    """countable things"""
    place: str
    """countable places"""
    event: str
    """countable events, used in expressions of time"""
    vt: str
    """verbs: a person does it to a thing"""
    vi: str
    """verbs: a person does it"""
    vu: str
    """verbs: it happens to a thing"""
    adj: str
    """adjectives of things"""
    style: dict[str, float] = field(default_factory=dict)
    """factor on the weight of the schemata that carry a tag"""


TOPICS: dict[str, Topic] = {
    "medicine": Topic(
        agent="doctor nurse patient surgeon paramedic pharmacist dentist midwife",
        thing="bandage tablet wound vaccine syringe symptom prescription fracture scalpel bruise stretcher tumour "
        "stethoscope thermometer pill remedy",
        place="clinic hospital ward pharmacy laboratory",
        event="operation consultation transplant",
        vt="treat examine prescribe diagnose monitor inject sterilise disinfect cure relieve inspect scan",
        vi="recover faint cough rest",
        vu="worsen heal spread",
        adj="painful chronic acute sterile surgical contagious clinical fatal",
        style={"passive": 1.8, "time": 1.3},
    ),
    "law": Topic(
        agent="lawyer judge witness juror defendant prosecutor clerk solicitor",
        thing="contract verdict lawsuit clause petition warrant statute testimony indictment plea subpoena "
        "affidavit alibi precedent dispute testament",
        place="court courtroom tribunal chamber jail",
        event="trial hearing sentencing",
        vt="sign dismiss overturn draft contest enforce uphold revoke amend settle notarise violate",
        vi="testify plead object deliberate",
        vu="expire lapse collapse",
        adj="legal criminal binding lawful judicial disputed civil corrupt",
        style={"report": 2.0, "passive": 1.4, "question": 1.3},
    ),
    "football": Topic(
        agent="player coach goalkeeper referee striker defender captain fan",
        thing="ball trophy penalty goal jersey medal tactic whistle tackle corner pass helmet boot net banner "
        "championship",
        place="stadium pitch gym arena",
        event="match tournament final",
        vt="kick win lose defend block catch throw dribble celebrate save score intercept",
        vi="sprint train cheer sweat",
        vu="bounce swerve roll",
        adj="defensive decisive athletic unbeaten spectacular competitive professional fierce",
        style={"coordination": 1.8, "simple": 1.4},
    ),
    "music": Topic(
        agent="singer pianist composer conductor violinist drummer guitarist listener",
        thing="song melody guitar violin drum symphony trumpet album chord lyric flute rhythm concerto tune "
        "microphone anthem",
        place="auditorium conservatory stage club",
        event="concert rehearsal festival",
        vt="play compose sing record rehearse conduct perform arrange hum strum tune transcribe",
        vi="improvise whistle dance harmonise",
        vu="echo resonate fade",
        adj="melodic loud acoustic gentle harmonious rhythmic orchestral haunting",
        style={"relative": 1.6, "place": 1.3},
    ),
    "farming": Topic(
        agent="farmer shepherd rancher beekeeper vet harvester grower ploughman",
        thing="tractor cow crop fence seed goat hen plough sheep calf apple pumpkin turnip scarecrow "
        "wheelbarrow haystack",
        place="field barn meadow orchard stable",
        event="harvest fair drought",
        vt="plant water harvest feed milk sow plough shear prune irrigate fertilise weed",
        vi="toil dig whittle",
        vu="ripen grow sprout wither",
        adj="fertile ripe rural organic muddy seasonal barren leafy",
        style={"simple": 1.5, "adverbial": 1.5},
    ),
    "sailing": Topic(
        agent="sailor skipper navigator fisherman diver steward mariner helmsman",
        thing="anchor sail rope mast rudder compass hull deck yacht buoy lifeboat chart ferry trawler cannon oar",
        place="harbour dock island bay port",
        event="voyage regatta storm",
        vt="steer moor hoist tow navigate launch salvage row patch board unload rig",
        vi="swim fish drown shiver",
        vu="sink drift capsize leak",
        adj="stormy nautical salty coastal seaworthy tidal maritime rusty",
        style={"place": 1.8, "adverbial": 1.3},
    ),
    "cooking": Topic(
        agent="chef cook waiter baker butcher diner caterer brewer",
        thing="recipe cake sauce pan onion knife loaf pie oven potato carrot spoon omelette kettle pancake sausage",
        place="kitchen restaurant bakery canteen market",
        event="banquet dinner tasting",
        vt="bake fry roast chop stir taste boil grill season knead peel serve",
        vi="dine feast snack",
        vu="burn simmer melt cool",
        adj="delicious spicy sweet bitter crispy tender stale greasy",
        style={"coordination": 1.6, "infinitive": 1.4},
    ),
    "education": Topic(
        agent="teacher student pupil professor lecturer tutor librarian headmaster",
        thing="essay lesson exam textbook assignment diploma grade dictionary notebook scholarship syllabus "
        "timetable blackboard worksheet riddle theorem",
        place="school classroom library university campus",
        event="lecture seminar graduation",
        vt="teach study grade memorise revise explain solve learn summarise recite annotate translate",
        vi="read graduate cheat daydream",
        vu="matter resume stall",
        adj="academic difficult elementary scholarly compulsory optional theoretical instructive",
        style={"question": 1.8, "transfer": 1.5},
    ),
    "banking": Topic(
        agent="banker investor accountant broker trader auditor cashier shareholder",
        thing="loan mortgage share invoice budget dividend asset bond cheque deposit portfolio currency tax "
        "pension fee voucher",
        place="bank branch vault exchange",
        event="auction merger crisis",
        vt="finance audit purchase approve borrow withdraw insure calculate repay refund forecast transfer",
        vi="profit speculate haggle retire",
        vu="soar plunge stagnate",
        adj="financial profitable risky solvent monetary taxable fiscal lucrative",
        style={"report": 1.6, "transfer": 1.8, "passive": 1.2},
    ),
    "computing": Topic(
        agent="programmer developer user hacker administrator tester analyst designer",
        thing="server laptop program database file password browser router keyboard algorithm virus processor "
        "script website interface compiler",
        place="office lab workspace warehouse",
        event="upgrade hackathon outage",
        vt="install debug compile encrypt download upload configure delete reboot test hack optimise",
        vi="type click tinker",
        vu="crash freeze overheat",
        adj="digital portable virtual obsolete compatible automatic faulty wireless",
        style={"passive": 1.6, "infinitive": 1.5},
    ),
    "construction": Topic(
        agent="builder architect carpenter plumber electrician bricklayer engineer surveyor",
        thing="brick wall beam crane ladder roof pipe window tile hammer girder scaffold staircase foundation "
        "blueprint chimney",
        place="site tower workshop basement bridge",
        event="inspection demolition renovation",
        vt="build paint demolish weld measure plaster renovate reinforce assemble insulate varnish dismantle",
        vi="labour climb hammer",
        vu="crumble collapse rust",
        adj="concrete wooden sturdy steep structural hollow cracked modular",
        style={"passive": 1.5, "relative": 1.3},
    ),
    "astronomy": Topic(
        agent="astronomer scientist astronaut physicist observer researcher cosmonaut mathematician",
        thing="telescope planet star comet galaxy rocket satellite asteroid orbit meteor lens nebula crater "
        "probe eclipse spectrum",
        place="observatory planetarium spaceport laboratory",
        event="launch mission conference",
        vt="observe measure detect discover photograph map predict calibrate track magnify launch simulate",
        vi="theorise stargaze marvel",
        vu="explode rotate vanish glow",
        adj="distant bright lunar solar cosmic orbital celestial gaseous",
        style={"report": 1.5, "relative": 1.6, "copula": 1.4},
    ),
    "politics": Topic(
        agent="minister senator mayor voter diplomat candidate governor ambassador",
        thing="treaty bill reform policy ballot campaign speech motion decree amendment manifesto scandal alliance "
        "coalition slogan pamphlet",
        place="parliament embassy ministry capital",
        event="election summit debate",
        vt="oppose support propose reject veto ratify endorse negotiate denounce abolish publish finance",
        vi="resign vote campaign abstain",
        vu="prevail succeed escalate",
        adj="political democratic national liberal conservative diplomatic controversial electoral",
        style={"report": 2.2, "question": 1.5},
    ),
    "art": Topic(
        agent="painter artist sculptor curator collector photographer illustrator critic",
        thing="portrait canvas statue brush sketch sculpture mural frame landscape easel mosaic pigment etching "
        "fresco vase tapestry",
        place="gallery museum studio courtyard",
        event="exhibition auction opening",
        vt="paint sketch carve restore display frame admire draw exhibit collect sculpt forge",
        vi="doodle muse experiment",
        vu="fade crack shimmer",
        adj="abstract colourful vivid priceless antique decorative ornate elegant",
        style={"relative": 1.8, "copula": 1.6},
    ),
    "travel": Topic(
        agent="passenger driver tourist traveller porter guide commuter inspector",
        thing="train ticket suitcase carriage platform passport tunnel locomotive wagon postcard tram bicycle "
        "rucksack brochure visa reservation",
        place="station hotel airport terminal depot",
        event="journey tour strike",
        vt="book cancel reserve board drive pack unload stamp postpone delay photograph visit",
        vi="commute travel wander hitchhike",
        vu="derail halt depart",
        adj="scenic crowded punctual foreign overnight remote comfortable exotic",
        style={"motion": 3.0, "time": 1.6, "place": 1.4},
    ),
    "wildlife": Topic(
        agent="biologist ranger hunter zookeeper ecologist botanist naturalist birdwatcher",
        thing="wolf eagle bear nest owl fox deer turtle feather beetle butterfly snake den squirrel whale antelope",
        place="forest swamp jungle desert reserve",
        event="expedition migration wildfire",
        vt="hunt track protect chase observe capture release study rescue tag sight photograph",
        vi="camp hike tiptoe",
        vu="vanish multiply perish",
        adj="wild rare endangered nocturnal venomous tropical furry aquatic",
        style={"place": 1.6, "copula": 1.5, "adverbial": 1.3},
    ),
}
