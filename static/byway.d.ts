/**
 * Types of byway.js, generated from the JSDoc of its modules by
 * tests/e2e/browser/declarations.mjs. docs/client.md explains how to use them.
 *
 * @module byway
 */

/** Error with a `code` for the program and a `message` for the person. */
declare class BywayError extends Error {
    /** @param [message] Defaults to this module's sentence for the code. */
    constructor(code: string, message?: string, options?: ErrorOptions);
    code: string;
}

/**
 * Membership of a room. Created by {@link join}.
 *
 * Events:
 * - `peer` and `peerleft` ({@link PeerEvent});
 * - `error` ({@link FailureEvent});
 * - `signaling`: the connection to the server was lost or restored, see {@link Call.signaling};
 * - `ice`: fresh credentials arrived;
 * - `closed`: the call ended, by `leave()` or by the server.
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
    closed: Event;
}> {
    constructor(options: JoinOptions);
    /** Id of this member in the room, while joined. */
    id: string | null;
    /** State of the connection to the server. Peers join and leave only while it is `open`. */
    signaling: SignalingState;
    /** Resolves once joined. Rejects if the first attempt fails. */
    ready: Promise<void>;
    /** All other members of the room. */
    get peers(): Peer[];
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
     * sends nothing.
     */
    setStream(stream: MediaStream | null): Promise<void>;
    /** Leaves the room. The stream stays open: the page owns it. To come back, `join` again. */
    leave(): void;
    #private;
}

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
}

/** Event `error` of a {@link Call}: something failed, and the call continues if it can. */
declare class FailureEvent extends Event {
    constructor(error: BywayError, peer: Peer | null);
    error: BywayError;
    /** Peer whose connection failed, or null for a failure of the room. */
    peer: Peer | null;
}

/** STUN or TURN server that failed, with the code and text of `icecandidateerror`. */
type IceError = {
    url: string;
    code: number;
    text: string;
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
};

type Path = "direct" | "relayed" | "connecting";

/**
 * Another member of the room.
 *
 * Events:
 * - `message`: the peer sent `event.data`;
 * - `open`: messages can be sent;
 * - `connection`: a new connection replaced the old one, because of `setRelayOnly` at either end or
 *   to recover;
 * - `left`: the peer left the room.
 */
declare class Peer extends Emitter<{
    message: MessageEvent;
    open: Event;
    connection: Event;
    left: Event;
}> {
    constructor(id: string, name: string);
    /** Media of the peer. The stream exists from the start, and tracks are added as they arrive. */
    stream: MediaStream;
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
    /** Sends a message to this peer, reliably and in order. Throws before `open`. */
    send(data: string | ArrayBuffer): void;
    /**
     * Measures the round-trip time of a message that the peer's module echoes.
     *
     * @returns Round-trip time in milliseconds.
     */
    ping(timeoutMs?: number): Promise<number>;
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

/** Traffic of a connection. */
type Rates = {
    /** Bits per second since the last report. Null in the first. */
    receivingBps: number | null;
    /** Bits per second since the last report. Null in the first. */
    sendingBps: number | null;
    /** Video frames of the peer that were decoded, in total. */
    framesDecoded: number;
    /** Video frames sent to the peer, in total. */
    framesSent: number;
};

type Report = Route & Rates & {
    iceErrors: IceError[];
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
};

type SignalingState = "open" | "lost" | "closed";

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
 *   `microphone-...`, `no-camera`, `no-microphone` or `insecure-page`.
 */
declare function openDevices(constraints?: MediaStreamConstraints): Promise<Devices>;

export { BywayError, Call, Devices, FailureEvent, IceError, JoinOptions, Peer, PeerEvent, Report, SignalingState, join, openCamera, openDevices };
