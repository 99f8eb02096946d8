/**
 * The call page: the first user of byway.js, and an example of its use. Table of contents:
 *
 * - `page/address.js`: room, relay setting and join token in the page's address;
 * - `page/words.js`, `page/words/`: everything that a person reads, by language;
 * - `page/dom.js`, `page/remember.js`: elements and style sheets; settings that the browser
 *   remembers;
 * - `page/page.js`: state that the parts share;
 * - `page/landing.js`, `page/lobby.js`: before a call;
 * - `page/entry.js`: tokens, where the server requires them, and an operator's calls;
 * - `page/session.js`: joining, leaving, refusals, loss of the server;
 * - `page/people.js`, `page/person.js`: the others, their tiles and the layout;
 * - `page/self.js`, `page/media.js`: own tile, camera, microphone, screen;
 * - `page/presence.js`: hands, recordings, and a host's request to mute;
 * - `page/controls.js`: panels, keys, wake lock, relay switch;
 * - `page/tabs.js`, `page/live.js`: a second tab; one speaker and many viewers;
 * - `page/quality.js`, `page/reach.js`: quality in words; reasons why the server is out of reach;
 * - `page/later.js`: parts that load with the first call.
 *
 * Loaded when they are needed:
 * - `page/panels/`: panels, when they are opened: people, chat, photo, gif, record, info, settings;
 * - `page/chat/`: text and files between members, with the first call;
 * - `page/background/`: virtual background, when it is chosen. `page/media/picture-chain.js` puts
 *   it between the camera and the track that is sent;
 * - `page/pictures.js`, `page/pictures/`: pictures of the call that photos, GIFs and recordings
 *   show, and the gallery of those that were taken;
 * - `page/fields.js`, `page/file-names.js`, `page/sizes.js`: fields of panels, safe names of files,
 *   sizes in figures;
 * - `page/own-url.js`: addresses of workers.
 *
 * Stable hooks for other programs:
 *   #join #hangup #relay #room-link #status     controls, by id
 *   #microphone #camera #share #hand #flip      buttons; all but the last with aria-pressed
 *   #people #chat #photo #gif #record           buttons with aria-expanded
 *   #info #settings
 *   #reports, #timeline li[data-kind]           in the panel of #info: consent, events of the call
 *   #explain [data-fault]                       what the events show, by name of the fault
 *   video#self, .peer video[data-purpose]       the own and the peers' videos: camera | screen
 *   .peer[data-path][data-protocol]             direct | relayed | connecting, and udp | tcp | tls
 *   .peer[data-microphone][data-camera]         on | off | none
 *   #call[data-state]                           lobby | joining | joined
 *   document.querySelector("#call").call        the running Call of byway.js, or null
 */
import { byId } from "./page/dom.js";
import { startKeys, startPanels, startRelaySwitch, startWakeLock } from "./page/controls.js";
import { startLanding } from "./page/landing.js";
import { startLater } from "./page/later.js";
import { startLive } from "./page/live.js";
import { showAddress, startLobby } from "./page/lobby.js";
import { Page } from "./page/page.js";
import { startPeople } from "./page/people.js";
import { startPresence } from "./page/presence.js";
import { startSelf } from "./page/self.js";
import { startSession } from "./page/session.js";
import { startTabs } from "./page/tabs.js";
import { loadWords, translate } from "./page/words.js";

const parts = [
  startPeople, startSelf, startLobby, startSession, startPresence, startRelaySwitch, startPanels, startKeys,
  startWakeLock, startTabs, startLive, startLater,
];

byId("call").call = null;
loadWords().then(() => {
  translate();
  const page = new Page();
  for (const start of parts) start(page);
  startLanding(page, () => showAddress(page));
  showAddress(page);
});
