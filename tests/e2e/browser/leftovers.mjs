/** Files and networks named after an ended process, which a crash has left behind. */

/**
 * Whether a name, such as `byway-lab-123-...` for the prefix `byway-lab-`, is that of a process
 * that has ended.
 *
 * @param {string} name
 * @param {string} prefix
 */
export function isLeftover(name, prefix) {
  const pid = name.startsWith(prefix) && Number.parseInt(name.slice(prefix.length), 10);
  return Boolean(pid) && !isAlive(pid);
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM"; // somebody else's
  }
}
