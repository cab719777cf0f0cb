// The part of Preact that the console uses.
export type Child = any;
export interface VNode { type: unknown; props: Record<string, unknown> }
export function h(type: unknown, props: unknown, ...children: unknown[]): VNode;
export function render(what: unknown, where: Element): void;
export const Fragment: unknown;
