"""Steady open-loop load: a request every so often, whatever became of those before.

The latency of a request counts from the moment at which it was due, so that one that had to wait
for this program or for a connection is not made to look fast (coordinated omission).
"""

import asyncio
import dataclasses

# A client's patience, longer than any time limit of the proxies.
PATIENCE_S = 5.0
REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


@dataclasses.dataclass
class Call:
    """One request: when it was due since the start, seconds, and what became of it."""

    due: float
    took: float
    status: int
    server: str


class Load:
    """`rate` requests per second to `port` for `seconds`; `events` are (when, what to do)."""

    def __init__(self, port, rate, seconds, events=()):
        self.port, self.rate, self.seconds, self.events = port, rate, seconds, events
        self.idle = []
        self.calls = []

    def run(self):
        asyncio.run(self.send_all())
        return self.calls

    async def send_all(self):
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for when, act in self.events:
            loop.call_at(begun + when, act)
        tasks = []
        for number in range(int(self.rate * self.seconds)):
            due = number / self.rate
            await asyncio.sleep(max(0.0, begun + due - loop.time()))
            tasks.append(asyncio.create_task(self.call(begun, due)))
        await asyncio.gather(*tasks)
        for _, writer in self.idle:
            writer.close()

    async def call(self, begun, due):
        loop = asyncio.get_running_loop()
        try:
            status, server = await asyncio.wait_for(self.exchange(), PATIENCE_S)
        except (OSError, EOFError, ValueError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            status, server = 0, ""
        self.calls.append(Call(due, loop.time() - begun - due, status, server))

    async def exchange(self):
        if self.idle:
            reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(REQUEST)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await reader.readexactly(int(fields.get("content-length", "0")))
        except BaseException:
            writer.close()
            raise
        if fields.get("connection") == "close":
            writer.close()
        else:
            self.idle.append((reader, writer))
        return int(head.split(" ", 2)[1]), body.decode("latin-1")


@dataclasses.dataclass
class Figures:
    """What the client saw: share of 200, median and 99th percentile in milliseconds of all."""

    success: float
    p50: float
    p99: float


def figures(calls, since):
    counted = [one for one in calls if one.due >= since]
    took = sorted(one.took * 1000 for one in counted)
    good = sum(one.status == 200 for one in counted)
    return Figures(100 * good / len(took), quantile(took, 0.5), quantile(took, 0.99))


def quantile(ordered, share):
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def first_answer(calls, server, since):
    """Seconds from `since` to the first answer of `server`; `None` where there was none."""
    times = [one.due + one.took - since for one in calls if one.server == server and one.status == 200]
    return min((one for one in times if one >= 0), default=None)
