/** A mark and the source that it opens: the quote under the marker pen, in its paragraph. */

import { h, icon, opened, scrollerOf } from "./dom";
import type { Citation } from "./types";
import { fill, isRightToLeft, type Words } from "./words";

/** What drawing needs of the chat around it. */
export interface Context {
  words: Words;
  language: string;
  passage(id: string): Promise<string>;
  say(text: string): void;
}

/** Characters of the passage that are shown before and after the quote. */
const AROUND = 320;
let numbered = 0;

/** Make the mark of a citation and the source that it opens; `sentence` is what the citation proves. */
export function drawMark(citation: Citation, sentence: string, context: Context): [HTMLButtonElement, HTMLElement] {
  const { words } = context;
  const id = `s${++numbered}`;
  const label = fill(words.mark, { n: citation.number, title: citation.title });
  const mark = h("button", {
    type: "button", class: "mark", part: "mark", "aria-expanded": "false", "aria-controls": id, "aria-label": label,
  }, String(citation.number));
  const source = h("div", { class: "source", part: "source", id, hidden: true, role: "group", "aria-label": label,
    dir: isRightToLeft(context.language) ? "rtl" : "ltr" }); // it may stand in a list that runs the other way
  const toggle = () => {
    if (!source.firstChild) fillSource(source, citation, sentence, context);
    source.hidden = !source.hidden;
    mark.setAttribute("aria-expanded", String(!source.hidden));
    if (!source.hidden) bringUp(source, mark);
  };
  const close = (event: KeyboardEvent) => {
    if (event.key !== "Escape" || source.hidden) return;
    event.stopPropagation();
    toggle();
    mark.focus();
  };
  mark.addEventListener("click", toggle);
  mark.addEventListener("keydown", close);
  source.addEventListener("keydown", close);
  return [mark, source];
}

/** Scroll as far as a source needs, but not so far that the sentence that it proves is out of sight. */
function bringUp(source: HTMLElement, mark: HTMLElement): void {
  const scroller = scrollerOf(source);
  const { top, bottom } = scroller.getBoundingClientRect();
  const below = source.getBoundingClientRect().bottom + 12 - bottom;
  if (below > 0) scroller.scrollTop += Math.max(0, Math.min(below, mark.getBoundingClientRect().top - top - 48));
}

function fillSource(source: HTMLElement, citation: Citation, sentence: string, context: Context): void {
  const { words, language } = context;
  const quote = h("blockquote", { dir: "auto" }, ...penned(citation.quote, sentence));
  const url = opened(citation.url);
  const trust = words[citation.trust] ? citation.trust : "unknown";
  const facts = [citation.exchange, dated(citation.updated, words, language)].filter(Boolean).join(" · ");
  source.append(
    quote,
    h("p", { class: "title", dir: "auto" }, citation.title),
    h("p", { class: "facts" },
      h("span", { class: `trust ${trust}` }, icon(trust === "official" ? "tick" : "warning"), words[trust]), facts),
    url ? h("p", {}, link(url, words.open, words)) : "",
  );
  context.passage(citation.passage_id).then((text) => quote.replaceChildren(...inPlace(text, citation, sentence)), () => {});
}

/** Give the passage around a quote; its offsets count characters, not UTF-16 units. */
function inPlace(text: string, { quote, start, end }: Citation, sentence: string): (Node | string)[] {
  const characters = [...text];
  const slice = (from: number, to?: number) => characters.slice(from, to).join("");
  if (slice(start, end) !== quote) return penned(quote, sentence);
  const before = slice(Math.max(0, start - AROUND), start);
  const after = slice(end, end + AROUND);
  return [
    start > AROUND ? `… ${before.replace(/^\S*\s+/, "")}` : before,
    ...penned(quote, sentence),
    characters.length - end > AROUND ? `${after.replace(/\s+\S*$/, "")} …` : after,
  ];
}

/** Put a quote under the pen, and its very sentence under more of it. */
function penned(quote: string, sentence: string): (Node | string)[] {
  const at = quote.indexOf(sentence);
  if (at < 0 || sentence === quote) return [h("mark", {}, quote)];
  const end = at + sentence.length;
  const rest = (text: string) => (text.trim() ? h("mark", { class: "rest" }, text) : text);
  return [rest(quote.slice(0, at)), h("mark", {}, sentence), rest(quote.slice(end))];
}

export function dated(iso: string | null, words: Words, language: string): string {
  const date = new Date(iso ?? NaN);
  if (isNaN(+date)) return iso ? fill(words.dated, { date: iso }) : words.undated;
  return fill(words.dated, { date: date.toLocaleDateString(language, { dateStyle: "medium", timeZone: "UTC" }) });
}

/** Link to a page in a tab of its own. */
export function link(url: string, text: string, words: Words): HTMLAnchorElement {
  return h("a", { href: url, target: "_blank", rel: "noopener", dir: "auto" }, text, icon("out"),
    h("span", { class: "unseen" }, ` (${words.tab})`));
}
