// Following a job: its document is always the newest, and each of its events is there once.
//
// The stream says that something changed; the document says what is. So a lost connection costs nothing: the browser
// reconnects with the number of the last event, and a document that is older than what is shown is dropped. Without a
// stream (a proxy that buffers, a full server) the document is asked for with a held request instead.
import { useEffect, useState } from "./view.js";
import { addressOf, send } from "./api.js";
import { asProblem } from "./load.js";

/** @import { JobShown, JobEvent } from "../types/api.js" */
/** @import { Problem } from "./api.js" */

/**
 * @typedef {object} Followed
 * @property {JobShown} [job]
 * @property {JobEvent[]} events in their order
 * @property {Problem} [problem] why the job cannot be shown, or is not current
 * @property {"stream" | "poll" | "hidden" | "over" | "lost"} by how changes arrive
 */

const OVER = ["succeeded", "failed", "cancelled"];
const GATHER_MS = 60; // several steps often change at once
const HELD_S = 25;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const STREAM_AGAIN_MS = 30_000; // after it failed
const HIDDEN_MS = 15_000; // a tab in the background: streams are few, as a browser opens six connections to a host

/** @param {{ state: string } | undefined} job */
export function isOver(job) {
  return job !== undefined && OVER.includes(job.state);
}

/** Follows one job until `stop`, and passes on what it knows after each change. */
class Follower {
  /**
   * @param {string} jobId
   * @param {(known: Followed) => void} changed
   */
  constructor(jobId, changed) {
    this.jobId = jobId;
    this.changed = changed;
    /** @type {Followed} */
    this.known = { events: [], by: "poll" };
    this.lastEvent = 0;
    /** @type {string | null} */
    this.etag = null;
    /** @type {EventSource | undefined} */
    this.stream = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.control = new AbortController();
    this.isReading = false;
    this.isReadAgain = false;
    this.pauseMs = FIRST_PAUSE_MS;
    this.streamFailedAt = -Infinity;
    this.onVisibility = () => this.arrange();
    document.addEventListener("visibilitychange", this.onVisibility);
    addEventListener("online", this.onVisibility);
    this.start();
  }

  async start() {
    await this.read();
    this.arrange();
  }

  stop() {
    this.control.abort();
    this.quiet();
    document.removeEventListener("visibilitychange", this.onVisibility);
    removeEventListener("online", this.onVisibility);
  }

  quiet() {
    this.stream?.close();
    this.stream = undefined;
    clearTimeout(this.timer);
  }

  /** @param {Partial<Followed>} part */
  tell(part) {
    this.known = { ...this.known, ...part };
    if (!this.control.signal.aborted) this.changed(this.known);
  }

  /** Choose how the next change arrives. */
  arrange() {
    if (this.control.signal.aborted) return;
    this.quiet();
    const { job, problem } = this.known;
    const isCut = problem?.status === -1; // the answer ended early
    if (problem && !problem.isPassing && !isCut) return;
    if (isOver(job) && this.hasAllEvents()) this.tell({ by: "over" });
    else if (document.hidden) this.pollAfter(HIDDEN_MS, "hidden");
    else if (performance.now() - this.streamFailedAt < STREAM_AGAIN_MS) this.hold();
    else this.listen();
  }

  hasAllEvents() {
    return this.known.job !== undefined && this.lastEvent >= this.known.job.version;
  }

  listen() {
    const address = addressOf("follow_job", { job_id: this.jobId }, { after: this.lastEvent });
    const stream = new EventSource(address);
    this.stream = stream;
    let isOpen = false;
    stream.onopen = () => {
      isOpen = true;
      this.pauseMs = FIRST_PAUSE_MS;
      this.tell({ by: "stream" });
      this.readSoon(); // what changed between the document and the stream
    };
    stream.addEventListener("change", (message) => this.take(message));
    stream.onerror = () => {
      if (this.stream !== stream) return;
      this.tell({ by: isOver(this.known.job) ? "over" : "lost" });
      if (stream.readyState !== EventSource.CLOSED) {
        if (isOpen) return; // the browser reconnects, with the number of the last event
      }
      stream.close();
      this.stream = undefined;
      void this.afterStream();
    };
  }

  /** The stream ended for good: the job is over, the session is, or the server cannot stream now. */
  async afterStream() {
    await this.read();
    if (isOver(this.known.job) && !this.known.problem) {
      this.tell({ by: "over" });
      return;
    }
    this.streamFailedAt = performance.now();
    this.arrange();
  }

  /** @param {MessageEvent<string>} message */
  take(message) {
    const number = Number(message.lastEventId);
    if (!(number > this.lastEvent)) return; // shown already
    this.lastEvent = number;
    this.tell({ events: [...this.known.events, JSON.parse(message.data)], by: "stream" });
    this.readSoon();
  }

  readSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.read(), GATHER_MS);
  }

  /**
   * Ask for the document, one request at a time.
   * @param {number} [heldS] how long the server may wait for a change
   */
  async read(heldS = 0) {
    if (this.isReading) {
      this.isReadAgain = true;
      return;
    }
    this.isReading = true;
    try {
      const { answer, etag } = await send("show_job", {
        values: { job_id: this.jobId },
        query: heldS ? { wait: heldS } : {},
        etag: this.etag ?? undefined,
        signal: this.control.signal,
      });
      const isNewer = answer && answer.version >= (this.known.job?.version ?? 0);
      if (isNewer) this.etag = etag;
      this.pauseMs = FIRST_PAUSE_MS;
      this.tell(isNewer ? { job: answer, problem: undefined } : { problem: undefined });
    } catch (error) {
      if (this.control.signal.aborted) return;
      this.tell({ problem: asProblem(error), by: "lost" });
    } finally {
      this.isReading = false;
    }
    if (this.isReadAgain) {
      this.isReadAgain = false;
      await this.read();
    }
  }

  async hold() {
    if (this.known.problem) {
      this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
      this.pollAfter(this.pauseMs, "lost");
      return;
    }
    this.tell({ by: "poll" });
    await this.read(HELD_S);
    this.timer = setTimeout(() => this.arrange(), GATHER_MS);
  }

  /**
   * @param {number} ms
   * @param {Followed["by"]} by
   */
  pollAfter(ms, by) {
    this.tell({ by });
    this.timer = setTimeout(async () => {
      await this.read();
      this.arrange();
    }, ms);
  }
}

/**
 * Follow a job while the component is shown.
 * @param {string | null | undefined} jobId
 * @param {number} [round] another number follows the job anew, as after a retry
 * @returns {Followed}
 */
export function useJob(jobId, round = 0) {
  const [known, setKnown] = useState(/** @type {Followed} */ ({ events: [], by: "poll" }));
  useEffect(() => {
    setKnown({ events: [], by: "poll" });
    if (!jobId) return undefined;
    const follower = new Follower(jobId, setKnown);
    return () => follower.stop();
  }, [jobId, round]);
  return known;
}
