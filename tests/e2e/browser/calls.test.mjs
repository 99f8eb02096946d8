/**
 * Scenarios of whole calls, one after the other: two pages that call each other need a core. One
 * call runs beside the first of them. `pages.test.mjs` has the other scenarios, in a process of
 * their own, and takes about as long.
 */
import { isEndless } from "./scenarios/endless.mjs";
import "./scenarios/relayed.mjs";
import "./scenarios/explain.mjs";
import "./scenarios/at-once.mjs";
import "./scenarios/example.mjs";
import "./scenarios/streams.mjs";
import "./scenarios/channels.mjs";
import "./scenarios/states.mjs";
import "./scenarios/other-clients.mjs";
import "./scenarios/examples.mjs";
import "./scenarios/only-streams.mjs";
import "./scenarios/firefox.mjs";
import "./scenarios/direct.mjs";
import "./scenarios/leaving.mjs";
import "./scenarios/recovery.mjs";
import "./scenarios/cut.mjs";
import "./scenarios/files.mjs";
import "./scenarios/background.mjs";
import "./scenarios/chat.mjs";
import "./scenarios/photos.mjs";
import "./scenarios/gifs.mjs";

isEndless();
