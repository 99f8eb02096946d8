/** A shared screen, since headless Chromium has none to choose. */

/**
 * Shares a screen of 1600 x 600 pixels that moves, from a canvas.
 * @param {import("playwright-core").Page} page
 */
export async function screenOf(page) {
  await page.evaluate(() => {
    navigator.mediaDevices.getDisplayMedia = async () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 1600, height: 600 });
      const context = canvas.getContext("2d");
      const paint = () => {
        context.fillStyle = `hsl(${performance.now() / 10} 80% 50%)`;
        context.fillRect(0, 0, 1600, 600);
      };
      setInterval(paint, 50);
      return canvas.captureStream(20);
    };
  });
  await page.click("#share");
  await page.locator("[data-notice=share]").waitFor();
}
