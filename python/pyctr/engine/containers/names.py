"""Generated names: an adjective and a person who made computing or networks what they are."""

from __future__ import annotations

import os

_ADJECTIVES = (
    "able agile amber ample apt ardent artful astute balanced blithe bold brave breezy bright brisk bubbly calm candid "
    "careful cheery chipper civil clear clever cosy crisp curious dapper daring deft diligent earnest easy elated "
    "faithful fearless fine fluent fond frank free fresh gallant gentle gifted glad golden grand happy hardy hearty "
    "humble ideal jaunty jolly jovial keen kind lively loyal lucid lucky mellow merry mighty mirthful modest neat nimble "
    "noble open patient peppy placid plucky polite prompt proud pure quick quiet radiant rapid ready robust rosy sage "
    "serene sharp shiny silent smart smooth snappy solid sound spry steady stoic sturdy subtle sunny swift tender tidy "
    "tranquil trusty upbeat valiant vivid warm wary willing wise witty worthy zany zesty"
).split()
_PEOPLE = (
    "aho allen babbage backus bartik bell berners blackwell boole borg brooks cerf church clarke cocke conway corbato "
    "cray dahl dijkstra easley engelbart estrin floyd fisher gray goldberg hamilton hamming holberton hoare hopper "
    "iverson jennings johnson joy kahn karp kay kernighan kilburn kilby kleene kleinrock knuth lamarr lamport lampson "
    "liskov lovelace mauchly mccarthy mcclellan metcalfe meyer micali milner minsky moore naur neumann newell noyce "
    "nygaard papert pascal pearl perlis perlman pike postel rabin ritchie rivest sammet scott shannon shaw spence "
    "stallman steele sutherland tarjan tanenbaum thompson torvalds turing ullman valiant wilkes wilkinson wing wirth "
    "yao zuse"
).split()


def random_name() -> str:
    """``adjective_surname``."""
    number = int.from_bytes(os.urandom(8), "big")
    rest, adjective = divmod(number, len(_ADJECTIVES))
    return f"{_ADJECTIVES[adjective]}_{_PEOPLE[rest % len(_PEOPLE)]}"
