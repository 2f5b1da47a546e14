"""``python -m vantage``, which launchers such as ``accelerate launch -m vantage`` need."""

from vantage.cli import app

if __name__ == "__main__":
    app()
