// What a page of somebody else can make a browser send. Each vector gets the address of the API and one target,
// {method, path, body}, and returns when what it started has had the time to arrive.
const SETTLES_MS = 60;
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function element(name, attributes, parent = document.body) {
  const made = Object.assign(document.createElement(name), attributes);
  parent.append(made);
  return new Promise((resolve) => {
    made.onload = made.onerror = resolve;
    setTimeout(resolve, 400);
  });
}

function form(url, target, { method = "POST", enctype, where }) {
  const made = Object.assign(document.createElement("form"), { action: url, method, target: where });
  if (enctype) made.enctype = enctype;
  const fields = enctype === "text/plain" ? [[JSON.stringify(target.body || {}).slice(0, -1) + ',"x":"', '"}']] : Object.entries(target.body || {});
  for (const [name, value] of fields) made.append(Object.assign(document.createElement("input"), { name, value }));
  document.body.append(made);
  made.submit();
}

const ENCODINGS = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
const get = (name, attributes) => (url) => element(name, attributes(url));
const send = (options) => (url, target) => {
  const body = ["GET", "HEAD"].includes(options.method) ? undefined : JSON.stringify(target.body || {});
  return fetch(url, { credentials: "include", ...options, body }).catch(() => null);
};

const inFrame = (options) => async (url, target) => {
  const frame = Object.assign(document.createElement("iframe"), { name: "inner" });
  document.body.append(frame);
  form(url, target, { ...options, where: "inner" });
  await new Promise((resolve) => { frame.onload = resolve; setTimeout(resolve, 400); });
};

window.VECTORS = {
  prefetch: get("link", (href) => ({ rel: "prefetch", href })),
  preload: get("link", (href) => ({ rel: "preload", as: "fetch", crossOrigin: "use-credentials", href })),
  prerender: get("link", (href) => ({ rel: "prerender", href })),
  speculation: (url) => element("script", { type: "speculationrules", textContent: JSON.stringify({ prefetch: [{ urls: [url] }], prerender: [{ urls: [url] }] }) }),
  stylesheet: get("link", (href) => ({ rel: "stylesheet", href })),
  icon: get("link", (href) => ({ rel: "icon", href })),
  script: get("script", (src) => ({ src })),
  module: get("script", (src) => ({ type: "module", crossOrigin: "use-credentials", src })),
  img: get("img", (src) => ({ src })),
  iframe: get("iframe", (src) => ({ src })),
  object: get("object", (data) => ({ data })),
  embed: get("embed", (src) => ({ src })),
  video: get("video", (src) => ({ src, preload: "auto" })),
  audio: get("audio", (src) => ({ src, preload: "auto" })),
  background: get("div", (url) => ({ textContent: "x", style: `background: url(${url})` })),
  ping: async (url) => {
    const link = Object.assign(document.createElement("a"), { href: "#there", ping: url });
    document.body.append(link);
    link.click();
  },
  beacon: async (url, target) => navigator.sendBeacon(url, JSON.stringify(target.body || {})),
  "beacon, typed": async (url, target) => navigator.sendBeacon(url, new Blob([JSON.stringify(target.body || {})], { type: "application/json" })),
  websocket: (url) => new Promise((resolve) => {
    const socket = new WebSocket(url.replace(/^http/, "ws"));
    socket.onopen = socket.onerror = resolve;
  }),
  eventsource: async (url) => {
    const source = new EventSource(url, { withCredentials: true });
    await wait(150);
    source.close();
  },
};
for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]) {
  window.VECTORS[`fetch cors ${method}`] = send({ mode: "cors", method, headers: { "Content-Type": "application/json" } });
  if (!["PUT", "PATCH", "DELETE"].includes(method)) window.VECTORS[`fetch no-cors ${method}`] = send({ mode: "no-cors", method });
}
window.VECTORS["fetch keepalive"] = send({ mode: "no-cors", method: "POST", keepalive: true });
window.VECTORS["form GET in a frame"] = inFrame({ method: "GET" });
window.VECTORS["form GET"] = async (url, target) => form(url, target, { method: "GET", where: "_self" });
window.VECTORS["navigation"] = async (url) => { location.href = url; };
for (const enctype of ENCODINGS) {
  window.VECTORS[`form ${enctype} in a frame`] = inFrame({ enctype });
  window.VECTORS[`form ${enctype}`] = async (url, target) => form(url, target, { enctype, where: "_self" });
}

// Vectors that leave the page are the last for their target: the test opens the page again for each.
window.attack = async (name, api, targets) => {
  await Promise.all(targets.map((target) => window.VECTORS[name](api + target.path, target)));
  await wait(SETTLES_MS);
};
