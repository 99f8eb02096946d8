/** Memory of a page. */

/**
 * Returns a function that measures the heap of a page with all its buffers, after a collection.
 * @param {import("playwright-core").Page} page
 */
export async function heapOf(page) {
  const devtools = await page.context().newCDPSession(page);
  return async () => {
    await devtools.send("HeapProfiler.collectGarbage");
    const { usedSize, backingStorageSize = 0 } = await devtools.send("Runtime.getHeapUsage");
    return usedSize + backingStorageSize;
  };
}
