"""Pusher's server library for Python and Pysher, a client that speaks version 6, against the real broker."""

import json
import os
import pathlib
import queue
import re
import subprocess
import tempfile
import time
import unittest

import pusher
import pysher
from pusher.errors import PusherBadAuth, PusherBadRequest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("FANWIRE_BIN", ROOT / "target/debug/fanwire")
APP = {"id": "100", "key": "app-key", "secret": "app-secret"}

# A time-out for a machine that is ten times slower.
PATIENCE_S = 30


class PusherLibraries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        file = pathlib.Path(cls.directory.name) / "fanwire.toml"
        file.write_text("[[pusher.app]]\nid = '{id}'\nkey = '{key}'\nsecret = '{secret}'\n".format(**APP))
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--config", file]
        cls.broker = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in cls.broker.stdout:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                cls.port = int(found[1])
                break
        cls.server = cls.library(APP["secret"])

    @classmethod
    def tearDownClass(cls):
        cls.broker.terminate()
        assert cls.broker.wait(PATIENCE_S) == 0
        cls.broker.stdout.close()
        cls.directory.cleanup()

    @classmethod
    def library(cls, secret):
        return pusher.Pusher(app_id=APP["id"], key=APP["key"], secret=secret, host="127.0.0.1", port=cls.port, ssl=False)

    def connect(self):
        """Connects a client, and returns it once it is connected."""
        client = pysher.Pusher(APP["key"], secret=APP["secret"], custom_host="127.0.0.1", port=self.port, secure=False,
                               user_data={"user_id": "ann"})
        connected = queue.Queue()
        client.connection.bind("pusher:connection_established", connected.put)
        client.connect()
        self.addCleanup(client.disconnect, 1)
        connected.get(timeout=PATIENCE_S)
        return client

    def subscribe(self, client, name, event):
        """Subscribes to a channel, and returns what its events carry from then on."""
        events = queue.Queue()
        client.subscribe(name).bind(event, events.put)
        # The success may arrive before Pysher lets anything be bound to the channel, so the broker is asked.
        deadline = time.monotonic() + PATIENCE_S
        while not self.server.channel_info(name)["occupied"]:
            self.assertLess(time.monotonic(), deadline, "the subscription does not begin")
        return events

    def test_events_reach_public_private_and_presence_channels(self):
        client = self.connect()
        for name in ["news", "private-a", "presence-a"]:
            events = self.subscribe(client, name, "new")
            self.assertEqual(self.server.trigger(name, "new", {"number": 1.5}), {})
            self.assertEqual(json.loads(events.get(timeout=PATIENCE_S)), {"number": 1.5})

    def test_a_batch_is_published_in_its_order(self):
        client = self.connect()
        events = self.subscribe(client, "batch", "new")
        answer = self.server.trigger_batch([{"channel": "batch", "name": "new", "data": str(number)} for number in range(3)])
        self.assertEqual(answer, {})
        self.assertEqual([events.get(timeout=PATIENCE_S) for _ in range(3)], ["0", "1", "2"])

    def test_channels_and_users_are_described(self):
        client = self.connect()
        self.subscribe(client, "presence-room", "new")
        self.assertIn("presence-room", self.server.channels_info("presence-")["channels"])
        info = self.server.channel_info("presence-room", ["user_count", "subscription_count"])
        self.assertEqual(info, {"occupied": True, "user_count": 1, "subscription_count": 1})
        self.assertEqual(self.server.users_info("presence-room"), {"users": [{"id": "ann"}]})

    def test_refusals_are_the_errors_of_the_library(self):
        with self.assertRaises(PusherBadAuth) as refused:
            self.library("wrong").trigger("a", "new", "x")
        self.assertIn("Invalid signature", str(refused.exception))
        with self.assertRaises(PusherBadRequest):
            self.server.trigger("a", "pusher:new", "x")


if __name__ == "__main__":
    unittest.main()
