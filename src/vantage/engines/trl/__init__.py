"""One machine (or several under accelerate): TRL's trainer, unforked."""

from vantage.engines.trl.trainer import VantageTrainer

__all__ = ["VantageTrainer"]
