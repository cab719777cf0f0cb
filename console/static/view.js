// The view library in one place: `html` makes what components return, hooks give them state.
import htm from "./htm.js";
import { h } from "./preact.js";

export { Fragment, render } from "./preact.js";
export { useCallback, useEffect, useErrorBoundary, useId, useLayoutEffect, useMemo, useRef, useState } from "./preact-hooks.js";
export const html = htm.bind(h);
