/** Line of a recording: player, figures and what can be done with it. */

import { sizeText } from "../../sizes.js";
import { timeText } from "./duration.js";

/** @typedef {import("../../page.js").Page} Page */
/** @typedef {import("./recorder.js").Item} Item */
/** @typedef {import("./recorder.js").Recorder} Recorder */

/** @param {Page} page @param {Recorder} recorder @param {Item} item */
export function recordingLine(page, recorder, item) {
  const { element, say } = page;
  const root = element("li", { "data-state": item.state });
  const name = element("bdi", { class: "recording-name" });
  const figures = element("p", { class: "quiet" });
  const note = element("p", { class: "recording-note" });
  const progress = element("progress", { max: 1, "aria-label": say("record.finishing") });
  const actions = element("div", { class: "row" });
  const sender = element("button", { type: "button", class: "send", text: say("pictures.send"), onclick: () => send(page, item) });
  root.append(name, progress, figures, note, actions);
  let isComplete = false;

  const complete = () => {
    isComplete = true;
    // Sound alone has controls of its own height.
    const player = element(item.meta.format.hasVideo ? "video" : "audio", {
      controls: true, preload: "metadata", playsinline: true, src: item.url, "aria-label": say("record.player", { name: item.fileName }),
    });
    root.prepend(player);
    actions.append(
      element("a", { class: "button", download: item.fileName, href: item.url, text: say("pictures.download") }),
      sender,
    );
  };
  const draw = () => {
    root.dataset.state = item.state;
    name.textContent = item.fileName;
    progress.hidden = item.state !== "finishing";
    if (item.progress > 0) progress.value = item.progress;
    const parts = [timeText(item.meta.duration ?? 0), sizeText(item.blob?.size ?? 0), item.meta.format.name];
    figures.textContent = item.state === "finishing" ? say("record.finishing") : item.state === "done" ? parts.join(" · ") : "";
    note.textContent = item.note;
    note.hidden = !item.note;
    sender.hidden = !page.chat || !page.call;
    if (item.state === "done" && !isComplete) complete();
    if (item.state !== "finishing" && !actions.querySelector(".remove")) {
      actions.append(element("button", {
        type: "button", class: "remove", text: say("pictures.remove"), "aria-label": say("record.remove-name", { name: item.fileName }),
        onclick: () => recorder.remove(item),
      }));
    }
  };
  draw();
  return { root, draw };
}

/** @param {Page} page @param {Item} item */
function send(page, { blob, fileName, meta }) {
  if (!blob || !page.chat) return;
  const file = new File([blob], fileName, { type: meta.format.type.split(";")[0] });
  // If not, the chat has said why.
  if (page.chat.offer([file], null)) page.announce(page.say("pictures.sent"));
}
