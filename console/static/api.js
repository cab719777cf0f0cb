// Requests to the API of the same origin, with the log-in cookie. Nothing else in the console sends any.
import { CALLS } from "./calls.js";
import { noteServerTime } from "./clock.js";

/** @import { Calls, ProblemShown, FieldError } from "../types/api.js" */

/**
 * What a call takes. `key` makes a repeated write harmless: the same key gets the first answer again.
 * @template {keyof Calls} K
 * @typedef {object} Options
 * @property {Calls[K]["values"]} [values] parts of the path
 * @property {Calls[K]["query"]} [query]
 * @property {Calls[K]["body"]} [body]
 * @property {string} [key]
 * @property {string} [etag] of what is here already
 * @property {AbortSignal} [signal]
 */

/** A refusal with its code and remedy, or a request that got no answer (`code` is `no_answer`, `status` 0). */
export class Problem extends Error {
  /** @param {Partial<ProblemShown> & { title: string, status: number, code: string }} shown */
  constructor(shown) {
    super(shown.detail ?? shown.title);
    this.title = shown.title;
    this.detail = shown.detail ?? "";
    this.remedy = shown.remedy ?? "";
    this.status = shown.status;
    this.code = shown.code;
    this.jobId = shown.job_id ?? null;
    this.requestId = shown.request_id ?? "";
    /** @type {FieldError[]} */
    this.errors = shown.errors ?? [];
  }

  /** Whether the same request may succeed a little later. */
  get isPassing() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** @type {Set<() => void>} */
const loggedOut = new Set();

/**
 * Hear when the session has ended. Returns what stops that.
 * @param {() => void} heard
 */
export function onLoggedOut(heard) {
  loggedOut.add(heard);
  return () => void loggedOut.delete(heard);
}

/** Return a new key for one write. `crypto.randomUUID` exists on secure origins only. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Return the address of a call. The page is at `console`, so the address is relative: it holds behind any prefix.
 * @param {keyof Calls} name
 * @param {Record<string, string>} [values]
 * @param {Record<string, unknown>} [query]
 */
export function addressOf(name, values = {}, query = {}) {
  const declared = CALLS[name];
  if (!declared) throw new Error(`calls.js does not list ${name}`);
  const path = declared[1].slice(1).replace(/\{(\w+)\}/g, (_, each) => encodeURIComponent(values[each] ?? ""));
  const address = new URL(path, document.baseURI);
  for (const [each, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") address.searchParams.set(each, String(value));
  }
  return address.href;
}

/**
 * Make a call and return its answer. Throws Problem.
 * @template {keyof Calls} K
 * @param {K} name
 * @param {Options<K>} [options]
 * @returns {Promise<Calls[K]["answer"]>}
 */
export async function call(name, options = {}) {
  return (await send(name, options)).answer;
}

/**
 * Make a call and return its answer with the ETag; `answer` is undefined if what is here is current. Throws Problem.
 * @template {keyof Calls} K
 * @param {K} name
 * @param {Options<K>} [options]
 * @returns {Promise<{ answer: any, etag: string | null, status: number }>}
 */
export async function send(name, options = {}) {
  const method = CALLS[name]?.[0] ?? "GET";
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET") headers["Idempotency-Key"] = options.key ?? newKey();
  if (options.etag) headers["If-None-Match"] = options.etag;
  const response = await reach(addressOf(name, options.values, options.query), {
    method,
    headers,
    body: options.body === undefined ? undefined : JSON.stringify(options.body),
    credentials: "same-origin",
    cache: "no-store",
    signal: options.signal ?? null,
  });
  noteServerTime(response.headers.get("Date"));
  if (response.ok || response.status === 304) {
    const isJson = response.status !== 304 && (response.headers.get("Content-Type") ?? "").includes("json");
    const answer = isJson ? await response.json() : undefined;
    return { answer, etag: response.headers.get("ETag"), status: response.status };
  }
  throw await refusalOf(response);
}

/**
 * @param {string} address
 * @param {RequestInit} request
 */
async function reach(address, request) {
  try {
    return await fetch(address, request);
  } catch (error) {
    if (request.signal?.aborted) throw error;
    throw new Problem({ title: "No answer", status: 0, code: "no_answer" });
  }
}

/** @param {Response} response */
async function refusalOf(response) {
  const shown = await response.json().catch(() => null);
  const problem = new Problem({ title: response.statusText, code: "unknown", ...shown, status: response.status });
  if (problem.code === "not_logged_in") loggedOut.forEach((heard) => heard());
  return problem;
}

/** @type {Promise<any> | undefined} */
let published;

/**
 * Return the values that a field of a request may have, as the API publishes them: teams, types of apps.
 * @param {string} schema
 * @param {string} field
 * @returns {Promise<string[]>}
 */
export async function choicesOf(schema, field) {
  published ??= call("show_document").catch((error) => {
    published = undefined;
    throw error;
  });
  const found = (await published).components.schemas[schema]?.properties?.[field];
  return found?.enum ?? found?.anyOf?.[0]?.enum ?? [];
}

/**
 * Return the scopes that an API token may have.
 * @returns {Promise<string[]>}
 */
export async function scopes() {
  await choicesOf("NewToken", "scope");
  return (await published).components.schemas.Scope.enum;
}
