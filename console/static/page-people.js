// For administrators: codes for forgotten passwords, and off-boarding.
import { html, useState } from "./view.js";
import { call } from "./api.js";
import { Ago } from "./clock.js";
import { t } from "./language.js";
import { useAction } from "./load.js";
import { Button, Copy, Field, Form, Head, Notice, Section } from "./parts.js";
import { go, linkTo } from "./router.js";

export function PeoplePage() {
  return html`<${Head} title=${t("people.title")} name=${t("people.title")} /><${Reset} /><${Leave} />`;
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
