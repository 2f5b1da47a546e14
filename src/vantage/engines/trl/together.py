"""A failure of one process of which every process learns: the others would wait for its rewards without end."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.utils import gather, gather_object
from torch import Tensor

from vantage.errors import EngineError


class Together:
    """Raises in every process where one of them fails.

    Args:
        accelerator: knows the processes.

    Attributes:
        stopped: whether every process has raised, so that all may go on together, for example to save.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.stopped = False

    def gathered(self, compute: Callable[[], Tensor], rows: int, columns: int) -> Tensor:
        """What ``compute`` returns, if it does so in every process.

        Args:
            compute: ends by gathering (rows, columns) floats, and talks to no other process before.
            rows: of this process.
            columns: of every process.

        Raises:
            Exception: what ``compute`` raised here.
            EngineError: it raised in other processes only; names them and the first reason.
        """
        alone = self._accelerator.num_processes == 1
        fault: Exception | None = None
        found = torch.empty(0)
        try:
            found = compute()
        except Exception as error:
            if alone:
                raise
            fault = error
            # The others gather already; the flag below is the next thing that all do.
            gather(torch.full((rows, columns), math.nan, device=self._accelerator.device))
        if alone:
            return found
        flag = torch.tensor([fault is not None], dtype=torch.int32, device=self._accelerator.device)
        if not gather(flag).any():
            return found
        said = gather_object([None if fault is None else f"{type(fault).__name__}: {fault}"])
        self.stopped = True
        if fault is not None:
            raise fault
        failed = [number for number, reason in enumerate(said) if reason is not None]
        raise EngineError(
            f"stopped with process {', '.join(map(str, failed))} of {len(said)}, which failed: {said[failed[0]]}"
        )
