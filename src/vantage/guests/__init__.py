"""Guests: models beside the policy whose answers join its groups (Vision-EKIPL, arXiv 2506.06856)."""

from vantage.guests.base import Guest, Refusal, Utterance
from vantage.guests.settings import GuestSettings, GuestsSettings
from vantage.guests.table import Asked, Guests
from vantage.guests.tokens import aligned_logprobs, end_of_turn, represent

__all__ = [
    "Asked",
    "Guest",
    "GuestSettings",
    "Guests",
    "GuestsSettings",
    "Refusal",
    "Utterance",
    "aligned_logprobs",
    "end_of_turn",
    "represent",
]
