// Loading for a page: the first time, again every so often, and what remains shown when that fails.
import { useCallback, useEffect, useRef, useState } from "./view.js";
import { newKey, Problem } from "./api.js";
import { now } from "./clock.js";

/**
 * @template T
 * @typedef {object} Loaded
 * @property {T | undefined} data the newest that arrived, kept when loading again fails
 * @property {Problem | undefined} problem why the last attempt failed
 * @property {number} at when `data` arrived
 * @property {() => Promise<void>} reload
 */

/**
 * Load with `read`, again when an input changes, and every `everyMs` while the page is visible.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} read
 * @param {readonly unknown[]} inputs
 * @param {number} [everyMs]
 * @returns {Loaded<T>}
 */
export function useLoaded(read, inputs, everyMs = 0) {
  const [state, setState] = useState(/** @type {{ data?: T, problem?: Problem, at: number }} */ ({ at: 0 }));
  const reader = useRef(read);
  reader.current = read;
  const control = useRef(new AbortController());

  const reload = useCallback(async () => {
    const { signal } = control.current;
    try {
      const data = await reader.current(signal);
      if (!signal.aborted) setState({ data, at: now() });
    } catch (error) {
      if (!signal.aborted) setState((before) => ({ ...before, problem: asProblem(error) }));
    }
  }, []);

  useEffect(() => {
    control.current = new AbortController();
    setState((before) => (before.at || before.problem ? { at: 0 } : before));
    void reload();
    return () => control.current.abort();
  }, inputs);

  useEffect(() => {
    if (!everyMs) return undefined;
    const timer = setInterval(() => document.hidden || void reload(), everyMs);
    const shown = () => document.hidden || void reload();
    document.addEventListener("visibilitychange", shown);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [everyMs, reload]);

  return { data: state.data, problem: state.problem, at: state.at, reload };
}

/**
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
  if (error instanceof Problem) return error;
  console.error(error);
  return new Problem({ title: String(error), status: -1, code: "fault" });
}

// No answer, one that cannot be read, or one after which the same request is to be sent again with the same key.
const UNCERTAIN = [0, -1, 429, 502, 503, 504];

/**
 * A write that a person starts. While it is under way it cannot be started again, and a repetition after a lost answer
 * has the same key, so that nothing happens twice.
 * @template {any[]} G
 * @param {(key: string, ...given: G) => Promise<unknown>} write
 */
export function useAction(write) {
  const [problem, setProblem] = useState(/** @type {Problem | undefined} */ (undefined));
  const [isBusy, setBusy] = useState(false);
  const key = useRef(/** @type {{ value: string, given: string } | undefined} */ (undefined));
  const writer = useRef(write);
  writer.current = write;

  const start = useCallback(async (/** @type {G} */ ...given) => {
    setBusy(true);
    setProblem(undefined);
    const text = JSON.stringify(given);
    if (key.current?.given !== text) key.current = { value: newKey(), given: text };
    try {
      await writer.current(key.current.value, ...given);
      key.current = undefined;
      return true;
    } catch (error) {
      const refused = asProblem(error);
      if (!UNCERTAIN.includes(refused.status)) key.current = undefined;
      setProblem(refused);
      return false;
    } finally {
      setBusy(false);
    }
  }, []);

  return { start, isBusy, problem, clear: () => setProblem(undefined) };
}
