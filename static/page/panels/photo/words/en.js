/** English words of the panel "Photo". */

/** @type {Record<string, string>} */
export const words = {
  "photo.preview": "Preview of the photo",
  "photo.size": "The photo has {width} × {height} pixels, and is not mirrored.",
  "photo.filter": "Filter",
  "photo.filter-none": "None",
  "photo.filter-blur": "Blur",
  "photo.filter-brightness": "Brightness",
  "photo.filter-contrast": "Contrast",
  "photo.filter-grayscale": "Grayscale",
  "photo.filter-hue-rotate": "Turned hue",
  "photo.filter-invert": "Negative",
  "photo.filter-opacity": "Transparent",
  "photo.filter-saturate-up": "Strong colors",
  "photo.filter-saturate-down": "Pale colors",
  "photo.filter-sepia": "Sepia",
  "photo.filter-drop-shadow": "Drop shadow",
  "photo.amount": "Strength",
  "photo.countdown": "Count down {seconds} seconds",
  "photo.counting": "The photo is taken in {seconds} seconds.",
  "photo.take": "Take a photo",
  "photo.done": "Photo taken.",
  "photo.failed": "The browser could not make the photo. Close other tabs to free memory, then take it again.",
  "photo.taken": "Photos",
  "photo.of": "Photo: {name}",
};
