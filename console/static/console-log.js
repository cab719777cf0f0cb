// The console of a build: followed while it runs, searched, and linked by line. Of 200,000 lines only those in sight
// are in the page, and a line of a megabyte is cut: what it hides can be downloaded.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./view.js";
import { parseLine } from "./ansi.js";
import { call } from "./api.js";
import { t } from "./language.js";
import { asProblem } from "./load.js";
import { Button, Refusal } from "./parts.js";

/** @import { Problem } from "./api.js" */

const LINE_PX = 18;
const SPARE = 20; // lines above and below those in sight
const LONGEST = 2_000; // characters of a line that are shown
const POLL_MS = 1_000;

/**
 * Return the log as it grows.
 * @param {string} jobId
 */
function useLog(jobId) {
  const [state, setState] = useState(/** @type {{ lines: string[], rest: string, isMore: boolean, isCut: boolean, problem?: Problem }} */ ({ lines: [], rest: "", isMore: true, isCut: false }));
  useEffect(() => {
    const control = new AbortController();
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;
    let start = 0;
    let rest = "";
    /** @type {string[]} */
    let lines = [];
    const next = async () => {
      let pause = POLL_MS;
      try {
        const page = await call("read_log", { values: { job_id: jobId }, query: { start }, signal: control.signal });
        start = page.next_start;
        if (page.text) {
          const parts = (rest + page.text).split("\n");
          rest = parts.pop() ?? "";
          lines = lines.concat(parts);
          pause = 0;
        }
        setState({ lines, rest, isMore: page.more && !page.truncated, isCut: page.truncated });
        if (!page.more || page.truncated) return;
      } catch (error) {
        if (control.signal.aborted) return;
        const problem = asProblem(error);
        setState((before) => ({ ...before, problem }));
        if (!problem.isPassing) return;
        pause = 5_000;
      }
      timer = setTimeout(next, document.hidden ? 10_000 : pause);
    };
    void next();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [jobId]);
  return state;
}

/**
 * @param {{ jobId: string, line?: number, onLine?: (line: number) => void }} props
 */
export function ConsoleLog({ jobId, line, onLine }) {
  const log = useLog(jobId);
  const lines = useMemo(() => (log.rest ? [...log.lines, log.rest] : log.lines), [log.lines, log.rest]);
  const [isFollowing, setFollowing] = useState(!line);
  const [sought, setSought] = useState("");
  const [found, setFound] = useState(0);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(400);
  const box = useRef(/** @type {HTMLElement | null} */ (null));

  const matches = useMemo(() => matchesOf(lines, sought), [lines, sought]);
  const scrollTo = (/** @type {number} */ index) => box.current?.scrollTo({ top: Math.max(0, index * LINE_PX - height / 3) });

  useLayoutEffect(() => {
    if (isFollowing && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length, isFollowing]);
  useLayoutEffect(() => {
    if (line && lines.length >= line) scrollTo(line - 1);
  }, [line, lines.length >= (line ?? 0)]);
  useEffect(() => {
    setHeight(box.current?.clientHeight ?? 400);
  }, [lines.length > 0]);

  const seek = (/** @type {number} */ step) => {
    if (!matches.length) return;
    const next = (found + step + matches.length) % matches.length;
    setFound(next);
    setFollowing(false);
    scrollTo(matches[next] ?? 0);
  };
  const first = Math.max(0, Math.floor(top / LINE_PX) - SPARE);
  const last = Math.min(lines.length, Math.ceil((top + height) / LINE_PX) + SPARE);
  const marked = new Set(matches);

  return html`<div class="log">
    <div class="log-tools">
      <label class="sr" for="log-search">${t("log.search")}</label>
      <input id="log-search" type="search" placeholder=${t("log.search")} value=${sought} autocomplete="off"
        onInput=${(/** @type {any} */ event) => {
          setSought(event.currentTarget.value);
          setFound(0);
        }}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
          if (event.key === "Enter") seek(event.shiftKey ? -1 : 1);
        }} />
      <span class="quiet number" role="status">${sought && t("log.matches", { n: matches.length ? found + 1 : 0, of: matches.length })}</span>
      <label class="check"><input type="checkbox" checked=${isFollowing} onChange=${() => setFollowing(!isFollowing)} /> ${t("log.follow")}</label>
      <span class="quiet number">${t("log.lines", { n: lines.length.toLocaleString() })}</span>
      ${lines.length > 0 && html`<${Button} kind="link" onClick=${() => download(lines, jobId)}>${t("log.download")}<//>`}
    </div>
    ${log.problem && html`<${Refusal} problem=${log.problem} />`}
    <div class="log-box" ref=${box} tabindex="0" role="log" aria-label=${t("log.title")} aria-live="off"
      onScroll=${(/** @type {any} */ event) => {
        const seen = event.currentTarget;
        setTop(seen.scrollTop);
        setHeight(seen.clientHeight);
        const isAtEnd = seen.scrollHeight - seen.scrollTop - seen.clientHeight < LINE_PX * 2;
        if (isFollowing && !isAtEnd) setFollowing(false);
      }}>
      ${lines.length === 0 && html`<p class="log-empty">${log.isMore ? t("log.waiting") : t("log.empty")}</p>`}
      <div class="log-lines" style=${{ height: `${lines.length * LINE_PX}px` }}>
        ${lines.slice(first, last).map((text, index) => html`<${Line} key=${first + index} number=${first + index + 1} text=${text} isChosen=${line === first + index + 1} isFound=${sought !== "" && marked.has(first + index)} onLine=${onLine} />`)}
      </div>
    </div>
    ${log.isCut && html`<p class="hint">${t("log.cut")}</p>`}
  </div>`;
}

/**
 * @param {{ number: number, text: string, isChosen: boolean, isFound: boolean, onLine?: (line: number) => void }} props
 */
function Line({ number, text, isChosen, isFound, onLine }) {
  const runs = useMemo(() => parseLine(text.slice(0, LONGEST)), [text]);
  const hidden = text.length - LONGEST;
  return html`<div class=${`log-line${isChosen ? " chosen" : ""}${isFound ? " found" : ""}`} style=${{ top: `${(number - 1) * LINE_PX}px` }}>
    <button type="button" class="log-number" tabindex="-1" aria-label=${t("log.line", { n: number })} onClick=${() => onLine?.(number)}>${number}</button>
    <span class="log-text" dir="ltr">${runs.map((run, index) => (run.className ? html`<span key=${index} class=${run.className}>${run.text}</span>` : run.text))}${hidden > 0 && html`<span class="quiet"> … ${t("log.hidden", { n: hidden.toLocaleString() })}</span>`}</span></div>`;
}

/**
 * @param {string[]} lines
 * @param {string} sought
 */
function matchesOf(lines, sought) {
  if (!sought) return [];
  const wanted = sought.toLowerCase();
  const found = [];
  for (let index = 0; index < lines.length; index += 1) {
    if (lines[index]?.toLowerCase().includes(wanted)) found.push(index);
  }
  return found;
}

/**
 * @param {string[]} lines
 * @param {string} jobId
 */
function download(lines, jobId) {
  const address = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/plain" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: `build-${jobId}.log` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1_000);
}
