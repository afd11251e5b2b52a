/** Making elements. Whatever comes from elsewhere is set as text or as an attribute, never as markup. */

export type Child = Node | string | null | false | undefined;
type Listener = (event: never) => void;
type Attributes = Record<string, string | number | boolean | null | undefined | Listener>;

/** Make an element: functions listen, `false`, `null` and `undefined` leave an attribute out, strings become text. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K, attributes: Attributes = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value as EventListener);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : String(value));
  }
  made.append(...present(children));
  return made;
}

/** Leave out what is not there. */
export function present(children: Child[]): (Node | string)[] {
  return children.filter((child): child is Node | string => child != null && child !== false);
}

const ICONS = {
  close: "M6 6l12 12M18 6L6 18",
  send: "M12 19.500V5M5.5 11.500L12 5l6.5 6.5",
  up: "M4 11h3.500v9H4zM7.5 11l4-7c1.6 0 2.5 1.2 2.2 2.700L13 10h5.500a1.6 1.6 0 0 1 1.6 1.900l-1.2 6.500a2 2 0 0 1-2 1.600H7.5",
  copy: "M9 9h11v11H9zM15 6V4H4v11h2",
  clear: "M4.5 7h15M9.5 7V4.500h5V7M6.5 7l.8 13h9.400l.8-13",
  out: "M9 7h8v8M17 7L7 17",
  tick: "M5 12.500l4.5 4.500L19 7.5",
  warning: "M12 4l9 16H3zM12 10.500v4M12 17.200v.3",
  ask: "M9.5 5.500L16 12l-6.5 6.5",
} as const;
const SVG = "http://www.w3.org/2000/svg";

/** Draw an icon; it says nothing to who does not see it. */
export function icon(name: keyof typeof ICONS | "brand"): SVGElement {
  const drawn = svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `icon ${name}` });
  // The brand: what somebody says, and a line of it under the marker pen.
  if (name === "brand") {
    drawn.append(
      svg("path", { d: "M5 3.500h14A2.5 2.5 0 0 1 21.5 6v8.500A2.5 2.5 0 0 1 19 17h-7.500L7 21v-4H5a2.5 2.5 0 0 1-2.5-2.500V6A2.5 2.5 0 0 1 5 3.500z" }),
      svg("path", { d: "M6 7.500h12v5.500H6z", class: "pen" }), svg("path", { d: "M8 10.250h8", class: "ink" }));
  } else drawn.append(svg("path", { d: ICONS[name] }));
  return drawn;
}

function svg(name: string, attributes: Record<string, string>): SVGElement {
  const made = document.createElementNS(SVG, name) as SVGElement;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Give an address that may be opened, so that no `javascript:` or `file:` becomes a link. */
export function opened(url: string, ...schemes: string[]): string | null {
  try {
    return ["http:", "https:", ...schemes].includes(new URL(url, location.href).protocol) ? url : null;
  } catch {
    return null;
  }
}

/** Give what scrolls a part of the panel: the conversation, or the whole panel on a screen that is hardly higher than a keyboard. */
export function scrollerOf(node: Element): Element {
  const panel = node.closest(".panel")!;
  return panel.scrollHeight > panel.clientHeight + 1 ? panel : node.closest(".scroll")!;
}

/** Put nodes into a parent in their order and touch only what differs, so that what has the focus keeps it. */
export function place(parent: Element, nodes: Node[]): void {
  nodes.forEach((node, position) => {
    const there = parent.childNodes[position];
    if (there !== node) parent.insertBefore(node, there ?? null);
  });
  while (parent.childNodes.length > nodes.length) parent.lastChild!.remove();
}
