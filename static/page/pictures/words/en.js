/** English words that the panels of photos, GIFs and recordings share. */

/** @type {Record<string, string>} */
export const words = {
  "pictures.choose": "Picture",
  "pictures.own-screen": "Your screen",
  "pictures.none": "No picture",
  "pictures.no-picture": "There is no picture. Switch a camera on, or wait until another person does.",
  "pictures.cancel": "Cancel",
  "pictures.kept": "Kept until you close this page: the newest {count}, up to {size}. Download the ones you need.",
  "pictures.oldest-removed": "The oldest ones were removed to make room.",
  "pictures.download": "Download",
  "pictures.send": "Send to chat",
  "pictures.sent": "Offered to everyone in the chat.",
  "pictures.not-sent": "The chat could not send it. Download it, and send it as a file.",
  "pictures.remove": "Remove",
  "pictures.removed": "Removed.",
};
