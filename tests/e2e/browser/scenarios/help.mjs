import assert from "node:assert/strict";
import { test } from "node:test";

import { findsNothing } from "../axe.mjs";
import { open } from "../stage.mjs";

for (const [size, viewport] of Object.entries({ phone: { width: 360, height: 740 }, desk: { width: 1280, height: 800 } })) {
  for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
    test(`/help leads to the entry of a fault, on a ${size} in ${colorScheme}`, async (scenario) => {
      const page = await open(scenario, "/help", { viewport, colorScheme });
      await findsNothing(page, "the document");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.equal(wide, 0, "it scrolls down only");

      // From a symptom to its entry.
      await page.locator('td a[href="#relay-ports-blocked"]').first().click();
      const entry = page.locator("h3:target");
      assert.equal(await entry.innerText(), "relay-ports-blocked");
      const { y } = await entry.boundingBox();
      assert.ok(y >= 0 && y < viewport.height / 2, `the entry is at ${y}`);
    });
  }
}
