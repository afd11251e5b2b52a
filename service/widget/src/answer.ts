/** Drawing an answer, while it comes and when it is there. */

import { h, icon, opened, place, present } from "./dom";
import { dated, drawMark, link, type Context } from "./source";
import type { Answer, AnswerEvent, Citation, Sentence } from "./types";
import type { Words } from "./words";

/** What an answer can have done: asking again for one exchange, rating, reaching a human. */
export interface Around extends Context {
  askFor(exchange: string): void;
  rate(answer: Answer, verdict: "up" | "down", reason: string): Promise<unknown>;
  human(): Node | null;
}

interface Proved {
  text: string;
  citations: Citation[];
}

// The same shapes that service/evidence.py tells apart.
const STEP = /^\s*(\d+)[.)]\s+/;
const ITEM = /^\s*[-*•]\s+/;
const CELLS = " | ";
// "No." alone says too little: the sentence after such a short one shares its paragraph.
const SHORT = 20;
// A longer last word may have to wrap on a narrow screen, so its mark is not tied to it.
const LONGEST_TIED = 18;

let tabs = 0;

export function emptyAnswer(): Answer {
  const scope = { exchanges: [], products: [], source: "none" };
  return { id: "", status: "reading", text: "", sentences: [], citations: [], scope, notices: [], related: [] };
}

/** Add to an answer what an event of its stream brings; give what is to be said aloud of it. */
export function take(answer: Answer, event: AnswerEvent, words: Words): string[] {
  if (event.name === "sentence") {
    const before = exchangeOf(answer, answer.sentences.at(-1));
    const sentence = { text: event.text, citations: event.numbers };
    answer.sentences.push(sentence);
    answer.citations.push(...event.citations);
    const exchange = exchangeOf(answer, sentence);
    return [answer.scope.exchanges.length > 1 && exchange && exchange !== before ? `${exchange}: ${event.text}` : event.text];
  }
  const { name, ...rest } = event;
  Object.assign(answer, rest);
  if (name !== "status" || answer.status === "reading") return [];
  return [...answer.notices.map((notice) => noticeText(notice, words, "")), answer.text].filter(Boolean);
}

function exchangeOf({ citations }: Answer, sentence?: Sentence): string | null | undefined {
  return citations.find(({ number }) => number === sentence?.citations[0])?.exchange;
}

/** Make what draws an answer into an element, again and again as it grows. */
export function makeReply(node: HTMLElement, around: Around) {
  const { words } = around;
  const blocks = new Map<string, HTMLElement>();
  const groups = new Map<string, HTMLElement>();
  const tablist = h("div", { class: "tabs", role: "tablist", "aria-label": words.exchanges });
  const body = h("div", { class: "body" });
  let ended: Node[] = [];

  function draw(answer: Answer, done: boolean): void {
    if (answer.status === "reading") return;
    const secret = answer.notices.find(({ code }) => code === "secret_redacted");
    const others = answer.notices.filter((notice) => notice !== secret);
    if (answer.sentences.length) drawGroups(answer);
    else if (!body.firstChild) body.append(...drawOtherwise(answer, around));
    if (done && !ended.length) ended = drawEnd(answer, around);
    const kept = node.querySelector(".secret");
    place(node, present([
      secret && (kept ?? h("p", { class: "secret" }, icon("warning"), h("span", {}, noticeText(secret, words, around.language)))),
      body, ...(done ? [drawNotices(others, around), ...ended] : []),
    ]) as Node[]);
  }

  function drawGroups(answer: Answer): void {
    const cited = new Map(answer.citations.map((citation) => [citation.number, citation]));
    const found = new Map<string, Proved[]>();
    for (const { text, citations } of answer.sentences) {
      const proved = { text, citations: citations.map((number) => cited.get(number)!).filter(Boolean) };
      const exchange = proved.citations[0]?.exchange ?? "";
      found.set(exchange, [...(found.get(exchange) ?? []), proved]);
    }
    const apart = answer.notices.some(({ code }) => code === "sources_disagree");
    const drawn = [...found].map(([exchange, sentences]) => {
      const group = groups.get(exchange) ?? h("div", { class: "group" });
      groups.set(exchange, group);
      const articles = new Map<string, Proved[]>();
      for (const sentence of sentences) {
        const of = apart ? (sentence.citations[0]?.article_id ?? "") : "";
        articles.set(of, [...(articles.get(of) ?? []), sentence]);
      }
      if (articles.size < 2) place(group, present([found.size < 2 && scopeOf(answer, exchange), ...blocksOf(sentences)]) as Node[]);
      else group.replaceChildren(h("div", { class: "versus" }, ...[...articles.values()].map(versus)));
      return group;
    });
    if (found.size > 1) drawTabs([...found.keys()]);
    place(body, found.size > 1 ? [tablist, ...drawn] : drawn);
  }

  function scopeOf(answer: Answer, exchange: string): HTMLElement | null {
    const key = `scope ${exchange}`;
    const products = answer.scope.products.join(", ");
    if (!exchange && !products) return null;
    const made = blocks.get(key) ?? h("p", { class: "scope" },
      exchange && h("span", { class: "exchange" }, exchange), products && h("span", {}, products));
    blocks.set(key, made);
    return made;
  }

  /** One of the sources that disagree: how official and how old it is stands above what it says. */
  function versus(sentences: Proved[]): HTMLElement {
    const { trust, title, updated } = sentences[0]!.citations[0]!;
    const known = words[trust] ? trust : "unknown";
    return h("div", { class: "side" }, h("p", { class: `trust ${known}` }, words[known]), ...blocksOf(sentences),
      h("p", { class: "facts", dir: "auto" }, title), h("p", { class: "facts" }, dated(updated, words, around.language)));
  }

  function drawTabs(exchanges: string[]): void {
    if (tablist.childElementCount === exchanges.length) return;
    const chosen = tablist.querySelector("[aria-selected=true]")?.textContent;
    const panels = exchanges.map((exchange) => groups.get(exchange)!);
    const made = exchanges.map((exchange, position) => {
      const id = `t${++tabs}`;
      panels[position]!.id = `${id}p`;
      return h("button", { type: "button", role: "tab", id, "aria-controls": `${id}p`, click: () => choose(position) },
        exchange || words.general);
    });
    function choose(position: number, focus = false): void {
      made.forEach((tab, at) => {
        tab.setAttribute("aria-selected", String(at === position));
        tab.tabIndex = at === position ? 0 : -1;
        const panel = panels[at]!;
        panel.hidden = at !== position;
        panel.setAttribute("role", "tabpanel");
        panel.setAttribute("aria-labelledby", tab.id);
      });
      if (focus) made[position]!.focus();
    }
    tablist.onkeydown = (event) => {
      const rtl = getComputedStyle(tablist).direction === "rtl";
      const step = { ArrowRight: rtl ? -1 : 1, ArrowLeft: rtl ? 1 : -1 }[event.key];
      const at = made.indexOf(event.target as HTMLButtonElement);
      if (!step || at < 0) return;
      event.preventDefault();
      choose((at + step + made.length) % made.length, true);
    };
    tablist.replaceChildren(...made);
    choose(Math.max(0, made.findIndex((tab) => tab.textContent === chosen)));
  }

  /** Put neighbours of one shape together; a block that has not changed is the very same element. */
  function blocksOf(sentences: Proved[]): HTMLElement[] {
    const found: { shape: Shape; sentences: Proved[] }[] = [];
    for (const sentence of sentences) {
      const shape = shapeOf(sentence.text);
      const last = found.at(-1);
      if (last && last.shape === shape && shape !== "prose" && sameTable(shape, last.sentences[0]!, sentence)) {
        last.sentences.push(sentence);
      } else if (last?.shape === "prose" && shape === "prose" && last.sentences.at(-1)!.text.length <= SHORT) {
        last.sentences.push(sentence);
      } else found.push({ shape, sentences: [sentence] });
    }
    return found.map(({ shape, sentences }, position) => {
      const key = JSON.stringify([position, shape, sentences]);
      const block = blocks.get(key) ?? h("div", { class: position ? "block" : "block lead", part: position ? "block" : "lead" }, ...DRAW[shape](sentences, around));
      blocks.set(key, block);
      return block;
    });
  }

  return { draw };
}

type Shape = "prose" | "step" | "item" | "row";

function shapeOf(text: string): Shape {
  if (text.includes(CELLS)) return "row";
  if (STEP.test(text)) return "step";
  return ITEM.test(text) ? "item" : "prose";
}

function sameTable(shape: Shape, one: Proved, other: Proved): boolean {
  const headers = ({ text }: Proved) => cellsOf(text).map(([header]) => header).join(CELLS);
  return shape !== "row" || headers(one) === headers(other);
}

const DRAW: Record<Shape, (sentences: Proved[], around: Around) => Node[]> = {
  prose(sentences, around) {
    const sources: Node[] = [];
    const words = sentences.flatMap((sentence, position) => [position ? " " : "", ...proved(sentence.text, sentence, around, sources)]);
    return [h("p", { class: "said", dir: "auto" }, ...words), ...sources];
  },
  step: (sentences, around) => [h("ol", { dir: "auto" }, ...sentences.map((sentence) => listed(sentence, STEP, around)))],
  item: (sentences, around) => [h("ul", { dir: "auto" }, ...sentences.map((sentence) => listed(sentence, ITEM, around)))],
  /** A single row stands on its side: it reads better than a table of one line. */
  row(sentences, around) {
    const sources: Node[] = [];
    const rows = sentences.map((sentence) => {
      const cells = cellsOf(sentence.text);
      return cells.map(([header, text], at) =>
        [header, at === cells.length - 1 ? proved(text, sentence, around, sources) : [text]] as const);
    });
    const table = rows.length === 1
      ? h("tbody", {}, ...rows[0]!.map(([header, cell]) => h("tr", {}, header
        ? h("th", { scope: "row" }, header) : null, h("td", { colspan: header ? 1 : 2 }, ...cell))))
      : [h("thead", {}, h("tr", {}, ...rows[0]!.map(([header]) => h("th", { scope: "col" }, header)))),
        h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map(([, cell]) => h("td", {}, ...cell)))))];
    // A wide table scrolls in its own box, which the keyboard must be able to reach.
    const name = sentences[0]!.citations[0]?.title ?? "";
    return [h("div", { class: "wide", tabindex: 0, role: "group", "aria-label": name }, h("table", { dir: "auto" }, ...[table].flat())), ...sources];
  },
};

function cellsOf(text: string): [string, string][] {
  return text.split(CELLS).map((cell) => {
    const colon = cell.indexOf(": ");
    return colon < 0 ? ["", cell] : [cell.slice(0, colon), cell.slice(colon + 2)];
  });
}

function listed(sentence: Proved, marker: RegExp, around: Around): HTMLElement {
  const sources: Node[] = [];
  const item = h("li", { value: marker.exec(sentence.text)?.[1] },
    ...proved(sentence.text.replace(marker, ""), sentence, around, sources));
  item.append(...sources);
  return item;
}

/** Give a text with its marks, the first of them tied to the last word; the sources that they open are added to `sources`. */
function proved(text: string, sentence: Proved, around: Around, sources: Node[]): Child[] {
  const marks = sentence.citations.map((citation) => {
    const [mark, source] = drawMark(citation, sentence.text, around);
    sources.push(source);
    return mark;
  });
  const trimmed = text.trimEnd();
  const cut = trimmed.lastIndexOf(" ") + 1;
  if (!marks.length || trimmed.length - cut > LONGEST_TIED) return [trimmed, ...marks];
  return [trimmed.slice(0, cut), h("span", { class: "tied" }, trimmed.slice(cut), ...marks)];
}

type Child = Node | string;

function drawOtherwise({ status, text, scope }: Answer, { words, askFor }: Around): Node[] {
  return present([
    status === "not_covered" && h("p", { class: "missing" }, words.missing),
    h("p", { class: "said", dir: "auto" }, text),
    status === "clarify" && h("div", { class: "chips", role: "group", "aria-label": words.which },
      ...scope.exchanges.map((exchange) => h("button", { type: "button", class: "chip", click: () => askFor(exchange) }, exchange))),
  ]) as Node[];
}

function noticeText({ code, message }: Answer["notices"][number], words: Words, language: string): string {
  // In English the service says more than our words do: which page, and how old.
  const ours = words[code as keyof Words];
  return language === "en" || !ours ? message : ours;
}

function drawNotices(notices: Answer["notices"], { words, language }: Around): Node | null {
  if (!notices.length) return null;
  return h("ul", { class: "notices" }, ...notices.map((notice) =>
    h("li", { dir: "auto" }, icon("warning"), h("span", {}, noticeText(notice, words, language)))));
}

function drawEnd(answer: Answer, around: Around): Node[] {
  const { words } = around;
  const said = answer.status === "answered";
  const related = answer.related.map(({ url, title, exchange }) => {
    const address = opened(url);
    return h("li", {}, address ? link(address, title, words) : h("bdi", {}, title), exchange && h("span", { class: "facts" }, ` ${exchange}`));
  });
  return present([
    related.length > 0 && h("div", { class: "related" }, h("p", { class: "facts" }, said ? words.related : words.nearest), h("ul", {}, ...related)),
    answer.status !== "answered" && answer.status !== "clarify" && around.human(),
    answer.status !== "clarify" && drawTools(answer, around),
  ]) as Node[];
}

function drawTools(answer: Answer, around: Around): Node {
  const { words, say } = around;
  const place = h("div", { class: "why" });
  const told = (text: string) => {
    place.replaceChildren(h("p", { class: "facts" }, text));
    say(text);
  };
  const rate = (verdict: "up" | "down", reason = "") =>
    around.rate(answer, verdict, reason).then(() => words.thanks, () => words.unreached);
  const tool = (name: "up" | "down" | "copy", act: () => void) =>
    h("button", { type: "button", class: "tool", "aria-label": words[name], title: words[name], click: act,
      "aria-pressed": name === "copy" ? null : "false" }, icon(name === "copy" ? "copy" : "up"));
  const press = (verdict: "up" | "down") => {
    for (const [name, button] of [["up", up], ["down", down]] as const) button.setAttribute("aria-pressed", String(name === verdict));
  };
  const up = tool("up", () => {
    press("up");
    void rate("up").then(told);
  });
  const down = tool("down", () => {
    press("down");
    void rate("down");
    const field = h("input", { class: "field", maxlength: 500, "aria-label": words.why, placeholder: words.why, dir: "auto" });
    const send = (event: Event) => {
      event.preventDefault();
      void rate("down", field.value.trim()).then(told);
      down.focus();
    };
    place.replaceChildren(h("form", { submit: send }, field, h("button", { class: "chip" }, words.tell)));
    field.focus();
  });
  down.classList.add("turned");
  const copy = tool("copy", () => void copied(textOf(answer, around), up).then((done) => done && told(words.copied)));
  return h("div", {}, h("div", { class: "tools" }, up, down, answer.sentences.length > 0 && copy), place);
}

/** Give an answer with its sources as text. */
function textOf(answer: Answer, { words }: Around): string {
  const sources = answer.citations.map(({ number, title, exchange, trust, updated, url }) => {
    const facts = [exchange, words[trust], updated].filter(Boolean).join(", ");
    return `[${number}] ${title} (${facts})\n${url}`;
  });
  const said = answer.sentences.map(({ text, citations }) => text + citations.map((number) => ` [${number}]`).join(""));
  return [said.join("\n"), ...sources].join("\n\n");
}

/** Copy a text; where the page may not use the clipboard, through a selection. */
async function copied(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = h("textarea", { class: "unseen", "aria-hidden": "true" });
    field.value = text;
    near.after(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}
