"""A page in the browser: ask a model about pictures, and see whether all of them together tell more than each alone.

``vantage app`` opens it with the embedded models. In a program, give it models of your own:

    from vantage import app
    app.serve([app.Way("my model", pipeline, reasoner=endpoint)])

It needs Gradio: ``pip install 'vantage-rl[app]'``.
"""

from vantage.app.page import build, serve
from vantage.app.ways import Way, embedded

__all__ = ["Way", "build", "embedded", "serve"]
