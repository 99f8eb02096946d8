/** Panel "Photo": a photo of any picture of the call, with a filter. */

import { labelled } from "../fields.js";
import { pictureList } from "../pictures.js";
import { galleryView } from "../pictures/gallery.js";
import { withPictureWords } from "../pictures/words.js";
import { album, look, takePhoto } from "./photo/album.js";
import { FILTERS, paint } from "./photo/filters.js";
import { Preview } from "./photo/preview.js";

/** @typedef {import("../page.js").Page} Page */

export const words = withPictureWords({
  en: () => import("./photo/words/en.js"),
  zh: () => import("./photo/words/zh.js"),
});

const COUNTDOWN_S = 3;

/** @param {HTMLElement} section @param {Page} page */
export function open(section, page) {
  const { element, say } = page;
  const list = pictureList(page, { id: "photo-picture", label: say("pictures.choose") });
  /** @type {HTMLCanvasElement} */
  const canvas = element("canvas", { id: "photo-preview", role: "img", "aria-label": say("photo.preview") });
  const count = element("p", { class: "countdown", "aria-hidden": "true", hidden: true });
  const note = element("p", { class: "quiet" });
  const stage = element("div", { class: "preview" }, canvas, count);
  const take = element("button", { id: "photo-take", type: "button", class: "primary" });
  const filter = filterFields(page, () => preview.draw());
  const view = galleryView(page, album, { id: "photos", title: say("photo.taken"), alt: ({ label }) => say("photo.of", { name: label }) });
  /** Seconds until the photo, or null. @type {number | null} */
  let left = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;

  const preview = new Preview(canvas, {
    paint: (target, video) => paint(target, video, look),
    drawn: (video) => {
      stage.hidden = !video;
      take.disabled = !video;
      const { videoWidth: width, videoHeight: height } = video ?? { videoWidth: 0, videoHeight: 0 };
      const text = video ? say("photo.size", { width, height }) : say(list.chosen() ? "camera.starting" : "pictures.no-picture");
      if (note.textContent !== text) note.textContent = text;
    },
  });
  const drawCount = () => {
    count.hidden = left === null;
    count.textContent = String(left ?? "");
    take.textContent = left === null ? say("photo.take") : say("pictures.cancel");
  };
  const stopCountdown = () => {
    clearInterval(timer);
    left = null;
    drawCount();
  };
  const shoot = async () => {
    const picture = list.chosen();
    const { video } = preview;
    if (!picture || !video) return page.announce(say("pictures.no-picture"));
    try {
      const removed = await takePhoto(video, picture.label);
      page.announce([say("photo.done"), ...(removed ? [say("pictures.oldest-removed")] : [])].join(" "));
    } catch (error) {
      console.warn(error);
      page.announce(say("photo.failed"));
    }
  };
  const startCountdown = () => {
    left = COUNTDOWN_S;
    drawCount();
    page.announce(say("photo.counting", { seconds: COUNTDOWN_S }));
    timer = setInterval(() => {
      left = (left ?? 0) - 1;
      if (left > 0) return drawCount();
      stopCountdown();
      shoot();
    }, 1_000);
  };
  take.addEventListener("click", () => {
    if (left !== null) stopCountdown();
    else if (look.countdown) startCountdown();
    else shoot();
  });
  list.select.addEventListener("change", () => {
    // Not a photo of another person than the countdown was for.
    stopCountdown();
    preview.show(list.chosen());
  });

  section.classList.add("photo");
  section.append(list.root, stage, element("div", { class: "row" }, take, countdownSwitch(page)), filter, note, view.root);
  drawCount();
  preview.show(list.chosen());
  return () => {
    stopCountdown();
    preview.close();
    list.close();
    view.close();
  };
}

/**
 * Builds the list of filters and the slider of their amount.
 * @param {Page} page @param {() => void} changed
 */
function filterFields(page, changed) {
  const { element, say } = page;
  const choices = ["none", ...FILTERS.map(({ id }) => id)];
  const select = element("select", { id: "photo-filter" }, ...choices.map((id) => element("option", { value: id, text: say(`photo.filter-${id}`) })));
  const slider = element("input", { id: "photo-amount", type: "range" });
  const output = element("output", { for: "photo-amount", class: "quiet" });
  const amount = element("div", { class: "field-label" }, element("span", { class: "amount" }, element("label", { for: "photo-amount", text: say("photo.amount") }), output), slider);
  const drawAmount = () => {
    amount.hidden = !look.filter;
    output.textContent = slider.ariaValueText = `${look.amount} ${look.filter?.unit ?? ""}`.trim();
    changed();
  };
  const drawFilter = () => {
    const { filter } = look;
    if (filter) Object.assign(slider, { min: filter.min, max: filter.max, step: filter.step, value: look.amount });
    drawAmount();
  };
  select.value = look.id;
  select.addEventListener("change", () => {
    look.id = select.value;
    drawFilter();
  });
  slider.addEventListener("input", () => {
    look.amounts[look.id] = Number(slider.value);
    drawAmount();
  });
  queueMicrotask(drawFilter);
  return element("div", { class: "filter" }, labelled(page, say("photo.filter"), select), amount);
}

/** @param {Page} page */
const countdownSwitch = ({ element, say }) =>
  element("label", { class: "switch" },
    element("input", {
      id: "photo-countdown", type: "checkbox", role: "switch", checked: look.countdown,
      onchange: (/** @type {any} */ { target }) => (look.countdown = target.checked),
    }),
    element("span", { class: "track" }),
    element("span", { text: say("photo.countdown", { seconds: COUNTDOWN_S }) }),
  );
