#!/usr/bin/env python3
"""An application whose protocol no proxy knows: says back what it hears, on the port that is named."""

import asyncio
import resource
import sys


async def answer(reader, writer):
    while heard := await reader.read(4096):
        writer.write(heard)
        await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
asyncio.run(main())
