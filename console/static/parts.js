// The components that all pages share. `page-design.js` shows each of them in each of its states.
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from "./view.js";
import { Ago } from "./clock.js";
import { label, t } from "./language.js";
import { linkTo } from "./router.js";

/** @import { Problem } from "./api.js" */
/** @import { Key } from "./language.js" */

// -- icons: drawn on 16 by 16, in the colour of the text ----------------------------------------------------------

/** @type {Record<string, string>} */
const PATHS = {
  ok: "M3 8.500 6.500 12 13 4.500",
  fail: "M4 4l8 8M12 4l-8 8",
  run: "M5 3.500v9l7-4.500z",
  wait: "M8 4.500V8l2.500 1.500M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0",
  queue: "M3 4.500h10M3 8h10M3 11.500h6",
  stop: "M4.500 4.500h7v7h-7z",
  skip: "M3.500 4v8l5-4zM9 4v8l5-4z",
  warn: "M8 2.500 14.500 13.500h-13zM8 6.500V9.500M8 11.300v.4",
  info: "M8 7.500v4M8 4.800v.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0",
  pause: "M5.500 4v8M10.500 4v8",
  out: "M9 3h4v4M13 3 7.500 8.500M11.500 9.500V13H3V4.500h3.500",
  plus: "M8 3v10M3 8h10",
  more: "M5.500 3.500 10 8l-4.500 4.500",
  copy: "M5.500 5.500h7v8h-7zM3.500 10.500v-8h7",
  none: "M4 8h8",
  sun: "M8 1.500v1.500M8 13v1.500M1.500 8H3M13 8h1.500M3.400 3.400l1.100 1.100M11.500 11.500l1.100 1.100M12.600 3.400l-1.100 1.100M4.500 11.500l-1.100 1.100M10.800 8a2.800 2.800 0 1 1-5.600 0 2.800 2.800 0 0 1 5.600 0",
};

/** @param {{ name: string }} props */
export function Icon({ name }) {
  return html`<svg class=${`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false"><path d=${PATHS[name] ?? PATHS.none} /></svg>`;
}

// -- states: always an icon and a word, the colour only repeats them ----------------------------------------------

/** @type {Record<string, [tone: string, icon: string]>} */
const STATES = {
  queued: ["idle", "queue"],
  pending: ["idle", "none"],
  ready: ["idle", "queue"],
  running: ["run", "run"],
  waiting: ["wait", "wait"],
  retrying: ["wait", "wait"],
  succeeded: ["ok", "ok"],
  failed: ["fail", "fail"],
  cancelling: ["wait", "stop"],
  cancelled: ["idle", "stop"],
  skipped: ["idle", "skip"],
  stumbled: ["wait", "warn"],
  lost: ["wait", "warn"],
  open: ["ok", "ok"],
  in_doubt: ["wait", "warn"],
  down: ["fail", "fail"],
  refused: ["fail", "fail"],
  paused: ["wait", "pause"],
  intended: ["wait", "wait"],
  created: ["ok", "ok"],
  adopted: ["info", "info"],
  gone: ["fail", "fail"],
  well: ["ok", "ok"],
  wrong: ["fail", "fail"],
  untold: ["idle", "none"],
  healthy: ["ok", "ok"],
  progressing: ["run", "run"],
  making: ["run", "run"],
  incomplete: ["fail", "warn"],
  removing: ["wait", "stop"],
  removed: ["idle", "none"],
  unknown: ["idle", "none"],
};

/**
 * @param {{ of: string, group?: string, small?: boolean }} props
 */
export function State({ of, group = "state", small = false }) {
  const [tone, icon] = group === "app" && of === "ready" ? ["ok", "ok"] : (STATES[of] ?? ["idle", "none"]);
  return html`<span class=${`state tone-${tone}${small ? " small" : ""}`}><${Icon} name=${icon} />${label(group, of)}</span>`;
}

/** @param {string} state */
export function toneOf(state) {
  return (STATES[state] ?? ["idle"])[0];
}

/**
 * @param {{ tone: string, icon: string, children?: any }} props
 */
export function Badge({ tone, icon, children }) {
  return html`<span class=${`state tone-${tone}`}><${Icon} name=${icon} />${children}</span>`;
}

// -- actions and links --------------------------------------------------------------------------------------------

/**
 * @param {{ onClick?: () => unknown, kind?: "primary" | "plain" | "danger" | "link", busy?: boolean, disabled?: boolean, type?: "button" | "submit", icon?: string, name?: string, children?: any }} props
 */
export function Button({ onClick, kind = "plain", busy = false, disabled = false, type = "button", icon, name, children }) {
  return html`<button type=${type} class=${`button ${kind}`} aria-disabled=${busy || disabled ? "true" : undefined} aria-busy=${busy ? "true" : undefined} aria-label=${name}
    onClick=${(/** @type {Event} */ event) => {
      if (busy || disabled) event.preventDefault();
      else onClick?.();
    }}>${icon && html`<${Icon} name=${icon} />`}${children}${busy && html`<span class="spinner" aria-hidden="true"></span>`}</button>`;
}

/**
 * A link to another system. An address that is none of the web's stays text.
 * @param {{ to: string | null | undefined, children?: any }} props
 */
export function Out({ to, children }) {
  if (!to || !/^https?:\/\//i.test(to)) return html`<span>${children}</span>`;
  return html`<a class="out" href=${to} target="_blank" rel="noopener noreferrer">${children}<${Icon} name="out" /><span class="sr"> ${t("opens_outside")}</span></a>`;
}

/** @param {{ text: string }} props */
export function Copy({ text }) {
  const [isDone, setDone] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(text).catch(() => undefined);
    setDone(true);
    setTimeout(() => setDone(false), 2_000);
  };
  return html`<button type="button" class="button icon-only" onClick=${copy} aria-label=${t("copy", { text: text.slice(0, 40) })}><${Icon} name=${isDone ? "ok" : "copy"} /></button>`;
}

/** @param {{ commit: string | null | undefined }} props */
export function Commit({ commit }) {
  return commit ? html`<code title=${commit}>${commit.slice(0, 8)}</code>` : html`<span class="quiet">–</span>`;
}

// -- what a page shows while it has nothing else ------------------------------------------------------------------

/** @param {{ lines?: number }} props */
export function Skeleton({ lines = 3 }) {
  return html`<div class="skeleton" role="status"><span class="sr">${t("loading")}</span>${Array.from({ length: lines }, (_, index) => html`<span key=${index}></span>`)}</div>`;
}

/**
 * @param {{ title: string, children?: any }} props
 */
export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/**
 * A refusal: what happened, what to do, and where to look.
 * @param {{ problem: Problem | undefined, retry?: () => unknown }} props
 */
export function Refusal({ problem, retry }) {
  if (!problem) return null;
  const isUnreached = problem.code === "no_answer";
  const others = problem.errors.filter((each) => each.message !== problem.detail);
  return html`<div class="notice tone-fail" role="alert">
    <${Icon} name="fail" />
    <div>
      <p><strong>${isUnreached ? t("problem.no_answer") : problem.title}</strong>${problem.detail && !isUnreached && html` <span>${problem.detail}</span>`}</p>
      ${others.length > 0 && html`<ul>${others.map((each) => html`<li key=${each.field}><strong>${each.field}</strong>: ${each.message}</li>`)}</ul>`}
      <p>${isUnreached ? t("problem.no_answer_remedy") : problem.remedy}</p>
      <p class="row">
        ${problem.jobId && html`<a href=${linkTo("jobs", problem.jobId)}>${t("problem.job")}</a>`}
        ${retry && html`<${Button} onClick=${retry}>${t("try_again")}<//>`}
        ${problem.requestId && html`<span class="quiet">${t("problem.request", { id: problem.requestId })}</span>`}
      </p>
    </div>
  </div>`;
}

/**
 * What has been loaded, or why it has not been; what is shown although loading it again failed says so.
 * @param {{ of: { data?: unknown, problem?: Problem, at: number, reload: () => unknown }, lines?: number, children?: any }} props
 */
export function Loading({ of, lines = 3, children }) {
  if (of.data === undefined) return of.problem ? html`<${Refusal} problem=${of.problem} retry=${of.reload} />` : html`<${Skeleton} lines=${lines} />`;
  return html`${of.problem && html`<${Stale} at=${of.at} retry=${of.reload} />`}${children}`;
}

/** @param {{ at: number, retry: () => unknown }} props */
export function Stale({ at, retry }) {
  return html`<div class="notice tone-wait slim" role="status"><${Icon} name="warn" /><p>${t("stale")} <${Ago} at=${new Date(at).toISOString()} /> <${Button} kind="link" onClick=${retry}>${t("try_again")}<//></p></div>`;
}

/**
 * @param {{ tone: string, icon: string, live?: boolean, children?: any }} props
 */
export function Notice({ tone, icon, live = false, children }) {
  return html`<div class=${`notice tone-${tone}`} role=${live ? "status" : undefined}><${Icon} name=${icon} /><div>${children}</div></div>`;
}

// -- forms --------------------------------------------------------------------------------------------------------

/**
 * A field with its label, hint and error. `children` replaces the input: it gets the attributes that tie them together.
 * @param {{ name: string, title: string, hint?: any, problem?: Problem, type?: string, value?: string, required?: boolean, autocomplete?: string, onInput?: (value: string) => void, pattern?: string, minlength?: number, maxlength?: number, options?: readonly string[], area?: boolean, list?: readonly string[], placeholder?: string }} props
 */
export function Field({ name, title, hint, problem, type = "text", value = "", required = false, autocomplete = "off", onInput, minlength, maxlength, options, area = false, list, placeholder }) {
  const id = useId();
  const errors = (problem?.errors ?? []).filter((each) => each.field === name);
  const about = [hint ? `${id}-hint` : "", errors.length ? `${id}-error` : ""].filter(Boolean).join(" ") || undefined;
  const common = {
    id, name, required, "aria-describedby": about, "aria-invalid": errors.length ? "true" : undefined,
    onInput: (/** @type {any} */ event) => onInput?.(event.currentTarget.value),
  };
  return html`<div class=${`field${errors.length ? " wrong" : ""}`}>
    <label for=${id}>${title}${!required && html` <span class="quiet">${t("optional")}</span>`}</label>
    ${options
      ? html`<select ...${common} value=${value}>${options.map((each) => html`<option key=${each} value=${each} selected=${each === value}>${each || t("any")}</option>`)}</select>`
      : area
        ? html`<textarea ...${common} rows="2" maxlength=${maxlength} value=${value}></textarea>`
        : html`<input ...${common} type=${type} value=${value} autocomplete=${autocomplete} minlength=${minlength} maxlength=${maxlength} placeholder=${placeholder} list=${list ? `${id}-list` : undefined} autocapitalize="none" spellcheck=${false} />`}
    ${list && html`<datalist id=${`${id}-list`}>${list.map((each) => html`<option key=${each} value=${each} />`)}</datalist>`}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${errors.length > 0 && html`<p class="error" id=${`${id}-error`}><${Icon} name="fail" />${errors.map((each) => each.message).join(" ")}</p>`}
  </div>`;
}

/**
 * A form: Enter sends it, and the first wrong field gets the focus.
 * @param {{ onSubmit: () => unknown, problem?: Problem, children?: any, className?: string }} props
 */
export function Form({ onSubmit, problem, children, className = "form" }) {
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  useLayoutEffect(() => {
    const wrong = /** @type {HTMLElement | null | undefined} */ (form.current?.querySelector("[aria-invalid]"));
    wrong?.focus();
  }, [problem]);
  const fields = [...(form.current?.querySelectorAll("[name]") ?? [])].map((each) => each.getAttribute("name"));
  const isInPlace = problem && problem.errors.length > 0 && problem.errors.every((each) => fields.includes(each.field));
  return html`<form ref=${form} class=${className} onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    onSubmit();
  }}>${children}${problem && !isInPlace && html`<${Refusal} problem=${problem} />`}</form>`;
}

// -- dialogs: the browser's own, with its focus handling and Escape -----------------------------------------------

/**
 * @param {{ title: string, onClose: () => void, children?: any }} props
 */
export function Dialog({ title, onClose, children }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const id = useId();
  useEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog.current?.showModal();
    return () => before?.isConnected ? before.focus() : undefined;
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby=${id} onClose=${onClose} onCancel=${onClose}>
    <h2 id=${id}>${title}</h2>${children}</dialog>`;
}

/**
 * Say what an action will do, and do it once it is confirmed.
 * @param {{ title: string, action: string, kind?: "primary" | "danger", busy: boolean, problem?: Problem, onConfirm: () => unknown, onClose: () => void, disabled?: boolean, children?: any }} props
 */
export function Confirm({ title, action, kind = "primary", busy, problem, onConfirm, onClose, disabled = false, children }) {
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <${Form} onSubmit=${() => !busy && !disabled && onConfirm()} problem=${problem}>
      ${children}
      <div class="buttons"><${Button} type="submit" kind=${kind} busy=${busy} disabled=${disabled}>${action}<//><${Button} onClick=${onClose}>${t("back")}<//></div>
    <//>
  <//>`;
}

// -- page structure -----------------------------------------------------------------------------------------------

/**
 * The head of a page. It gets the focus when the page opens, so that a screen reader begins there.
 * @param {{ title: any, name: string, above?: any, children?: any }} props
 */
export function Head({ title, name, above, children }) {
  const head = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    document.title = `${name} · Slipway`;
  }, [name]);
  useEffect(() => {
    if (!document.querySelector("dialog[open]")) head.current?.focus({ preventScroll: true });
  }, []);
  return html`<header class="head">${above && html`<p class="above">${above}</p>`}<div class="head-row"><h1 tabindex="-1" ref=${head}>${title}</h1>${children}</div></header>`;
}

/**
 * @param {{ title: string, aside?: any, children?: any }} props
 */
export function Section({ title, aside, children }) {
  const id = useId();
  return html`<section class="section" aria-labelledby=${id}><div class="section-head"><h2 id=${id}>${title}</h2>${aside}</div>${children}</section>`;
}

/**
 * A table that scrolls by itself where it is too narrow.
 * @param {{ name: string, columns: readonly any[], rows: readonly any[], className?: string }} props
 */
export function Table({ name, columns, rows, className = "" }) {
  return html`<div class="table-scroll" tabindex="0" role="group" aria-label=${name}><table class=${className}>
    <thead><tr>${columns.map((each, index) => html`<th key=${index} scope="col">${each}</th>`)}</tr></thead>
    <tbody>${rows}</tbody></table></div>`;
}

/**
 * Texts that a screen reader says when they change, and nobody sees.
 * @param {{ text: string }} props
 */
export function Announced({ text }) {
  return html`<p class="sr" role="status" aria-live="polite">${text}</p>`;
}

/**
 * Choices next to each other, as radio buttons.
 * @param {{ title: string, name: string, value: string, options: readonly { value: string, title: string, hint?: string }[], onChange: (value: string) => void }} props
 */
export function Choices({ title, name, value, options, onChange }) {
  return html`<fieldset class="choices"><legend>${title}</legend><div class="choice-row">${options.map((each) => html`<label key=${each.value} class="choice">
    <input type="radio" name=${name} value=${each.value} checked=${each.value === value} onChange=${() => onChange(each.value)} /><span>${each.title}</span></label>`)}</div></fieldset>`;
}

/**
 * Return a text of a server with what could mislead a reader made visible: controls, and marks that change the order.
 * @param {string | null | undefined} text
 */
export function plain(text) {
  return (text ?? "").replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g, (each) => `‹${each.charCodeAt(0).toString(16).padStart(4, "0")}›`);
}

/**
 * Upstream names as people write them.
 * @param {string} name
 */
export function upstreamTitle(name) {
  return label("upstream", name);
}
