/**
 * Scenarios of pages, other clients and what disturbs a call, one after the other, in a process
 * beside `calls.test.mjs`.
 */
import "./scenarios/old-clients.mjs";
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
import "./scenarios/peerjs.mjs";
import "./scenarios/y-webrtc.mjs";
