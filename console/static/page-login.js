// Log-in, sign-up, and a new password by an administrator's code.
import { html, useState } from "./view.js";
import { call, choicesOf } from "./api.js";
import { t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Button, Field, Form, Head, Notice, Refusal } from "./parts.js";
import { go, linkTo } from "./router.js";

/** @import { Session } from "./session.js" */

const COMES_FROM = "slipway.return";

/** Keep where somebody was, for after the log-in. */
export function keepPlace() {
  sessionStorage.setItem(COMES_FROM, location.hash);
}

/** @param {{ session: Session }} props */
export function LoginPage({ session }) {
  const [id, setId] = useState("");
  const [password, setPassword] = useState("");
  const action = useAction(async (key, /** @type {{ id: string, password: string }} */ body) => {
    const { user } = await call("log_in", { body, key });
    session.set(user);
    const back = sessionStorage.getItem(COMES_FROM);
    sessionStorage.removeItem(COMES_FROM);
    go(back || "#/");
  });
  return html`<div class="narrow">
    <${Head} title=${t("login.title")} name=${t("login.title")} />
    ${session.hasEnded && html`<${Notice} tone="wait" icon="info" live><p>${t("login.ended")}</p><//>`}
    ${session.problem && html`<${Refusal} problem=${session.problem} retry=${session.check} />`}
    <${Form} onSubmit=${() => !action.isBusy && action.start({ id, password })} problem=${action.problem}>
      <${Field} name="id" title=${t("login.id")} value=${id} onInput=${setId} required autocomplete="username" problem=${action.problem} />
      <${Field} name="password" type="password" title=${t("password")} value=${password} onInput=${setPassword} required autocomplete="current-password" problem=${action.problem} />
      <div class="buttons"><${Button} type="submit" kind="primary" busy=${action.isBusy}>${t("login.title")}<//></div>
    <//>
    <p>${t("login.new")} <a href=${linkTo("signup")}>${t("signup.title")}</a> · <a href=${linkTo("reset")}>${t("login.forgotten")}</a></p>
  </div>`;
}

export function SignupPage() {
  const teams = useLoaded(() => choicesOf("Signup", "team"), []);
  const [body, setBody] = useState({ id: "", email: "", name: "", password: "", team: "", invite: "" });
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => setBody((before) => ({ ...before, [field]: value }));
  const action = useAction(async (key, /** @type {typeof body} */ { invite, ...given }) => {
    const accepted = await call("sign_up", { body: /** @type {any} */ (invite ? { ...given, invite } : given), key });
    go(linkTo("jobs", accepted.job_id));
  });
  const options = teams.data ?? [];
  const team = body.team || options[0] || "";
  const { problem } = action;
  return html`<div class="narrow">
    <${Head} title=${t("signup.title")} name=${t("signup.title")} />
    <p class="lead">${t("signup.what")}</p>
    ${teams.problem && html`<${Refusal} problem=${teams.problem} retry=${teams.reload} />`}
    <${Form} onSubmit=${() => !action.isBusy && action.start({ ...body, team })} problem=${problem}>
      <${Field} name="id" title=${t("login.id")} hint=${t("signup.id_hint")} value=${body.id} onInput=${set("id")} required autocomplete="username" problem=${problem} />
      <${Field} name="name" title=${t("signup.name")} value=${body.name} onInput=${set("name")} required autocomplete="name" problem=${problem} />
      <${Field} name="email" type="email" title=${t("signup.email")} value=${body.email} onInput=${set("email")} required autocomplete="email" problem=${problem} />
      <${Field} name="password" type="password" title=${t("password")} hint=${t("signup.password_hint")} value=${body.password} onInput=${set("password")} required autocomplete="new-password" problem=${problem} />
      <${Field} name="team" title=${t("team")} options=${options} value=${team} onInput=${set("team")} required problem=${problem} />
      <${Field} name="invite" title=${t("signup.invite")} hint=${t("signup.invite_hint")} value=${body.invite} onInput=${set("invite")} problem=${problem} />
      <div class="buttons"><${Button} type="submit" kind="primary" busy=${action.isBusy}>${t("signup.title")}<//></div>
    <//>
    <p>${t("signup.have")} <a href=${linkTo("login")}>${t("login.title")}</a></p>
  </div>`;
}

export function ResetPage() {
  const [body, setBody] = useState({ id: "", reset_code: "", password: "" });
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => setBody((before) => ({ ...before, [field]: value }));
  const [isDone, setDone] = useState(false);
  const action = useAction(async (key, /** @type {typeof body} */ given) => {
    await call("confirm_reset", { body: given, key });
    setDone(true);
  });
  return html`<div class="narrow">
    <${Head} title=${t("reset.title")} name=${t("reset.title")} />
    ${isDone
      ? html`<${Notice} tone="ok" icon="ok" live><p>${t("reset.done")} <a href=${linkTo("login")}>${t("login.title")}</a></p><//>`
      : html`<p class="lead">${t("reset.what")}</p>
    <${Form} onSubmit=${() => !action.isBusy && action.start(body)} problem=${action.problem}>
      <${Field} name="id" title=${t("login.id")} value=${body.id} onInput=${set("id")} required autocomplete="username" problem=${action.problem} />
      <${Field} name="reset_code" title=${t("reset.code")} value=${body.reset_code} onInput=${set("reset_code")} required autocomplete="one-time-code" problem=${action.problem} />
      <${Field} name="password" type="password" title=${t("account.new_password")} value=${body.password} onInput=${set("password")} required autocomplete="new-password" problem=${action.problem} />
      <div class="buttons"><${Button} type="submit" kind="primary" busy=${action.isBusy}>${t("save")}<//></div>
    <//>`}
  </div>`;
}
