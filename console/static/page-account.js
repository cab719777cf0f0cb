// A person's own account: password, log-ins, API tokens.
import { html, useState } from "./view.js";
import { call, scopes } from "./api.js";
import { Ago } from "./clock.js";
import { t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Badge, Button, Confirm, Copy, Field, Form, Head, Loading, Notice, plain, Refusal, Section, Table } from "./parts.js";
import { linkTo } from "./router.js";

/** @import { Person, TokenShown } from "../types/api.js" */
/** @import { Session } from "./session.js" */

/** @param {{ session: Session }} props */
export function AccountPage({ session }) {
  const person = /** @type {Person} */ (session.person);
  return html`<${Head} title=${plain(person.name)} name=${t("account.title")} />
    <p class="facts-line"><span>${person.id}</span><span>${plain(person.email)}</span><span>${t("team")} ${person.team}</span>${person.is_admin && html`<${Badge} tone="info" icon="info">${t("account.admin")}<//>`}</p>
    <${Password} /><${Sessions} /><${Tokens} />`;
}

function Password() {
  const [body, setBody] = useState({ password: "", new_password: "" });
  const [jobId, setJobId] = useState("");
  const action = useAction(async (key, /** @type {typeof body} */ given) => {
    const accepted = await call("change_password", { body: given, key });
    setJobId(accepted.job_id);
    setBody({ password: "", new_password: "" });
  });
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => setBody((before) => ({ ...before, [field]: value }));
  return html`<${Section} title=${t("password")}>
    ${jobId && html`<${Notice} tone="ok" icon="ok" live><p>${t("account.changed")} <a href=${linkTo("jobs", jobId)}>${t("job.title")}</a></p><//>`}
    <${Form} onSubmit=${() => !action.isBusy && action.start(body)} problem=${action.problem}>
      <${Field} name="password" type="password" title=${t("account.present_password")} value=${body.password} onInput=${set("password")} required autocomplete="current-password" problem=${action.problem} />
      <${Field} name="new_password" type="password" title=${t("account.new_password")} hint=${t("account.password_what")} value=${body.new_password} onInput=${set("new_password")} required autocomplete="new-password" problem=${action.problem} />
      <div class="buttons"><${Button} type="submit" busy=${action.isBusy}>${t("account.change")}<//></div>
    <//><//>`;
}

function Sessions() {
  const known = useLoaded((signal) => call("list_sessions", { signal }), []);
  const end = useAction(async (key, /** @type {string} */ session_id) => {
    await call("end_session", { values: { session_id }, key });
    await known.reload();
  });
  const endOthers = useAction(async (key) => {
    await call("end_other_sessions", { key });
    await known.reload();
  });
  const sessions = known.data?.sessions ?? [];
  return html`<${Section} title=${t("account.sessions")} aside=${sessions.length > 1 && html`<${Button} busy=${endOthers.isBusy} onClick=${() => endOthers.start()}>${t("account.end_others")}<//>`}>
    <${Loading} of=${known}>
      <${Refusal} problem=${end.problem ?? endOthers.problem} />
      <${Table} name=${t("account.sessions")} columns=${[t("account.browser"), t("account.address"), t("account.since"), t("account.used"), html`<span class="sr">${t("actions")}</span>`]} rows=${sessions.map((each) => html`<tr key=${each.session_id}>
        <td>${plain(browserOf(each.user_agent))} ${each.current && html`<${Badge} tone="ok" icon="ok">${t("account.this_one")}<//>`}</td><td>${each.address ?? "–"}</td><td><${Ago} at=${each.created_at} /></td><td><${Ago} at=${each.last_used_at} /></td>
        <td>${!each.current && html`<${Button} kind="link" onClick=${() => end.start(each.session_id)}>${t("account.end")}<//>`}</td></tr>`)} />
    <//><//>`;
}

/**
 * Return a browser's name as people know it.
 * @param {string | null} agent
 */
function browserOf(agent) {
  const found = /(Edg|OPR|Firefox|Chrome|Safari|curl|python-requests)\/?([\d]+)?/.exec((agent ?? "").replace(/ Safari\/.*(Edg|OPR)/, " $1"));
  return found ? `${found[1]?.replace("Edg", "Edge")} ${found[2] ?? ""}` : (agent ?? "–").slice(0, 40);
}

function Tokens() {
  const known = useLoaded(async (signal) => ({ tokens: (await call("list_tokens", { signal })).tokens, scopes: await scopes() }), []);
  const [isAsked, setAsked] = useState(false);
  const [made, setMade] = useState(/** @type {{ token: string, name: string } | undefined} */ (undefined));
  const [gone, setGone] = useState(/** @type {TokenShown | undefined} */ (undefined));
  const revoke = useAction(async (key, /** @type {string} */ token_id) => {
    await call("revoke_token", { values: { token_id }, key });
    await known.reload();
    setGone(undefined);
  });
  const tokens = known.data?.tokens ?? [];
  return html`<${Section} title=${t("account.tokens")} aside=${html`<${Button} icon="plus" onClick=${() => setAsked(true)}>${t("account.new_token")}<//>`}>
    <p class="quiet">${t("account.tokens_what")}</p>
    ${made && html`<${Notice} tone="ok" icon="ok" live><p><strong>${t("account.token_made", { name: made.name })}</strong></p><p class="row"><code class="secret">${made.token}</code><${Copy} text=${made.token} /></p><//>`}
    <${Loading} of=${known}>
      ${tokens.length === 0 ? html`<p class="quiet">${t("account.no_tokens")}</p>` : html`<${Table} name=${t("account.tokens")} columns=${[t("name"), t("account.scope"), t("account.used"), t("account.expires"), html`<span class="sr">${t("actions")}</span>`]} rows=${tokens.map((each) => html`<tr key=${each.token_id}><td>${plain(each.name)}</td><td><code>${each.scope}</code></td><td>${each.last_used_at ? html`<${Ago} at=${each.last_used_at} />` : t("account.never")}</td><td><${Ago} at=${each.expires_at} /></td><td><${Button} kind="link" onClick=${() => setGone(each)}>${t("account.revoke")}<//></td></tr>`)} />`}
    <//>
    ${isAsked && html`<${NewToken} scopes=${known.data?.scopes ?? ["read"]} onClose=${() => setAsked(false)} onMade=${(/** @type {{ token: string, name: string }} */ token) => {
      setMade(token);
      setAsked(false);
      void known.reload();
    }} />`}
    ${gone && html`<${Confirm} title=${t("account.revoke_title", { name: gone.name })} action=${t("account.revoke")} kind="danger" busy=${revoke.isBusy} problem=${revoke.problem} onConfirm=${() => revoke.start(gone.token_id)} onClose=${() => setGone(undefined)}><p>${t("account.revoke_what")}</p><//>`}
  <//>`;
}

/** @param {{ scopes: string[], onClose: () => void, onMade: (token: { token: string, name: string }) => void }} props */
function NewToken({ scopes, onClose, onMade }) {
  const [name, setName] = useState("");
  const [scope, setScope] = useState(scopes[0] ?? "read");
  const [days, setDays] = useState("90");
  const action = useAction(async (key, /** @type {any} */ body) => onMade(await call("create_token", { body, key })));
  return html`<${Confirm} title=${t("account.new_token")} action=${t("account.make_token")} busy=${action.isBusy} problem=${action.problem} onConfirm=${() => action.start({ name, scope, expires_in_days: Number(days) })} onClose=${onClose}>
    <${Field} name="name" title=${t("name")} value=${name} onInput=${setName} required maxlength=${64} problem=${action.problem} />
    <${Field} name="scope" title=${t("account.scope")} hint=${t("account.scope_hint")} options=${scopes} value=${scope} onInput=${setScope} required problem=${action.problem} />
    <${Field} name="expires_in_days" type="number" title=${t("account.days")} value=${days} onInput=${setDays} required problem=${action.problem} />
  <//>`;
}
