# SPDX-License-Identifier: BSL-1.0
"""Two connected ends in memory, read with asyncio's StreamReader, as asynchio's stream_pair."""

import asyncio

from reference.waits import wait_

LIMIT = 8
DELIMITER = b";"
PAYLOADS = {"one": b"a", "two": b"bb", "line": b"ab\n", "lines": b"c\ndd\n", "part": b"x;y", "long": b"0123456789"}


class end:
    """What has come stands in the pipe until a read wants it, as in a system."""

    def __init__(self, loop):
        self.loop = loop
        self.reader = asyncio.StreamReader(limit=LIMIT, loop=loop)
        self.other = None
        self.reading = False  # one reader at a time
        self.ended = False
        self.closed = False
        self.pipe = []  # None is the end
        self.seen_empty = False
        self.told = False

    def write(self, data):
        if self.ended or self.closed:
            raise RuntimeError("write after the end")
        if self.other.closed:
            raise BrokenPipeError()
        self.send(data)

    def write_eof(self):
        if self.ended:
            return
        if self.closed:
            raise RuntimeError("write_eof after the end")
        self.ended = True
        self.send(None)

    def close(self):
        if not self.closed:
            self.closed = True
            self.reader.feed_eof()
            if not self.ended:
                self.send(None)

    def send(self, what):
        self.other.pipe.append(what)
        self.other.happened()

    def happened(self):
        """A reader hears of it in the next iteration."""
        if not self.reading:
            self.seen_empty = False
        elif not self.told:
            self.told = True
            self.loop.call_soon(self.tell)

    def tell(self):
        self.told = self.seen_empty = False
        if self.reading:
            self.pull()

    def pull(self):
        came, self.pipe = self.pipe, []
        self.seen_empty = True
        for each in came:
            if each is None:
                self.reader.feed_eof()
            elif not self.closed:
                self.reader.feed_data(each)
        if any(came) and not self.closed and not self.other.closed:
            self.other.happened()  # there is room again

    async def read_line(self):
        """asyncio's reports a line that is too long as a ValueError."""
        try:
            return await self.reader.readline()
        except ValueError:
            raise asyncio.LimitOverrunError("too long", 0) from None

    async def read_all(self):
        """asyncio's loses, when it is cancelled, what it has read."""
        while not self.reader._eof:
            await self.reader._wait_for_data("read")
        data = bytes(self.reader._buffer)
        self.reader._buffer.clear()
        return data


def pair(loop):
    one, two = end(loop), end(loop)
    one.other, two.other = two, one
    return [one, two]


async def reading(w, s, place, enough, make):
    """`enough` tells whether what was read before will do."""
    one = w.streams[place]
    if one.reading or one.closed:
        return w.tells(s, "busy" if one.reading else "closed")
    one.reading = True
    try:
        if not one.seen_empty and not enough(one.reader._buffer):
            one.pull()
        data = await make(one)
    finally:
        one.reading = False
    return w.tells(s, "read", "'" + data.decode().replace("\n", "$") + "'")


@wait_
async def write(w, s, place, payload):
    w.streams[place].write(PAYLOADS[payload])
    w.tells(s, "written")


@wait_
async def read(w, s, place):
    await reading(w, s, place, len, lambda one: one.reader.read(1))


@wait_
async def read_exactly(w, s, place, count):
    await reading(w, s, place, lambda buffer: len(buffer) >= count, lambda one: one.reader.readexactly(count))


def delimited(delimiter):
    return lambda buffer: delimiter in buffer or len(buffer) > LIMIT


@wait_
async def read_line(w, s, place):
    await reading(w, s, place, delimited(b"\n"), lambda one: one.read_line())


@wait_
async def read_until(w, s, place):
    await reading(w, s, place, delimited(DELIMITER), lambda one: one.reader.readuntil(DELIMITER))


@wait_
async def read_all(w, s, place):
    await reading(w, s, place, lambda buffer: False, lambda one: one.read_all())
