"""Engines: what runs a method. They ask it for its four choices and never for its name."""
