// For administrators: sign-ups that wait for approval, codes for forgotten passwords, and off-boarding.
import { html, useState } from "./view.js";
import { call } from "./api.js";
import { Ago } from "./clock.js";
import { t } from "./language.js";
import { useAction, useLoaded } from "./load.js";
import { Badge, Button, Confirm, Copy, Field, Form, Head, Icon, Loading, Notice, plain, Refusal, Section, Table } from "./parts.js";
import { go, linkTo } from "./router.js";

/** @import { SignupShown } from "../types/api.js" */

const EVERY_MS = 15_000;

export function PeoplePage() {
  return html`<${Head} title=${t("people.title")} name=${t("people.title")} /><${Waiting} /><${Reset} /><${Leave} />`;
}

function Waiting() {
  const known = useLoaded((signal) => call("list_signups", { signal }), [], EVERY_MS);
  const [rejected, setRejected] = useState(/** @type {SignupShown | undefined} */ (undefined));
  const [reason, setReason] = useState("");
  const approve = useAction(async (key, /** @type {string} */ signup_id) => {
    await call("approve_signup", { values: { signup_id }, body: {}, key });
    await known.reload();
  });
  const reject = useAction(async (key, /** @type {string} */ signup_id, /** @type {string} */ given) => {
    await call("reject_signup", { values: { signup_id }, body: { reason: given }, key });
    setRejected(undefined);
    setReason("");
    await known.reload();
  });
  const signups = known.data?.signups ?? [];
  return html`<${Section} title=${t("people.waiting")}><${Loading} of=${known}>
    <${Refusal} problem=${approve.problem} />
    ${signups.length === 0 ? html`<p class="quiet row"><${Icon} name="ok" /> ${t("people.none_waiting")}</p>` : html`<${Table} name=${t("people.waiting")} columns=${[t("person"), t("signup.email"), t("team"), t("time"), t("people.expires"), html`<span class="sr">${t("actions")}</span>`]} rows=${signups.map((each) => html`<tr key=${each.signup_id}>
      <td><a href=${linkTo("jobs", each.signup_id)}>${plain(each.id)}</a> <span class="quiet">${plain(each.name)}</span></td><td>${plain(each.email)}</td><td>${each.team}${each.is_invited && html` <${Badge} tone="info" icon="info">${t("people.invited")}<//>`}</td><td><${Ago} at=${each.created_at} /></td><td><${Ago} at=${each.expires_at} /></td>
      <td class="row"><${Button} kind="primary" busy=${approve.isBusy} onClick=${() => approve.start(each.signup_id)} name=${t("people.approve_named", { id: each.id })}>${t("people.approve")}<//><${Button} onClick=${() => setRejected(each)} name=${t("people.reject_named", { id: each.id })}>${t("people.reject")}<//></td></tr>`)} />`}
    <//>
    ${rejected && html`<${Confirm} title=${t("people.reject_named", { id: rejected.id })} action=${t("people.reject")} kind="danger" busy=${reject.isBusy} problem=${reject.problem} onConfirm=${() => reject.start(rejected.signup_id, reason)} onClose=${() => setRejected(undefined)}>
      <p>${t("people.reject_what")}</p>
      <${Field} name="reason" title=${t("reason")} hint=${t("people.reject_reason")} value=${reason} onInput=${setReason} required minlength=${3} maxlength=${400} area problem=${reject.problem} />
    <//>`}
  <//>`;
}

function Reset() {
  const [login, setLogin] = useState("");
  const [code, setCode] = useState(/** @type {import("../types/api.js").ResetCode | undefined} */ (undefined));
  const action = useAction(async (key, /** @type {string} */ given) => setCode(await call("reset_password", { values: { login: given }, key })));
  return html`<${Section} title=${t("people.reset")}>
    <p class="quiet">${t("people.reset_what")}</p>
    ${code && html`<${Notice} tone="ok" icon="ok" live><p class="row"><code class="secret">${code.reset_code}</code><${Copy} text=${code.reset_code} /> ${t("account.expires")} <${Ago} at=${code.expires_at} /></p><//>`}
    <${Form} onSubmit=${() => !action.isBusy && action.start(login)} problem=${action.problem}>
      <${Field} name="login" title=${t("login.id")} value=${login} onInput=${setLogin} required problem=${action.problem} />
      <div class="buttons"><${Button} type="submit" busy=${action.isBusy}>${t("people.make_code")}<//></div>
    <//><//>`;
}

function Leave() {
  const [login, setLogin] = useState("");
  const [again, setAgain] = useState("");
  const action = useAction(async (key, /** @type {string} */ given) => {
    const accepted = await call("remove_user", { values: { login: given }, key });
    go(linkTo("jobs", accepted.job_id));
  });
  const isSure = login !== "" && login === again;
  return html`<${Section} title=${t("people.leave")}>
    <p>${t("people.leave_what")}</p>
    <${Form} onSubmit=${() => !action.isBusy && isSure && action.start(login)} problem=${action.problem}>
      <${Field} name="login" title=${t("login.id")} value=${login} onInput=${setLogin} required problem=${action.problem} />
      <${Field} name="again" title=${t("people.again")} value=${again} onInput=${setAgain} required problem=${action.problem} />
      <div class="buttons"><${Button} type="submit" kind="danger" busy=${action.isBusy} disabled=${!isSure}>${t("people.leave")}<//></div>
    <//><//>`;
}
