"""The heads that ask about the cells of pictures while a tiny model is trained, and are thrown away."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from vantage.tiny.lessons import IGNORED, LEVELS, MOST_SOURCES
from vantage.worlds.canvas import CELLS


class CellHeads(nn.Module):
    """Asks, from a vector for each cell, what stands there and how far away; where wanted, also which cell it is.

    Args:
        width: of the vectors.
        kinds: how many kinds there are, none among them.
        places: weight of the questions of which cell a vector is and of which picture; there are none at 0.
        recall: weight of the questions of what the picture before shows in the same cell, and whether that differs.
    """

    def __init__(self, width: int, kinds: int, places: float = 0.0, recall: float = 0.0) -> None:
        super().__init__()
        self.kind, self.level = nn.Linear(width, kinds), nn.Linear(width, LEVELS)
        self._places, self._recall = places, recall
        if places:
            self.place, self.slot = nn.Linear(width, len(CELLS)), nn.Linear(width, MOST_SOURCES)
        if recall:
            self.earlier, self.differs = nn.Linear(width, kinds), nn.Linear(width, 2)

    def forward(
        self,
        cells: torch.Tensor,
        kinds: torch.Tensor,
        levels: torch.Tensor,
        slots: torch.Tensor | None = None,
        earlier: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean loss over cells.

        Args:
            cells: (pictures, 16, width).
            kinds: what they hold; (pictures, 16).
            levels: how far away that is; (pictures, 16).
            slots: which of its lesson's slots each picture stands in, not asked unless given; (pictures,).
            earlier: what the picture before shows in each cell, ``IGNORED`` of a first one; (pictures, 16).
        """
        kinds, levels = kinds.flatten(), levels.flatten()
        # Most cells are empty and easy; objects weigh more so that they are learned first.
        weight = torch.where(kinds > 0, 1.0, 0.2)
        kind = F.cross_entropy(self.kind(cells).flatten(0, 1), kinds, reduction="none")
        level = F.cross_entropy(self.level(cells).flatten(0, 1), levels, reduction="none")
        loss = ((kind + level) * weight).sum() / weight.sum()
        if self._places:
            here = torch.arange(len(CELLS)).repeat(len(cells))
            loss = loss + self._places * F.cross_entropy(self.place(cells).flatten(0, 1), here)
            if slots is not None:
                which = slots.repeat_interleave(len(CELLS))
                loss = loss + self._places * F.cross_entropy(self.slot(cells).flatten(0, 1), which)
        if self._recall and earlier is not None and (known := earlier.flatten() != IGNORED).any():
            there, now, before = cells.flatten(0, 1)[known], kinds[known], earlier.flatten()[known]
            weight = torch.where((now > 0) | (before > 0), 1.0, 0.2)
            asked = F.cross_entropy(self.earlier(there), before, reduction="none")
            asked = asked + F.cross_entropy(self.differs(there), (now != before).long(), reduction="none")
            loss = loss + self._recall * (asked * weight).sum() / weight.sum()
        return loss
