// The frame of the console: who is logged in, which page is shown, language and colours.
import { html, render, useEffect, useErrorBoundary, useState } from "./view.js";
import { call } from "./api.js";
import { language, LANGUAGES, setLanguage, store, stored, t } from "./language.js";
import { Button, Icon, Notice, Refusal, Skeleton } from "./parts.js";
import { go, linkTo, usePlace } from "./router.js";
import { useSession } from "./session.js";
import { AccountPage } from "./page-account.js";
import { AppPage } from "./page-app.js";
import { AuditPage } from "./page-audit.js";
import { DesignPage } from "./page-design.js";
import { HomePage } from "./page-home.js";
import { JobPage } from "./page-job.js";
import { JobsPage } from "./page-jobs.js";
import { keepPlace, LoginPage, ResetPage, SignupPage } from "./page-login.js";
import { NewPage } from "./page-new.js";
import { OperatePage } from "./page-operate.js";
import { PeoplePage } from "./page-people.js";
import { RemovePage } from "./page-remove.js";

/** @import { Place } from "./router.js" */
/** @import { Session } from "./session.js" */

/** @typedef {(props: { place: Place, session: Session }) => any} Page */

/** @type {Record<string, Page>} */
const OPEN = { login: LoginPage, signup: SignupPage, reset: ResetPage, design: DesignPage };
/** @type {Record<string, Page>} */
const MEMBERS = { "": HomePage, new: NewPage, apps: AppPage, jobs: JobPage, account: AccountPage };
/** @type {Record<string, Page>} */
const ADMINISTRATORS = { operate: OperatePage, people: PeoplePage, audit: AuditPage };
const SCHEMES = ["system", "light", "dark"];
const SCHEME = "slipway.scheme";

/** @param {string} chosen */
function setScheme(chosen) {
  document.documentElement.dataset.scheme = chosen;
  store(SCHEME, chosen);
}

function Console() {
  const place = usePlace();
  const session = useSession();
  const [, again] = useState(0);
  const refresh = () => again((before) => before + 1);
  const [name = ""] = place.path;

  useEffect(() => {
    const isOpen = name in OPEN || (name === "jobs" && place.path.length > 1);
    if (session.person === null && !isOpen) {
      keepPlace();
      go(linkTo("login"));
    }
    if (session.person && (name === "login" || name === "signup")) go("#/");
  }, [session.person, name]);

  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (document.querySelector("main h1"))?.focus();
    }}>${t("skip_to_content")}</a>
    <${Bar} session=${session} name=${name} refresh=${refresh} />
    <main id="main" key=${language()}><${Guarded} key=${pageKey(place)}><${Chosen} place=${place} session=${session} /><//></main>`;
}

/** @param {Place} place */
function pageKey(place) {
  return place.path.join("/");
}

/** @param {{ place: Place, session: Session }} props */
function Chosen({ place, session }) {
  const [name = ""] = place.path;
  const isJob = name === "jobs" && place.path.length > 1;
  if (Object.hasOwn(OPEN, name)) return html`<${OPEN[name]} place=${place} session=${session} />`;
  if (isJob) return html`<${JobPage} place=${place} session=${session} />`; // at once: it does not depend on who asks
  if (session.person === undefined) return session.problem ? html`<${Refusal} problem=${session.problem} retry=${session.check} />` : html`<${Skeleton} lines=${6} />`;
  if (session.person === null) return null;
  if (name === "jobs") return html`<${JobsPage} place=${place} />`;
  if (name === "apps" && place.path[2] === "remove") return html`<${RemovePage} place=${place} session=${session} />`;
  const page = (Object.hasOwn(MEMBERS, name) && MEMBERS[name]) || (session.person.is_admin && Object.hasOwn(ADMINISTRATORS, name) && ADMINISTRATORS[name]);
  return page ? html`<${page} place=${place} session=${session} />` : html`<${Notice} tone="wait" icon="warn"><h1 tabindex="-1">${t("no_page")}</h1><p><a href="#/">${t("home.title")}</a></p><//>`;
}

/** A fault of a page leaves the frame usable. */
function Guarded(/** @type {{ children?: any }} */ { children }) {
  const [error, reset] = useErrorBoundary((fault) => console.error(fault));
  if (!error) return children;
  return html`<${Notice} tone="fail" icon="fail" live><h1 tabindex="-1">${t("fault")}</h1><p><code>${String(error)}</code></p><${Button} onClick=${reset}>${t("try_again")}<//><//>`;
}

/** @param {{ session: Session, name: string, refresh: () => void }} props */
function Bar({ session, name, refresh }) {
  const { person } = session;
  const link = (/** @type {string} */ to, /** @type {string} */ text) => html`<a href=${to ? linkTo(to) : "#/"} aria-current=${name === to || (to === "" && (name === "apps" || name === "new")) ? "page" : undefined}>${text}</a>`;
  const leave = async () => {
    await call("log_out").catch(() => undefined);
    session.set(null);
    sessionStorage.clear();
    go(linkTo("login"));
  };
  return html`<header class="bar">
    <a class="brand" href="#/" aria-label="Slipway"><svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true"><path d="M4 23 28 13v5L4 28z" /><path d="M8 17.500 11.500 6h10.500l3.500 5z" /></svg><span>Slipway</span></a>
    ${person && html`<nav aria-label=${t("nav")}>${link("", t("home.title"))}${link("jobs", t("nav.jobs"))}${person.is_admin && link("operate", t("operate.title"))}${person.is_admin && link("people", t("people.title"))}${person.is_admin && link("audit", t("audit.title"))}</nav>`}
    <span class="spacer"></span>
    <div class="bar-tools">
      ${person && html`<a class="who" href=${linkTo("account")} aria-current=${name === "account" ? "page" : undefined}>${person.id}</a><${Button} kind="link" onClick=${leave}>${t("logout")}<//>`}
      <label><span class="sr">${t("language")}</span><select class="quiet-select" onChange=${(/** @type {any} */ event) => {
        setLanguage(event.currentTarget.value);
        refresh();
      }}>${LANGUAGES.map((each) => html`<option key=${each} value=${each} lang=${each} selected=${each === language()}>${each === "en" ? "English" : "한국어"}</option>`)}</select></label>
      <label class="scheme"><${Icon} name="sun" /><span class="sr">${t("scheme")}</span><select class="quiet-select" onChange=${(/** @type {any} */ event) => setScheme(event.currentTarget.value)}>${SCHEMES.map((each) => html`<option key=${each} value=${each} selected=${each === (stored(SCHEME) ?? "system")}>${each === "system" ? t("scheme.system") : each === "light" ? t("scheme.light") : t("scheme.dark")}</option>`)}</select></label>
    </div>
  </header>`;
}

setScheme(stored(SCHEME) ?? "system");
render(html`<${Console} />`, /** @type {Element} */ (document.getElementById("console")));
