// Addresses within the page: `#/jobs/ID?line=12`. After the hash, they need no server and no prefix.
import { useEffect, useState } from "./view.js";

/** @typedef {{ path: string[], query: URLSearchParams, text: string }} Place */

/**
 * @param {string} hash
 * @returns {Place}
 */
export function parse(hash) {
  const text = hash.startsWith("#/") ? hash.slice(2) : "";
  const [path = "", query = ""] = text.split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decoded), query: new URLSearchParams(query), text };
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * Return the link to a place: `linkTo("jobs", id)`.
 * @param {...string} path
 */
export function linkTo(...path) {
  return `#/${path.map(encodeURIComponent).join("/")}`;
}

/** @param {string} link */
export function go(link) {
  location.hash = link;
}

/**
 * Change the address without a step back to the one before.
 * @param {string} link
 */
export function replace(link) {
  location.replace(link);
}

/** Return the present place, and render again when it changes. */
export function usePlace() {
  const [place, setPlace] = useState(() => parse(location.hash));
  useEffect(() => {
    const changed = () => setPlace(parse(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return place;
}
