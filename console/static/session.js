// Who is logged in. The cookie is the browser's: scripts cannot read it, and the console keeps no token.
import { useEffect, useState } from "./view.js";
import { call, onLoggedOut, Problem } from "./api.js";
import { asProblem } from "./load.js";

/** @import { Person } from "../types/api.js" */

/**
 * @typedef {object} Session
 * @property {Person | null | undefined} person undefined: not known yet
 * @property {boolean} hasEnded whether a session ended without a log-out here
 * @property {Problem} [problem] why it is not known
 * @property {(person: Person | null) => void} set
 * @property {() => Promise<void>} check
 */

const OTHER_TABS = "BroadcastChannel" in globalThis ? new BroadcastChannel("slipway.session") : undefined;

/** @returns {Session} */
export function useSession() {
  const [state, setState] = useState(/** @type {{ person?: Person | null, hasEnded: boolean, problem?: Problem }} */ ({ hasEnded: false }));

  const check = async () => {
    try {
      const person = await call("who_am_i");
      setState({ person, hasEnded: false });
    } catch (error) {
      const problem = asProblem(error);
      const isVisitor = problem.code === "not_logged_in";
      setState((before) => (isVisitor ? { person: null, hasEnded: Boolean(before.person) } : { ...before, problem }));
    }
  };

  useEffect(() => {
    void check();
    if (OTHER_TABS) OTHER_TABS.onmessage = () => void check();
    return onLoggedOut(() => setState((before) => ({ person: null, hasEnded: before.hasEnded || Boolean(before.person) })));
  }, []);

  return {
    ...state,
    person: state.person,
    check,
    set(person) {
      setState({ person, hasEnded: false });
      OTHER_TABS?.postMessage("changed");
    },
  };
}
