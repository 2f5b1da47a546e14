"""How a recipe names the reasoner that policy captions are trained for."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vantage.captions.prompts import Prompts
from vantage.captions.reading import AnswerIn
from vantage.captions.reward import CaptionReward, Leakage
from vantage.endpoints import Endpoint, EndpointSettings, open_endpoint


class ReasonerSettings(BaseModel):
    """A text model that answers from what the policy writes of the pictures; its success trains the policy."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    endpoint: EndpointSettings
    """Which model, and where: the settings, or one line such as ``http://127.0.0.1:8000/v1#model``."""
    reward: str | None = None
    """Reward that verifies its answers; each row's own where null."""
    prompts: Prompts = Prompts()
    """What the policy and the reasoner are told."""
    leakage: Leakage = "log"
    """What becomes of a caption that states an answer: ``log``, ``penalty`` or ``strip``."""
    penalty: float = Field(default=0.5, gt=0)
    """Taken from the reward of such a caption, where leakage is ``penalty``."""
    max_failed: float = Field(default=0.2, ge=0, le=1)
    """Share of a batch's captions whose calls may fail; more stop the run, its state saved."""
    answer_in: AnswerIn = "auto"
    """How the verifying reward is handed the answer; see ``vantage.captions.CaptionReward``."""
    others: list[EndpointSettings] = []
    """Further reasoners of the evaluations before and after, which take no part in training."""

    @field_validator("endpoint", mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        return EndpointSettings.parse(value) if isinstance(value, str) else value

    @field_validator("others", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return [cls._one(entry) for entry in value] if isinstance(value, list) else value

    def open(self, replies: Path | None = None) -> CaptionReward:
        """The reward that asks it.

        Args:
            replies: keeps what a server says, unless the endpoint has settled that.
        """
        endpoint = self.endpoint if replies is None else self.endpoint.keeping(replies)
        chosen = {key: getattr(self, key) for key in ("prompts", "leakage", "penalty", "max_failed", "answer_in")}
        return CaptionReward(open_endpoint(endpoint), inner=self.reward, **chosen)

    def open_others(self, replies: Path | None = None) -> list[Endpoint]:
        """The further reasoners, ready to be asked; as ``open``."""
        return [open_endpoint(one if replies is None else one.keeping(replies)) for one in self.others]
