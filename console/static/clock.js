// Time as the server has it, and as people read it: relative, with the absolute time on hover.
import { html, useEffect, useState } from "./view.js";
import { language, t } from "./language.js";

const SKEW_IGNORED_MS = 3_000; // the header `Date` counts whole seconds, and travels
const UNITS = /** @type {const} */ ([["day", 86_400], ["hour", 3_600], ["minute", 60]]);

let skewMs = 0;

/** @param {string | null} date */
export function noteServerTime(date) {
  const difference = date ? Date.parse(date) - Date.now() : 0;
  skewMs = Math.abs(difference) > SKEW_IGNORED_MS ? difference : 0;
}

/** Return the present time of the server in milliseconds: people's clocks may be wrong. */
export function now() {
  return Date.now() + skewMs;
}

/**
 * Return the present time, and render again every so often; never while the page is hidden.
 * @param {number} everyMs 0: not again
 */
export function useNow(everyMs) {
  const [at, setAt] = useState(now);
  useEffect(() => {
    if (!everyMs) return undefined;
    setAt(now());
    return onTick(everyMs, () => setAt(now()));
  }, [everyMs]);
  return everyMs ? at : now();
}

/** @type {Map<number, Set<() => void>>} */
const listeners = new Map();

/**
 * Call back every so often. All who ask for the same pace share one timer, so that a list of a thousand times has one.
 * @param {number} everyMs
 * @param {() => void} heard
 */
function onTick(everyMs, heard) {
  const own = listeners.get(everyMs) ?? new Set();
  if (!listeners.has(everyMs)) {
    listeners.set(everyMs, own);
    setInterval(() => document.hidden || own.forEach((each) => each()), everyMs);
  }
  own.add(heard);
  return () => void own.delete(heard);
}

/** @param {string | number} at */
export function absolute(at) {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(at));
}

/**
 * @param {number} seconds negative: in the past
 */
function relative(seconds) {
  const written = new Intl.RelativeTimeFormat(language(), { numeric: "always", style: "short" });
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return written.format(Math.trunc(seconds / length), unit);
  }
  return seconds > -5 && seconds <= 0 ? t("time.now") : written.format(Math.trunc(seconds), "second");
}

/**
 * A time, relative to now.
 * @param {{ at: string | null | undefined }} props
 */
export function Ago({ at }) {
  const moment = at ? Date.parse(at) : NaN;
  const age = Math.abs(now() - moment);
  const current = useNow(Number.isNaN(moment) ? 0 : age < 120_000 ? 1_000 : 30_000);
  if (Number.isNaN(moment)) return html`<span class="quiet">–</span>`;
  return html`<time datetime=${at} title=${absolute(moment)}>${relative((moment - current) / 1000)}</time>`;
}

/**
 * The seconds until a time, counted down; a server that is late has "now".
 * @param {{ to: string }} props
 */
export function Countdown({ to }) {
  const current = useNow(1_000);
  const left = Math.ceil((Date.parse(to) - current) / 1000);
  return html`<time datetime=${to} title=${absolute(to)}>${left > 0 ? t("time.in", { time: duration(left) }) : t("time.any_moment")}</time>`;
}

/**
 * Return a length of time as people write it: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 10 && seconds % 1 >= 0.05) return t("time.s", { s: seconds.toFixed(1) });
  const whole = Math.round(seconds);
  if (whole < 60) return t("time.s", { s: whole });
  if (whole < 3_600) return t("time.min_s", { min: Math.floor(whole / 60), s: whole % 60 });
  if (whole < 86_400) return t("time.h_min", { h: Math.floor(whole / 3_600), min: Math.floor((whole % 3_600) / 60) });
  return t("time.d_h", { d: Math.floor(whole / 86_400), h: Math.floor((whole % 86_400) / 3_600) });
}

/**
 * Return the seconds between two times; without an end, until now.
 * @param {string} from
 * @param {string | null} [until]
 */
export function secondsBetween(from, until) {
  return Math.max(0, ((until ? Date.parse(until) : now()) - Date.parse(from)) / 1000);
}
