/** Help of the settings for a device that the browser refuses. */

/** @typedef {import("./controls.js").Page} Page */
/** @typedef {import("./controls.js").Part} Part */

const BROWSERS = ["chrome", "firefox", "safari", "ios", "android"];

/**
 * Says how to undo a refusal: in this browser first, then in others, since many browsers call
 * themselves by the name of another one.
 * @param {Page} page @returns {Part}
 */
export function refusalPart(page) {
  const { media, say, element } = page;
  const own = media.undoKey;
  const others = BROWSERS.filter((browser) => `devices.undo-${browser}` !== own);
  const root = element(
    "div",
    { class: "settings-group refusal", id: "refusal" },
    element("h3", { text: say("devices.refused-title") }),
    element("p", { id: "undo-refusal", text: say(own) }),
    element(
      "details",
      {},
      element("summary", { text: say("devices.refused-other") }),
      element("dl", {}, ...others.flatMap((browser) => [
        element("dt", { text: say(`devices.browser-${browser}`) }),
        element("dd", { text: say(`devices.undo-${browser}`) }),
      ])),
    ),
  );
  const draw = () => {
    const errors = [media.camera.error, media.microphone.error];
    // A page over plain HTTP is refused as well, and needs another remedy.
    root.hidden = !errors.some((error) => error?.code.endsWith("-denied"));
  };
  return { root, draw };
}
