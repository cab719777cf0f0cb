// Texts in the language of the person, from the one catalogue in messages.js.
import MESSAGES from "./messages.js";

export const LANGUAGES = /** @type {const} */ (["en", "ko"]);
const KEPT_AS = "slipway.language";

/** @typedef {keyof typeof MESSAGES} Key */

let current = wanted();
document.documentElement.lang = current;

/** @returns {"en" | "ko"} */
function wanted() {
  const kept = stored(KEPT_AS);
  const first = [kept, ...navigator.languages].find((each) => each && LANGUAGES.some((ours) => each.startsWith(ours)));
  return first?.startsWith("ko") ? "ko" : "en";
}

export function language() {
  return current;
}

/** @param {"en" | "ko"} chosen */
export function setLanguage(chosen) {
  current = chosen;
  document.documentElement.lang = chosen;
  store(KEPT_AS, chosen);
}

/**
 * Return a text with its values filled in.
 * @param {Key} key
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(key, values) {
  const text = MESSAGES[key]?.[LANGUAGES.indexOf(current)] ?? key;
  return values ? text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole)) : text;
}

/**
 * Return the text for a value of the API, such as a state; a value that is newer than the console stays as it is.
 * @param {string} group
 * @param {string} value
 * @returns {string}
 */
export function label(group, value) {
  const key = `${group}.${value}`;
  return key in MESSAGES ? t(/** @type {Key} */ (key)) : value.replaceAll("_", " ");
}

/**
 * Read a preference. Browsers may refuse storage: then it lasts as long as the page.
 * @param {string} name
 */
export function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // as above
  }
}
