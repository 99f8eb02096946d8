/**
 * Types of byway.js, made from what its modules say of themselves:
 * tests/e2e/browser/declarations.mjs. docs/client.md tells how to use them.
 *
 * @module byway
 */

/** A failure: `message` is for the person, `code` for the program. */
declare class BywayError extends Error {
    /** @param [message] Defaults to the sentence this module knows for the code. */
    constructor(code: string, message?: string, options?: ErrorOptions);
    code: string;
}

/**
 * Being in a room. Made by {@link join}.
 *
 * Events: `peer` and `peerleft` ({@link PeerEvent}) · `error` ({@link FailureEvent}) · `signaling`
 * (the connection to the server was lost or is back, see {@link Call.signaling}) · `ice` (fresh
 * credentials came) · `closed` (over, by `leave()` or by the server).
 *
 * Where the connection to the server drops, what flows between the browsers is left alone and
 * another one is opened, with growing pauses. The server keeps our place for a while and the others
 * notice nothing; who comes back later, or to a server that has started anew, joins again, and
 * every peer is replaced by a new one.
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
    /** Our id in the room, while joined. */
    id: string | null;
    /** Whether the server can be reached: other peers come and go only while it is `open`. */
    signaling: SignalingState;
    /** Resolves once joined, rejects where that fails at first. */
    ready: Promise<void>;
    /** Everyone else in the room. */
    get peers(): Peer[];
    /**
     * Whether only the relay is used: because we asked for it, or because the server asks it of
     * everyone.
     */
    get relayOnly(): boolean;
    /**
     * Moves the running call onto the relay, or allows direct paths again. Every connection is made
     * anew, which takes a moment: an ICE restart is not enough, since Chromium goes on using the
     * direct path it already has.
     */
    setRelayOnly(relayOnly: boolean): void;
    /**
     * Replaces what is sent: the first audio and first video track, to everyone; null sends
     * nothing.
     */
    setStream(stream: MediaStream | null): Promise<void>;
    /** Leaves the room. The stream stays open: it is the page's. To come back, `join` again. */
    leave(): void;
    #private;
}

/** The devices that could be opened, as a stream, and an error for each that could not. */
type Devices = {
    stream: MediaStream | null;
    errors: BywayError[];
};

/** An EventTarget that knows its events by name. */
declare class Emitter<Events extends Record<string, Event>> extends EventTarget {
    constructor();
    addEventListener<Type extends keyof Events & string>(type: Type, listener: ((event: Events[Type]) => void) | EventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
    removeEventListener<Type extends keyof Events & string>(type: Type, listener: ((event: Events[Type]) => void) | EventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/** `error` of a Call: something failed, and the call goes on as far as it can. */
declare class FailureEvent extends Event {
    constructor(error: BywayError, peer: Peer | null);
    error: BywayError;
    /** The peer it concerns, or null where it concerns the room. */
    peer: Peer | null;
}

type IceError = {
    url: string;
    code: number;
    text: string;
};

type JoinOptions = {
    /** The room's name. Whoever knows it can join, so make it hard to guess. */
    room: string;
    /** What to send: its first audio and first video track. None: receive only. */
    stream?: MediaStream | null | undefined;
    /** How the others see you. */
    name?: string | undefined;
    /** `https://...` of the Byway server, and its path; the one this module came from if absent. */
    server?: string | undefined;
    /** Send and receive through the relay even where a direct path exists. */
    relayOnly?: boolean | undefined;
    /** A join token, for servers that ask for one. */
    token?: string | undefined;
};

type Path = "direct" | "relayed" | "connecting";

/**
 * Someone else in the room.
 *
 * Events: `message` (what the other side sent, `event.data`) · `open` (messages can be sent) ·
 * `connection` (it was replaced by a new one, because of `setRelayOnly` at either end or to
 * recover) · `left`.
 */
declare class Peer extends Emitter<{
    message: MessageEvent;
    open: Event;
    connection: Event;
    left: Event;
}> {
    constructor(id: string, name: string);
    /**
     * What comes from the peer. One stream from the start; tracks are added to it as they arrive.
     */
    stream: MediaStream;
    /** STUN and TURN servers that could not be used. */
    iceErrors: IceError[];
    /**
     * For what this module does not wrap; negotiation runs by itself. Another one after a
     * `connection` event.
     */
    connection: RTCPeerConnection;
    id: string;
    /** As the other side gave it: show it as text, never as HTML. */
    name: string;
    /** Sends to this peer, reliably and in order. Throws before `open`. */
    send(data: string | ArrayBuffer): void;
    /**
     * Sends a message that the other side's module echoes, and measures how long that takes.
     *
     * @returns Milliseconds there and back.
     */
    ping(timeoutMs?: number): Promise<number>;
    /**
     * How this connection runs. Bitrates are over the time since the report before, so ask about
     * once a second.
     */
    report(): Promise<Report>;
    #private;
}

/** `peer` and `peerleft` of a Call. */
declare class PeerEvent extends Event {
    constructor(type: string, peer: Peer);
    peer: Peer;
}

/** How much went. */
type Rates = {
    /** Bits per second since the report before this one. */
    receivingBps: number | null;
    /** Bits per second since the report before this one. */
    sendingBps: number | null;
    /** Video frames of the peer decoded here, in total. */
    framesDecoded: number;
    /** Video frames sent to the peer, in total. */
    framesSent: number;
};

type Report = Route & Rates & {
    iceErrors: IceError[];
};

/** Where the packets go. */
type Route = {
    /** Relayed means: a relay stands at one end at least. */
    path: Path;
    /** Between this browser and what it talks to: the relay, or the peer. */
    protocol: "udp" | "tcp" | "tls" | null;
    /** Of the latest connectivity check. */
    roundTripMs: number | null;
    /** Type of the selected candidate: host, srflx, prflx or relay. */
    localCandidate: string | null;
    remoteCandidate: string | null;
};

type SignalingState = "open" | "lost" | "closed";

/**
 * Joins a room. Resolves once the server has let us in, rejects with a {@link BywayError} whose
 * message can be shown.
 *
 * Those already in the room are announced by `peer` events after this resolves, so listeners added
 * right after `await join(...)` miss nobody.
 */
declare function join(options: JoinOptions): Promise<Call>;

/**
 * `getUserMedia` that fails with a sentence a person can act on.
 *
 * If only one of the two devices can be opened, the stream has the track of that one alone:
 * {@link openDevices} tells why the other is missing. Rejects where none can.
 */
declare function openCamera(constraints?: MediaStreamConstraints): Promise<MediaStream>;

/**
 * Opens camera and microphone, by one question to the person where possible. Where that fails, each
 * is opened by itself, so that a busy or refused camera does not take the microphone along.
 *
 * @param [constraints] Both kinds by default; one kind to open a device later.
 * @returns Never rejects: an error is a `camera-...` or a `microphone-...`, or `insecure-page`.
 */
declare function openDevices(constraints?: MediaStreamConstraints): Promise<Devices>;

export { BywayError, Call, Devices, FailureEvent, IceError, JoinOptions, Peer, PeerEvent, Report, SignalingState, join, openCamera, openDevices };
