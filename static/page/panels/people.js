/** Panel "People": who is here, what a host may do, and the invitation. */

import { openInvite } from "./invite.js";

/** @typedef {import("../page.js").Page} Page */
/** @typedef {import("../person.js").Person} Person */

/** Time between two drawings: a page that says something new all the time takes no button away. */
const DRAWING_MS = 1_000;

/** @param {HTMLElement} section @param {Page} page */
export function open(section, page) {
  const { element, say } = page;
  const list = element("ul", { class: "people", "aria-label": say("people.list") });
  const watching = element("p", { class: "quiet" });
  const viewers = element("ul", { class: "viewers", "aria-label": say("people.viewer-list") });
  const host = element("div", { class: "host" });
  const invite = element("div", { class: "invitation" });
  section.append(list, watching, viewers, host, invite);

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waiting;
  let drawn = "";
  const draw = () => {
    const { call } = page;
    const wanted = call ? contentOf(page, call) : drawn;
    if (!call || waiting !== undefined || wanted === drawn) return;
    waiting = setTimeout(() => {
      waiting = undefined;
      draw();
    }, DRAWING_MS);
    // A button that is replaced while it is pressed gets no click.
    if (section.matches(":active")) return;
    drawn = wanted;
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.key;
    list.replaceChildren(ownEntry(page), ...[...page.people.values()].map((person) => entry(page, person)));
    watching.textContent = call.viewers ? say("people.viewers", { count: call.viewers }) : "";
    const removable = call.host ? call.peers.filter(({ viewer }) => viewer) : [];
    viewers.replaceChildren(...removable.map((peer) => viewerEntry(page, peer)));
    viewers.hidden = viewers.childElementCount === 0;
    host.replaceChildren(...hostControls(page));
    // The new control gets the focus of the one that it replaces.
    if (focused) /** @type {HTMLElement | null} */ (section.querySelector(`[data-key="${focused}"]`))?.focus();
  };
  draw();
  const closeInvite = openInvite(invite, page);
  page.events.addEventListener("people", draw);
  page.media.addEventListener("change", draw);
  return () => {
    clearTimeout(waiting);
    page.events.removeEventListener("people", draw);
    page.media.removeEventListener("change", draw);
    closeInvite();
  };
}

/**
 * Returns everything that the lists show, as one text.
 * @param {Page} page
 * @param {import("../../byway.js").Call} call
 */
const contentOf = ({ people, media, hand }, call) =>
  JSON.stringify([
    call.host, call.locked, hand, media.microphone.status,
    [...people.values()].map(({ peer, name, hand }) => [peer.id, name, peer.host, hand, peer.media]),
    call.peers.filter(({ viewer }) => viewer).map(({ id }) => id),
  ]);

/** @param {Page} page */
function ownEntry(page) {
  const { element, say, call, media, hand } = page;
  const states = [
    ...(call?.host ? [say("people.host")] : []),
    ...(hand ? [say("call.hand-up")] : []),
    ...(media.microphone.status === "on" ? [] : [say("microphone.own-off")]),
  ];
  return element("li", {}, element("bdi", { class: "who", text: say("call.you") }), element("span", { class: "quiet", text: states.join(" · ") }));
}

/** @param {Page} page @param {Person} person */
function entry(page, person) {
  const { element, say, call } = page;
  const { peer, label: name } = person;
  const { microphone, camera } = peer.media;
  const states = [
    ...(peer.host ? [say("people.host")] : []),
    ...(person.hand ? [say("call.hand-up")] : []),
    ...(microphone === "on" ? [] : [say(`microphone.${microphone}`)]),
    ...(camera === "on" ? [] : [say(`camera.${camera}`, { name: person.shortName })]),
  ];
  const button = (/** @type {string} */ key, /** @type {string} */ label, /** @type {() => void} */ act) =>
    element("button", { type: "button", class: "small", "data-key": `${key}-${peer.id}`, text: say(key), "aria-label": say(label, { name }), onclick: act });
  return element("li", {},
    element("bdi", { class: "who", text: name }),
    element("span", { class: "quiet", text: states.join(" · ") }),
    ...(person.hasVolume ? [person.volumeSlider({ "data-key": `volume-${peer.id}` })] : []),
    ...(call?.host && !peer.host
      ? [
        element("span", { class: "row" },
          ...(microphone === "on" ? [button("host.ask-mute", "host.ask-mute-name", () => askToMute(page, person))] : []),
          button("host.remove", "host.remove-name", () => request(page, () => call.remove(peer))),
        ),
      ]
      : []),
  );
}

/** Asks a person to mute, and says so. @param {Page} page @param {Person} person */
function askToMute(page, person) {
  const key = page.askToMute(person) ? "host.asked-mute" : "host.cannot-ask";
  page.announce(page.say(key, { name: person.shortName }));
}

/** A viewer, for a host. @param {Page} page @param {import("../../byway.js").Peer} peer */
function viewerEntry(page, peer) {
  const { element, say, call } = page;
  const name = peer.name || say("call.guest");
  return element("li", {},
    element("bdi", { class: "who", text: name }),
    element("span", { class: "row" },
      element("button", {
        type: "button", class: "small", "data-key": `remove-${peer.id}`, text: say("host.remove"),
        "aria-label": say("host.remove-name", { name }), onclick: () => request(page, () => call?.remove(peer)),
      }),
    ),
  );
}

/**
 * Makes a request of a host, and says why it cannot be made.
 * @param {Page} page @param {() => void} make
 * @returns {boolean} Whether it was made.
 */
function request(page, make) {
  try {
    make();
    return true;
  } catch (error) {
    page.announce(page.sayError(/** @type {import("../../byway.js").BywayError} */ (error)));
    return false;
  }
}

/** Lock of the room, for a host. @param {Page} page */
function hostControls(page) {
  const { element, say, call } = page;
  if (!call?.host) return call?.locked ? [element("p", { class: "quiet", text: say("host.is-locked") })] : [];
  return [
    element("label", { class: "switch" },
      element("input", {
        type: "checkbox", role: "switch", checked: call.locked, "data-key": "lock",
        onchange: (/** @type {any} */ { target }) => {
          if (!request(page, () => call.lock(target.checked))) target.checked = call.locked;
        },
      }),
      element("span", { class: "track" }),
      element("span", { text: say("host.lock") }),
    ),
    element("p", { class: "quiet", text: say("host.lock-help") }),
  ];
}
