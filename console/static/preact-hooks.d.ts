// The part of Preact's hooks that the console uses.
export type Update<S> = (next: S | ((before: S) => S)) => void;
export function useState<S>(first: S | (() => S)): [S, Update<S>];
export function useEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useLayoutEffect(effect: () => void | (() => void), inputs?: readonly unknown[]): void;
export function useRef<T>(first: T): { current: T };
export function useMemo<T>(make: () => T, inputs: readonly unknown[]): T;
export function useCallback<F extends (...given: any[]) => any>(f: F, inputs: readonly unknown[]): F;
export function useErrorBoundary(caught?: (error: any) => void): [any, () => void];
export function useId(): string;
