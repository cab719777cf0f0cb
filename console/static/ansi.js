// Console output as runs of text with classes: the colours of terminals, and nothing else that they obey.

/** @typedef {{ text: string, className: string }} Run */

const ESCAPE = /\u001b(?:\[([0-9;]*)([A-Za-z])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;
// What would move the cursor, change the order of the line, or be there without being seen.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;

/**
 * Return a line of a terminal as runs of text. Of what was overwritten after a carriage return, the last remains.
 * @param {string} line
 * @returns {Run[]}
 */
export function parseLine(line) {
  const whole = line.replace(/\r+$/, "");
  const text = whole.slice(whole.lastIndexOf("\r") + 1);
  /** @type {Run[]} */
  const runs = [];
  let style = { color: "", isBold: false };
  let from = 0;
  for (const match of text.matchAll(ESCAPE)) {
    add(runs, text.slice(from, match.index), style);
    if (match[2] === "m") style = styled(style, match[1] ?? "");
    from = match.index + match[0].length;
  }
  add(runs, text.slice(from), style);
  return runs;
}

/**
 * @param {Run[]} runs
 * @param {string} text
 * @param {{ color: string, isBold: boolean }} style
 */
function add(runs, text, style) {
  if (!text) return;
  const seen = text.replace(UNSEEN, (each) => `‹${each.charCodeAt(0).toString(16).padStart(4, "0")}›`);
  runs.push({ text: seen, className: [style.color, style.isBold ? "ansi-bold" : ""].filter(Boolean).join(" ") });
}

/**
 * @param {{ color: string, isBold: boolean }} before
 * @param {string} codes
 */
function styled(before, codes) {
  let { color, isBold } = before;
  for (const code of codes.split(";").map(Number)) {
    if (code === 0) [color, isBold] = ["", false];
    else if (code === 1) isBold = true;
    else if (code === 22) isBold = false;
    else if (code === 39) color = "";
    else if (code >= 30 && code <= 37) color = `ansi-${code - 30}`;
    else if (code >= 90 && code <= 97) color = `ansi-${code - 90}`;
  }
  return { color, isBold };
}
