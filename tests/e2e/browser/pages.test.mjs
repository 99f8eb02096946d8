/**
 * Scenarios of pages, other clients and what disturbs a call, one after the other, in a process
 * beside `calls.test.mjs`.
 */
import "./scenarios/old-clients.mjs";
import "./scenarios/restarts.mjs";
import "./scenarios/devices.mjs";
import "./scenarios/device-choice.mjs";
import "./scenarios/report.mjs";
import "./scenarios/quality.mjs";
import "./scenarios/status.mjs";
import "./scenarios/module.mjs";
import "./scenarios/regions.mjs";
import "./scenarios/hostile.mjs";
import "./scenarios/hostile-page.mjs";
import "./scenarios/headers.mjs";
import "./scenarios/start.mjs";
import "./scenarios/keyboard.mjs";
import "./scenarios/appearance.mjs";
import "./scenarios/accessibility.mjs";
import "./scenarios/help.mjs";
import "./scenarios/people.mjs";
import "./scenarios/recording.mjs";
import "./scenarios/rooms.mjs";
import "./scenarios/entry.mjs";
import "./scenarios/other-origin.mjs";
import "./scenarios/reverse-proxy.mjs";
import "./scenarios/reach.mjs";
import "./scenarios/check.mjs";
import "./scenarios/peerjs.mjs";
import "./scenarios/y-webrtc.mjs";
