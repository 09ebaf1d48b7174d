# SPDX-License-Identifier: Apache-2.0
"""Readable random names, such as `calm-heron-427`, for versions and runs that were given none."""

import random
from typing import Final

_ADJECTIVES: Final = """
    able agile amber ample arctic bold brave brief bright brisk calm candid clear clever coral crisp curious daring
    deep eager early fair fast fine fond frank fresh gentle glad golden grand happy honest humble jolly keen kind
    lively loyal lucid lucky merry mild modest neat nimble noble patient plain polite prime proud quick quiet rapid
    ready robust rosy sharp silent silver sincere smart smooth solid steady sunny swift tidy true upbeat vivid warm
    wise witty
"""
_NOUNS: Final = """
    acorn alder apple aspen badger beaver birch bison cedar cherry clover condor coyote crane cricket curlew daisy
    deer dolphin eagle egret elm falcon fern finch fox gazelle gecko hare hawk heron ibis iris jackal jay kestrel
    koala lark lemur lily lotus lynx magpie maple marten mole moose newt oak olive osprey otter owl panda pine
    plover poplar quail rabbit raven robin rowan salmon seal sorrel sparrow stork swan thistle thrush tiger trout
    tulip walnut willow wren
"""


def random_name() -> str:
    """An adjective, a noun and a number: about five million of them."""
    # An application may seed the shared generator. Then two processes would invent the same name.
    source = random.SystemRandom()
    return f"{source.choice(_ADJECTIVES.split())}-{source.choice(_NOUNS.split())}-{source.randrange(100, 1000)}"
