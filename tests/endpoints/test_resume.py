"""A run that is killed while it asks goes on where it was, and pays for nothing again."""

import signal
import subprocess
import sys
import time

from endpoints.server import Server
from vantage.endpoints import EndpointSettings, open_endpoint

RUN = """
import sys
from vantage.endpoints import EndpointSettings, open_endpoint
settings = EndpointSettings(url=sys.argv[1], model="echo", cache=sys.argv[2], concurrency=4, temperature=1.0, seed=0)
with open_endpoint(settings) as endpoint:
    asked = [[{"role": "user", "content": f"q {i % 50}"}] for i in range(100)]
    print(*(reply.text for reply in endpoint.ask_many_sync(asked)), sep=",")
    print(endpoint.stats.calls)
"""


def test_a_killed_run_goes_on_and_pays_for_nothing_again(tmp_path):
    with Server(latency=0.05) as server:

        def start():
            arguments = [sys.executable, "-c", RUN, server.url, str(tmp_path / "cache")]
            return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

        first = start()
        while len(server.paid) < 30:
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        before = len(server.paid)
        second = start()
        replies, calls = second.communicate(timeout=60)[0].splitlines()
        assert replies == ",".join(f"Q {i % 50}" for i in range(100))
        # What was under way in the instant of the kill, at most one request a slot, is lost.
        assert 100 - before <= int(calls) <= 100 - before + 4
        settings = {"url": server.url, "model": "echo", "cache": tmp_path / "cache", "temperature": 1.0, "seed": 0}
        with open_endpoint(EndpointSettings(**settings)) as third:
            found = third.ask_many_sync([[{"role": "user", "content": f"q {i % 50}"}] for i in range(100)])
            assert ",".join(reply.text for reply in found) == replies
            assert third.stats.calls == 0 and all(reply.cached for reply in found)
