/** Faults of a cluster: their begin, their end, and the limits for what callers may notice. */
import { FRA, NYC, SGP, DRAIN_S } from "./cluster.mjs";

/** @typedef {import("./cluster.mjs").Cluster} Cluster */

/**
 * @typedef {object} Fault
 * @property {string} what In the words of the table.
 * @property {string} elsewhere Reports of other servers about the same.
 * @property {(cluster: Cluster) => unknown} [inject]
 * @property {(cluster: Cluster) => unknown} [noticed] Waits until the nodes have found out.
 * @property {boolean} [heals] Whether all must be well while it lasts. Otherwise new offers and
 *   callers may wait for its end.
 * @property {(cluster: Cluster) => unknown} [end]
 * @property {number} gapMs Longest time without media that is allowed.
 */

/** No relay is touched. What is left are the pauses of a busy machine. */
const UNTOUCHED_MS = 3_000;
/** A browser calls a path lost after some 5 s and failed after some 15. */
const RELAY_LOST_MS = 30_000;

/** @type {Fault[]} */
export const FAULTS = [
  {
    what: "none, for comparison",
    elsewhere: "",
    heals: true,
    gapMs: UNTOUCHED_MS,
  },
  {
    what: "the broker is killed, and started again after the nodes have given each other up",
    elsewhere: "7 minutes without Redis: every node restarted and stayed out of service, 53 minutes in sum (livekit/livekit#4663). "
      + "Timeouts until a restart, hours after Redis was back (livekit/livekit#2464). "
      + "No one can join after a restart of Prosody (jitsi/docker-jitsi-meet#117). "
      + "No reconnect to RabbitMQ (meetecho/janus-gateway#2651). Busy loop after Redis is killed (coturn/coturn#12).",
    inject: (cluster) => cluster.killBroker(),
    noticed: (cluster) => Promise.all([FRA, NYC, SGP].map((node) => cluster.knows(node, { dead: 2 }))),
    end: (cluster) => cluster.startBroker(),
    gapMs: UNTOUCHED_MS,
  },
  {
    what: "the owner of the room is killed",
    elsewhere: "The conference of a bridge that went down is not created on another one (jitsi/jitsi-meet#11798). "
      + "All conferences end when one bridge goes down (jitsi/jicofo#707).",
    inject: (cluster) => cluster.kill(SGP),
    heals: true,
    end: (cluster) => cluster.start(SGP),
    gapMs: UNTOUCHED_MS,
  },
  {
    what: "the node of one caller is killed, and with it that caller's relay",
    elsewhere: "Callers are moved to another bridge, without the video of those who stayed (jitsi/jicofo#617). "
      + "Streams freeze, and some callers reconnect for ever (ant-media/conference-call-application#347).",
    inject: (cluster) => cluster.kill(FRA),
    heals: true,
    end: (cluster) => cluster.start(FRA),
    gapMs: RELAY_LOST_MS,
  },
  {
    what: `the node of one caller is drained (\`SIGTERM\`, with \`relay.drain = "${DRAIN_S}s"\`)`,
    elsewhere: "A drain waits for callers without a bound (livekit/livekit#4663). "
      + "A drain that was not heard of waits 6 hours, then drops every conference (jitsi/infra-configuration#957).",
    inject: (cluster) => cluster.drain(FRA),
    noticed: (cluster) => cluster.drained(FRA),
    heals: true,
    end: (cluster) => cluster.start(FRA),
    gapMs: RELAY_LOST_MS,
  },
  {
    what: "the node of one caller is cut off from the broker",
    elsewhere: "The conference of a bridge whose connection to XMPP is broken is not moved, and who comes does not get in (jitsi/jicofo#1050).",
    inject: (cluster) => cluster.cutFromBroker(FRA),
    noticed: (cluster) => Promise.all([cluster.knows(FRA, { dead: 2 }), cluster.knows(NYC, { dead: 1 }), cluster.knows(SGP, { dead: 1 })]),
    end: (cluster) => cluster.connect(),
    gapMs: UNTOUCHED_MS,
  },
  {
    what: "the node of one caller is cut off from everything but that caller",
    elsewhere: "The callers of a bridge that does not answer stay apart from the others (jitsi/jicofo#1050).",
    inject: (cluster) => cluster.cutFromAllButItsCaller(),
    noticed: (cluster) => Promise.all([cluster.knows(FRA, { dead: 2 }), cluster.knows(NYC, { dead: 1 }), cluster.knows(SGP, { dead: 1 })]),
    end: (cluster) => cluster.connect(),
    gapMs: 2 * RELAY_LOST_MS,
  },
  {
    what: "what nodes say to each other takes 200 ms",
    elsewhere: "With 200 ms to Redis, callers connect slowly or not at all, and are disconnected at random (comment in livekit/livekit#3456; livekit/livekit#3858).",
    inject: (cluster) => cluster.delayBus(200),
    heals: true,
    end: (cluster) => cluster.delayBus(0),
    gapMs: UNTOUCHED_MS,
  },
  {
    what: "the broker and the owner of the room are killed at once",
    elsewhere: "Nodes that restart without Redis do not come back by themselves (livekit/livekit#4663).",
    inject: (cluster) => Promise.all([cluster.killBroker(), cluster.kill(SGP)]),
    noticed: (cluster) => Promise.all([FRA, NYC].map((node) => cluster.knows(node, { dead: 2 }))),
    end: (cluster) => Promise.all([cluster.startBroker(), cluster.start(SGP)]),
    gapMs: UNTOUCHED_MS,
  },
];
