"""Prompt sharing: a prompt with its pictures is computed once for all of its completions."""

from vantage.sharing.attention import Layout, install, packed_mask, plain, set_attention
from vantage.sharing.configuration import Wanted, wanted
from vantage.sharing.decoding import Rollouts, Sampling, generate
from vantage.sharing.families import FAMILIES, Family, family_of
from vantage.sharing.packing import PER_TOKEN, Packed, pack
from vantage.sharing.pictures import encoded_once
from vantage.sharing.processing import processed_once
from vantage.sharing.update import LogProbs, completions_alone, inputs, log_probs

__all__ = [
    "FAMILIES",
    "PER_TOKEN",
    "Family",
    "Layout",
    "LogProbs",
    "Packed",
    "Rollouts",
    "Sampling",
    "Wanted",
    "completions_alone",
    "encoded_once",
    "family_of",
    "generate",
    "inputs",
    "install",
    "log_probs",
    "pack",
    "packed_mask",
    "plain",
    "processed_once",
    "set_attention",
    "wanted",
]
