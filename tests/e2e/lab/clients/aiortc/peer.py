"""Joins a room of a Byway server and takes the call of whoever comes next, by aiortc.

Whoever comes makes the offers (docs/signaling.md), so this end only answers. It shows moving stripes, counts the frames
it is shown, echoes what the call page's module and the tests send over data channels, and ends when the other leaves.
"""

import argparse
import asyncio
import json
import os
import signal
import sys

from aiortc import RTCConfiguration, RTCIceServer, RTCIceTransportPolicy, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp
from websockets.asyncio.client import connect

from media import Stripes, watch

# How a URL of TURN begins and ends (RFC 7065).
TRANSPORTS = {
    "udp": ("turn:", "?transport=udp"),
    "tcp": ("turn:", "?transport=tcp"),
    "tls": ("turns:", "?transport=tcp"),
}


class Failure(Exception):
    """What went wrong, as one sentence."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--url", required=True, help="wss://HOST[:PORT]/ws")
    parser.add_argument("--room", required=True)
    parser.add_argument("--ca", help="whom to trust, for signaling and TURN alike (PEM)")
    parser.add_argument("--transport", choices=TRANSPORTS, default="udp", help="how to reach the relay")
    parser.add_argument("--relay", action="store_true", help="use the relay alone")
    options = parser.parse_args()
    if options.ca:
        os.environ["SSL_CERT_FILE"] = options.ca  # aiortc takes no TLS context: it uses the default one, and so do we
    try:
        asyncio.run(attend(options))
    except asyncio.CancelledError:
        pass  # by SIGTERM
    except Exception as error:
        sys.exit(str(error) or repr(error))


async def attend(options):
    """Is in the room until the other leaves."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    async with connect(options.url, subprotocols=["byway.v1"], proxy=None) as server:
        call = Call(options, lambda message: server.send(json.dumps(message)))
        try:
            await call.send({"type": "join", "room": options.room, "name": "aiortc"})
            async for frame in server:
                await call.hear(json.loads(frame))
                if call.over:
                    return
            raise Failure("the server closed the connection")
        finally:
            await call.close()


class Call:
    """The first who speaks to us, and what we have with them: one connection at a time."""

    def __init__(self, options, send):
        self.options, self.send = options, send
        self.ice, self.other, self.epoch, self.connection = None, None, 0, None
        self.watching, self.over = [], False

    async def hear(self, message):
        """Does what a message of the server asks for. Unknown types are for newer clients."""
        match message:
            case {"type": "joined", "ice": ice}:
                self.ice = ice
                tell("joined")
            case {"type": "ice"}:
                self.ice = message
            case {"type": "signal", "from": other, "data": data} if self.other in (None, other):
                self.other = other
                await self.signaled(data)
            case {"type": "peer-left", "id": other} if other == self.other:
                self.over = True
                tell("left")
            case {"type": "error", "code": code, "message": sentence} if code != "no-such-peer":
                raise Failure(sentence)
            case {"type": "bye", "code": code}:
                raise Failure(f"the server ended it: {code}")

    async def signaled(self, data):
        """A higher epoch begins a new connection; a lower one concerns a connection that is gone."""
        epoch, description, candidate = data.get("epoch", 0), data.get("description"), data.get("candidate")
        if epoch < self.epoch:
            return
        if epoch > self.epoch or not self.connection:
            await self.close()
            self.epoch, self.connection = epoch, self.connect()
        if description and description["type"] == "offer":
            await self.connection.setRemoteDescription(RTCSessionDescription(**description))
            await self.answer()
        elif candidate and candidate["candidate"]:  # an empty one says that there are no more for now
            parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
            parsed.sdpMid, parsed.sdpMLineIndex = candidate["sdpMid"], candidate["sdpMLineIndex"]
            await self.connection.addIceCandidate(parsed)

    async def answer(self):
        """aiortc does not trickle: all candidates are gathered by then, and stand in the answer."""
        await self.connection.setLocalDescription()
        local = self.connection.localDescription
        if "a=candidate:" not in local.sdp:
            raise Failure(f"no relay was had over {self.options.transport}, and there is nothing else to connect from")
        data = {"epoch": self.epoch, "description": {"type": local.type, "sdp": local.sdp}}
        await self.send({"type": "signal", "to": self.other, "data": data})

    def connect(self):
        connection = RTCPeerConnection(self.configuration())
        connection.addTrack(Stripes())
        connection.on("track", lambda track: self.watching.append(asyncio.ensure_future(watch(track, tell))))
        connection.on("connectionstatechange", lambda: tell(connection.connectionState, **selected_pair(connection)))
        connection.on("datachannel", lambda it: it.label == "test-echo" and it.on("message", it.send))

        # The module of the call page numbers its channels by agreement (static/byway/peer.js).
        connection.createDataChannel("byway", negotiated=True, id=0)
        echo = connection.createDataChannel("byway.echo", negotiated=True, id=1)
        echo.on("message", lambda text: text.startswith("ping ") and echo.send(f"pong {text[5:]}"))
        return connection

    def configuration(self):
        """What `joined` says, but of TURN only the transport that was asked for: aiortc uses the first it is given."""
        scheme, query = TRANSPORTS[self.options.transport]

        def usable(url):  # aiortc reads no IPv6 addresses in URLs
            return "[" not in url and (url.startswith("stun:") or url.startswith(scheme) and url.endswith(query))

        servers = [
            RTCIceServer([*filter(usable, server["urls"])], server.get("username"), server.get("credential"))
            for server in self.ice["iceServers"]
        ]
        policy = "relay" if self.options.relay else self.ice["iceTransportPolicy"]
        return RTCConfiguration(servers, RTCIceTransportPolicy(policy))

    async def close(self):
        for task in self.watching:
            task.cancel()
        if self.connection:
            await self.connection.close()


def selected_pair(connection):
    """The types of both candidates: not in aiortc's statistics, but aioice below it keeps the pair it nominated."""
    nominated = connection.sctp.transport.transport._connection._nominated.get(1)
    if connection.connectionState != "connected" or not nominated:
        return {}
    return {"local": nominated.local_candidate.type, "remote": nominated.remote_candidate.type}


def tell(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


if __name__ == "__main__":
    main()
