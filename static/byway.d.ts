/**
 * Types of byway.js, generated from the JSDoc of its modules by
 * tests/e2e/browser/declarations.mjs. docs/client.md explains how to use them.
 *
 * @module byway
 */

/** Error with a `code` for the program and a `message` for the person. */
declare class BywayError extends Error {
    /** @param [message] Defaults to this module's sentence for the code. */
    constructor(code: ErrorCode | (string & {}), message?: string, options?: ErrorOptions);
    /** @type {ErrorCode | (string & {})} */ code: ErrorCode | (string & {});
}

/**
 * Membership of a room. Created by {@link join}.
 *
 * Events:
 * - `peer` and `peerleft` ({@link PeerEvent});
 * - `error` ({@link FailureEvent});
 * - `signaling`: the connection to the server was lost or restored, see {@link Call.signaling};
 * - `ice`: fresh credentials arrived;
 * - `host`: {@link Call.host} or the `host` of a peer changed;
 * - `locked` and `viewers`: {@link Call.locked} or {@link Call.viewers} changed;
 * - `closed` ({@link ClosedEvent}): the call ended, by `leave()` or by the server.
 *
 * When the connection to the server is lost, media between the browsers continues. The module
 * reconnects with growing pauses. The server keeps the membership for a while, and the peers notice
 * nothing. After that time, or after a restart of the server, the module joins again, and new peers
 * replace the old ones.
 */
declare class Call extends Emitter<{
    peer: PeerEvent;
    peerleft: PeerEvent;
    error: FailureEvent;
    signaling: Event;
    ice: Event;
    host: Event;
    locked: Event;
    viewers: Event;
    closed: ClosedEvent;
}> {
    constructor(options: JoinOptions);
    /** Id of this member in the room, while joined. */
    id: string | null;
    /** State of the connection to the server. Peers join and leave only while it is `open`. */
    signaling: SignalingState;
    /** Whether this member is a host of the room. */
    host: boolean;
    /** Whether the room is locked, so that only hosts can join. */
    locked: boolean;
    /** Resolves once joined. Rejects if the first attempt fails. */
    ready: Promise<void>;
    /** All other members of the room. */
    get peers(): Peer[];
    /** Whether this member only receives, because of its options or its token. */
    get viewer(): boolean;
    /** Number of viewers among the peers. */
    get viewers(): number;
    /**
     * Whether only the relay is used, because this page asked for it or the server requires it of
     * everyone.
     */
    get relayOnly(): boolean;
    /**
     * Moves the running call onto the relay, or allows direct paths again. New connections replace
     * all existing ones, which takes a moment. An ICE restart is not enough, because Chromium
     * continues to use its existing direct path.
     */
    setRelayOnly(relayOnly: boolean): void;
    /**
     * Replaces the tracks sent to all peers by the stream's first audio and first video track. Null
     * sends nothing. No connection negotiates because of that.
     */
    setStream(stream: MediaStream | null): Promise<void>;
    /** Replaces one of the tracks that {@link Call.setStream} set. Null sends nothing. */
    replaceTrack(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<void>;
    /**
     * Sends a further stream to all peers: its first audio and first video track. Replaces the one
     * of the same purpose.
     *
     * @param purpose 1 to 32 characters, such as `screen`. Up to seven purposes in a call.
     */
    addStream(stream: MediaStream, purpose: string): Promise<void>;
    /** Stops sending the further stream of a purpose. */
    removeStream(purpose: string): Promise<void>;
    /**
     * Tells all peers the state of this member's microphone and camera. Until then the module says
     * `on` for each track that it sends, and `none` without one.
     */
    setMedia(states: Partial<MediaStates>): void;
    /** Removes a peer from the room. For hosts: throws `not-host` otherwise. */
    remove(peer: Peer): void;
    /** Locks or unlocks the room. For hosts: throws `not-host` otherwise. */
    lock(locked: boolean): void;
    /**
     * Requests a join token for a guest. For hosts: rejects with `not-host` otherwise. In an open
     * room it rejects with `no-tokens`, because the link alone is enough.
     */
    invite(options?: InvitationOptions): Promise<Invitation>;
    /**
     * Whether this member shares how its connections fare: kinds of candidates and paths, states
     * and figures, never an address. The server puts them into the timeline of the call.
     */
    get reports(): boolean;
    /**
     * Allows or ends that, at first off. The server discards what a member has shared that ends it.
     * Ask the person before.
     */
    setReports(on: boolean): void;
    /**
     * Returns the timeline of this call: what happened to this member and to those that share it,
     * beside what the relay saw of them.
     * @param [options] `after`: the `next` of an earlier answer.
     */
    timeline({ after }?: {
        after?: number;
    }): Promise<CallTimeline>;
    /** Leaves the room. The stream stays open: the page owns it. To come back, `join` again. */
    leave(): void;
    #private;
}

/**
 * Part of the timeline that this member may see. `next`: pass it as `after`, to get later events.
 * `dropped`: number of events that exceeded a limit of the server.
 */
type CallTimeline = {
    members: TimelineMember[];
    events: TimelineEvent[];
    next: number;
    dropped: number;
};

/**
 * Messages under a label between two members, reliable and in order. Opened by
 * {@link Peer.openChannel}.
 *
 * Each end sends over a data channel of its own, so that both may open the same label at the same
 * time. A new connection continues the channel. Messages that were under way then may be lost.
 *
 * Events:
 * - `open`: messages are under way at once from now on; again after each new connection;
 * - `message`: the peer sent `event.data`, a string or an ArrayBuffer;
 * - `close`: an end closed the channel, or the peer left.
 */
declare class Channel extends Emitter<{
    open: Event;
    message: MessageEvent;
    close: Event;
}> {
    constructor(label: string, onClose: (channel: Channel) => void);
    /** Label that both ends opened. @readonly */
    readonly label: string;
    /** State of the channel. While it is `connecting`, messages wait. */
    get readyState(): "connecting" | "open" | "closed";
    /** Bytes that were handed to the browser and not yet to the network. */
    get bufferedAmount(): number;
    /**
     * Sends a message after all earlier ones. Resolves once the browser has taken it: while much
     * data is buffered, and without a connection, that waits. Rejects once the channel is closed. A
     * page that does not await it gets no unhandled rejection.
     */
    send(data: string | ArrayBuffer | ArrayBufferView<ArrayBuffer>): Promise<void>;
    /** Closes both ends of the channel. Messages that still wait are discarded. */
    close(): void;
    #private;
}

/** Event `channel` of a {@link Peer}: the peer opened a channel first. */
declare class ChannelEvent extends Event {
    constructor(channel: Channel);
    channel: Channel;
}

/** Event `closed` of a {@link Call}: the call is over. */
declare class ClosedEvent extends Event {
    constructor(reason: BywayError | null);
    /** Reason of the end, or null if the page itself ended the call. */
    reason: BywayError | null;
}

type DeviceState = "on" | "off" | "none" | "refused" | "busy";

/** Stream of the devices that could be opened, and an error for each that could not. */
type Devices = {
    stream: MediaStream | null;
    errors: BywayError[];
};

/** EventTarget with typed events. */
declare class Emitter<Events extends Record<string, Event>> extends EventTarget {
    constructor();
    addEventListener<Type extends keyof Events & string>(type: Type, listener: ((event: Events[Type]) => void) | EventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<Type extends keyof Events & string>(type: Type, listener: ((event: Events[Type]) => void) | EventListenerObject | null, options?: boolean | EventListenerOptions): void;
    #private;
}

/** Codes for which this module has a sentence. A server may send others. */
type ErrorCode = "insecure-page" | "camera-denied" | "no-camera" | "camera-busy" | "camera-failed" | "camera-overconstrained" | "microphone-denied" | "no-microphone" | "microphone-busy" | "microphone-failed" | "microphone-overconstrained" | "server-unreachable" | "bad-room" | "bad-name" | "room-full" | "room-locked" | "viewers-full" | "too-many-rooms" | "rate-limited" | "joined-too-often" | "token-required" | "bad-token" | "token-expired" | "token-not-yet-valid" | "token-too-far-ahead" | "wrong-room" | "not-host" | "no-tokens" | "replaced" | "removed" | "left" | "bye" | "no-echo" | "connection-failed" | "connection-lost" | "relay-unreachable" | "bad-purpose" | "too-many-streams" | "bad-label" | "too-many-channels" | "channel-closed" | "message-too-large" | "no-timeline";

/** Event `error` of a {@link Call}: something failed, and the call continues if it can. */
declare class FailureEvent extends Event {
    constructor(error: BywayError, peer: Peer | null);
    error: BywayError;
    /** Peer whose connection failed, or null for a failure of the room. */
    peer: Peer | null;
}

/**
 * SHA-256 fingerprints of the certificates at both ends of the DTLS connection, in hexadecimal with
 * colons. Null if the connection has none yet.
 */
type Fingerprints = {
    local: string;
    remote: string;
};

/** STUN or TURN server that failed, with the code and text of `icecandidateerror`. */
type IceError = {
    url: string;
    code: number;
    text: string;
};

type Invitation = {
    token: string;
    expiresAt: string;
};

/** Lifetime in seconds, an hour by default, and whether the guest may only receive. */
type InvitationOptions = {
    ttl?: number;
    viewer?: boolean;
};

type JoinOptions = {
    /** Name of the room. Anyone who knows it can join, so make it hard to guess. */
    room: string;
    /**
     * Stream to send: its first audio and first video track.
     * Without one the call only receives.
     */
    stream?: MediaStream | null | undefined;
    /** Name that the peers see. */
    name?: string | undefined;
    /**
     * `https://...` URL of the Byway server, with its path. The default is
     * the server that this module was loaded from. Required with npm or a bundler.
     */
    server?: string | undefined;
    /** Whether to use only the relay, even where a direct path exists. */
    relayOnly?: boolean | undefined;
    /** Join token, for servers that require one. */
    token?: string | undefined;
    /** Whether this member only receives. Viewers see no other viewers. */
    viewer?: boolean | undefined;
    /**
     * Region of the relay, for servers that form a cluster. By
     * default the one whose server answers a STUN request first. Null leaves the choice to the
     * server.
     */
    region?: string | null | undefined;
    /**
     * Gives up joining. Then `join` rejects with the signal's reason.
     * Later it has no effect.
     */
    signal?: AbortSignal | undefined;
};

/** State of a member's microphone and camera. */
type MediaStates = {
    microphone: DeviceState;
    camera: DeviceState;
};

type Path = "direct" | "relayed" | "connecting";

/**
 * Another member of the room.
 *
 * Events:
 * - `message`: the peer sent `event.data`;
 * - `open`: messages can be sent;
 * - `media`: {@link Peer.media} changed;
 * - `streams`: a stream, or a track of one, came or went;
 * - `channel` ({@link ChannelEvent}): the peer opened a channel first;
 * - `stats` ({@link StatsEvent}): a report, once a second while anything listens to it;
 * - `connection`: a new connection replaced the old one, because of `setRelayOnly` at either end or
 *   to recover;
 * - `left`: the peer left the room.
 */
declare class Peer extends Emitter<{
    message: MessageEvent;
    open: Event;
    media: Event;
    streams: Event;
    channel: ChannelEvent;
    stats: StatsEvent;
    connection: Event;
    left: Event;
}> {
    constructor(id: string, name: string, viewer?: boolean);
    /**
     * Camera and microphone of the peer. The stream exists from the start. It has the tracks that
     * the peer sends at present.
     */
    stream: MediaStream;
    /** Streams of the peer by purpose. `camera` is always there, and is {@link Peer.stream}. */
    streams: ReadonlyMap<string, MediaStream>;
    /** State of the peer's microphone and camera. */
    media: MediaStates;
    /** Whether the peer is a host of the room. */
    host: boolean;
    /** STUN and TURN servers that could not be used. */
    iceErrors: IceError[];
    /**
     * Underlying connection, for features that this module does not wrap. It negotiates by itself.
     * A `connection` event announces a new one.
     */
    connection: RTCPeerConnection;
    id: string;
    /** Name as the peer chose it. Show it as text, never as HTML. */
    name: string;
    /** Whether the peer only receives. @readonly */
    readonly viewer: boolean;
    /** Sends a message to this peer, reliably and in order. Throws before `open`. */
    send(data: string | ArrayBuffer): void;
    /**
     * Opens a channel, and returns this end of it. The peer gets its own end by opening the same
     * label, or in a `channel` event.
     * @param label 1 to 64 characters.
     */
    openChannel(label: string): Channel;
    /**
     * Measures the round-trip time of a message that the peer's module echoes.
     *
     * @param [options] Rejects with the signal's reason once aborted.
     * @returns Round-trip time in milliseconds.
     */
    ping(timeoutMs?: number, { signal }?: {
        signal?: AbortSignal;
    }): Promise<number>;
    /**
     * Returns the state of the connection. Bitrates are averages since the previous report, so call
     * this about once a second.
     */
    report(): Promise<Report>;
    #private;
}

/** Event `peer` or `peerleft` of a {@link Call}. */
declare class PeerEvent extends Event {
    constructor(type: string, peer: Peer);
    peer: Peer;
}

/** Sound and picture of a connection. */
type Pictures = {
    /** Jitter of the peer's sound, or of the picture without sound. */
    jitterMs: number | null;
    /** Width of the peer's camera picture, in pixels. */
    width: number | null;
    /** Height of the peer's camera picture, in pixels. */
    height: number | null;
    /** Names such as `opus` and `VP8`. */
    codecs: {
        audio: string | null;
        video: string | null;
    };
    /**
     * Limit of this end's picture.
     * Firefox and Safari do not tell it.
     */
    limitation: "none" | "cpu" | "bandwidth" | "other" | null;
    /** Level of the peer's sound, 0 to 1. */
    audioLevel: number | null;
    /** Times that the peer's camera picture stood still, in total. */
    freezes: number | null;
    /** Video frames of the peer that were decoded, in total. */
    framesDecoded: number;
    /** Video frames sent to the peer, in total. */
    framesSent: number;
};

/**
 * Traffic of a connection. An interval is the time since the last report. The first report has
 * none, and neither has one that a new connection began in.
 */
type Rates = {
    /** Bits per second in the interval. */
    receivingBps: number | null;
    /** Bits per second in the interval. */
    sendingBps: number | null;
    /**
     * Share of the peer's packets that did not arrive in the interval,
     * 0 to 1.
     */
    loss: number | null;
    /**
     * Share of this end's packets that the peer lost, 0 to 1, as
     * the peer's browser last reported it.
     */
    remoteLoss: number | null;
    /**
     * Video frames of the peer's camera that were decoded, per
     * second of the interval.
     */
    frameRate: number | null;
};

/** Relays on the path. */
type Relays = {
    /** Whether this end uses a relay of its own. */
    local: boolean;
    /** Whether the peer uses one. */
    remote: boolean;
    /**
     * `turn:` or `turns:` URL of this end's relay. Firefox does not
     * tell it.
     */
    server: string | null;
    /**
     * Transport protocol between this browser and its
     * relay.
     */
    protocol: "udp" | "tcp" | "tls" | null;
};

/** `silentMs`: milliseconds since anything last arrived from the peer. Null in the first report. */
type Report = Route & Rates & Pictures & {
    iceErrors: IceError[];
    silentMs: number | null;
    fingerprints: Fingerprints | null;
};

/** Path of the packets between the two browsers. */
type Route = {
    /** `relayed` if at least one end uses a relay. */
    path: Path;
    /**
     * Transport protocol between this browser and the
     * relay, or the peer on a direct path.
     */
    protocol: "udp" | "tcp" | "tls" | null;
    /** Round-trip time of the latest connectivity check. */
    roundTripMs: number | null;
    /**
     * Type of the selected candidate: host, srflx, prflx or
     * relay.
     */
    localCandidate: string | null;
    /** Type of the peer's selected candidate. */
    remoteCandidate: string | null;
    relays: Relays;
};

type SignalingState = "open" | "lost" | "closed";

/** Event `stats` of a {@link Peer}: the state of its connection, once a second. */
declare class StatsEvent extends Event {
    constructor(report: Report);
    report: Report;
}

/** Event of a timeline, as docs/signaling.md specifies it. `at` is in seconds since 1970. */
type TimelineEvent = {
    n: number;
    at: number;
    member: string;
    peer?: string;
    source: "page" | "relay" | "server";
    kind: string;
    detail: Record<string, any>;
};

/** Member that events name. `reports`: whether it reports now. */
type TimelineMember = {
    id: string;
    name: string | null;
    reports: boolean;
};

/**
 * Joins a room. Resolves when the server has admitted this member. Rejects with a
 * {@link BywayError} whose message can be shown.
 *
 * `peer` events announce the members that were already in the room, after this resolves. Listeners
 * that are added right after `await join(...)` receive all of them.
 */
declare function join(options: JoinOptions): Promise<Call>;

/**
 * Opens camera and microphone like `getUserMedia`, with errors that tell people what to do.
 *
 * If only one of the two devices can be opened, the stream has only its track. {@link openDevices}
 * also reports why the other is missing. Rejects if no device can be opened.
 */
declare function openCamera(constraints?: MediaStreamConstraints): Promise<MediaStream>;

/**
 * Opens camera and microphone, with one permission prompt if possible. If that fails, opens each by
 * itself, so that the microphone works even if the camera is busy or denied.
 *
 * @param [constraints] Both kinds by default. One kind opens a single
 *   device later.
 * @returns Never rejects. The codes of errors are `camera-...`,
 *   `microphone-...`, `no-camera`, `no-microphone` or `insecure-page`. Behind the hyphen is
 *   `denied`, `busy`, `failed`, or `overconstrained` if no device meets the constraints.
 */
declare function openDevices(constraints?: MediaStreamConstraints): Promise<Devices>;

export { BywayError, Call, CallTimeline, Channel, ChannelEvent, ClosedEvent, DeviceState, Devices, ErrorCode, FailureEvent, IceError, Invitation, InvitationOptions, JoinOptions, MediaStates, Peer, PeerEvent, Report, SignalingState, StatsEvent, TimelineEvent, TimelineMember, join, openCamera, openDevices };
