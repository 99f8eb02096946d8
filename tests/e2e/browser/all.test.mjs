/**
 * Every scenario, one after the other, in one process: two pages calling each other need the machine. One call runs beside
 * them, from the first to the last.
 */
import { isEndless } from "./scenarios/endless.mjs";
import "./scenarios/relayed.mjs";
import "./scenarios/at-once.mjs";
import "./scenarios/example.mjs";
import "./scenarios/only-streams.mjs";
import "./scenarios/firefox.mjs";
import "./scenarios/old-clients.mjs";
import "./scenarios/direct.mjs";
import "./scenarios/leaving.mjs";
import "./scenarios/recovery.mjs";
import "./scenarios/cut.mjs";
import "./scenarios/asleep.mjs";
import "./scenarios/devices.mjs";
import "./scenarios/report.mjs";
import "./scenarios/module.mjs";
import "./scenarios/hostile.mjs";
import "./scenarios/headers.mjs";
import "./scenarios/keyboard.mjs";
import "./scenarios/appearance.mjs";
import "./scenarios/other-origin.mjs";
import "./scenarios/reverse-proxy.mjs";

isEndless();
import "./scenarios/peerjs.mjs";
import "./scenarios/y-webrtc.mjs";
