/** The chat: its button, its panel, the conversation in it. */

import { emptyAnswer, makeReply, take, type Around } from "./answer";
import { makeClient, Problem } from "./client";
import { h, icon, opened, scrollerOf } from "./dom";
import { keep, recall } from "./memory";
import type { Answer, Options } from "./types";
import { fill, isRightToLeft, launchWord, pick, readWords, wordsOf, type Words } from "./words";

const LONGEST = 2000; // as in service/question.py
const SUGGESTED = 5;
/** Milliseconds without a key before what was typed is looked up. */
const PAUSE = 180;
/** Looked up while typing is only what cannot be a secret: a few words, none of them long. */
const FEW_WORDS = 9;
const LONG_WORD = /[\w+/=-]{20,}/;
/** A screen of this size is filled by the panel: phones, and 400 % zoom. */
const SHEET = "(max-width: 30em), (max-height: 26em)";

interface Turn {
  question: string;
  exchange: string;
  answer: Answer;
  done: boolean;
  problem?: Problem | "stopped";
  node: HTMLElement;
  settle?: (answer: Answer | null) => void;
  draw?: () => void;
}

export type Chat = ReturnType<typeof makeChat>;

/** Make the chat in a shadow root; `host` is its element, whose attributes are read as they are when needed. */
export function makeChat(host: HTMLElement, shadow: ShadowRoot, options: Options, setHeight: (css: string) => void) {
  const floating = "floating" in host.dataset;
  const client = makeClient(options);
  const store = `citedesk ${options.service} ${options.key.slice(-8)}`;
  const { id: keptId, open: keptOpen, exchange: keptExchange } = recall(store);
  const sheet = matchMedia(SHEET);
  const passages = new Map<string, Promise<string>>();
  const listeners = new Map<string, Set<(detail: unknown) => void>>();

  let conversation = keptId;
  let exchange = keptExchange || host.dataset.exchange || "";
  let language = "en";
  let chosenLanguage: string | null = null;
  let words: Words = wordsOf("en");
  let turns: Turn[] = [];
  let isOpen = false;
  let restored = !keptId;
  let running: AbortController | null = null;
  let looking: AbortController | null = null;
  let pause = 0;
  let came: Element | null = null;
  /** Which suggestion is chosen with the arrow keys; -1: none. */
  let active = -1;

  const root = h("div", { class: "root", part: "root", role: floating && "complementary" });
  // Sentence by sentence: as a whole it would be read again from its beginning with each. It stands in the panel, because
  // what is outside a modal dialog is not read.
  const live = h("div", { class: "unseen", role: "status", "aria-atomic": "false" });
  const label = h("span", { class: "label" });
  const launch = h("button", { type: "button", class: "launch", part: "button", "aria-haspopup": "dialog", "aria-expanded": "false",
    click: () => (isOpen ? close() : open()) }, icon("brand"), label);
  let panel: HTMLElement | null = null;
  let title: HTMLElement, scroll: HTMLElement, input: HTMLTextAreaElement, list: HTMLElement, form: HTMLFormElement, bound: HTMLElement;
  if (floating) root.append(launch);
  shadow.append(root);

  // ---- the interface's language

  function relabel(): void {
    const found = pick(chosenLanguage, host.dataset.language, host.closest("[lang]")?.getAttribute("lang"), ...navigator.languages);
    if (found !== language || !label.textContent) {
      language = found;
      root.lang = language;
      root.dir = isRightToLeft(language) ? "rtl" : "ltr";
      label.textContent = launchWord(language);
      if (floating) root.setAttribute("aria-label", launchWord(language));
      if (panel) void translate();
    }
  }

  async function translate(): Promise<void> {
    await readWords(options.service, language);
    words = wordsOf(language);
    const typed = panel && input.value;
    build();
    if (typed) input.value = typed;
    for (const turn of turns) turn.node = h("div");
    turns.forEach((turn) => show(turn));
    if (!turns.length && restored) home();
  }

  // ---- opening and closing

  async function open(quietly = false): Promise<void> {
    if (isOpen) return;
    isOpen = true;
    came = shadow.activeElement ?? document.activeElement;
    remember();
    if (!panel) await translate();
    if (!isOpen) return;
    panel!.hidden = false;
    launch.setAttribute("aria-expanded", "true");
    root.classList.add("open");
    fit();
    emit("open");
    if (!quietly) (floating && (sheet.matches || matchMedia("(pointer: coarse)").matches) ? panel! : input).focus({ preventScroll: !floating });
    await restore();
  }

  function close(): void {
    if (!isOpen || !floating) return;
    isOpen = false;
    remember();
    if (panel) panel.hidden = true;
    launch.setAttribute("aria-expanded", "false");
    root.classList.remove("open");
    (came && came !== document.body && came.isConnected ? (came as HTMLElement) : launch).focus({ preventScroll: true });
    emit("close");
  }

  /** Go on with the conversation from before the reload. */
  async function restore(): Promise<void> {
    if (restored) return;
    restored = true;
    try {
      const before = await client.turns(conversation);
      const made = before.map(({ question, answer }): Turn => ({ question, answer, exchange: "", done: true, node: h("div") }));
      turns = [...made, ...turns];
      if (made.length) scroll.replaceChildren();
      turns.forEach((turn) => show(turn));
      if (made.length) bringUp(turns.at(-1)!);
    } catch (error) {
      if (error instanceof Problem && error.trouble === "gone") conversation = "";
      remember();
    }
    if (!turns.length) home();
  }

  function remember(): void {
    keep(store, { id: conversation, open: isOpen, exchange });
  }

  // ---- the panel

  function build(): void {
    active = -1;
    title = h("h2", { id: "title", class: "title" }, icon("brand"), host.dataset.title || words.title);
    const tool = (name: "clear" | "close", act: () => void) =>
      h("button", { type: "button", class: "tool", "aria-label": words[name], title: words[name], click: act }, icon(name));
    scroll = h("div", { class: "scroll", part: "conversation", tabindex: 0, role: "group", "aria-labelledby": "title" });
    list = h("div", { class: "list", id: "list", role: "listbox", "aria-label": words.often, hidden: true });
    bound = h("p", { class: "bound" });
    input = h("textarea", { id: "field", rows: 1, dir: "auto", enterkeyhint: "send", autocomplete: "off", placeholder: words.hint,
      "aria-describedby": "advice", "aria-autocomplete": "list", "aria-haspopup": "listbox", "aria-controls": "list",
      input: typed, keydown: pressed, blur: () => showList([]) });
    form = h("form", { class: "composer", part: "composer", submit: (event: Event) => {
      event.preventDefault();
      send();
    } }, list, bound, h("label", { for: "field", class: "unseen" }, words.field),
      h("div", { class: "box" }, input, h("button", { class: "send", part: "send", "aria-label": words.send, title: words.send }, icon("send"))),
      h("p", { class: "foot" }, h("span", { id: "advice" }, words.advice), human()));
    const made = h("section", { class: "panel", part: "panel", role: floating ? "dialog" : "region", "aria-labelledby": "title", tabindex: -1,
      hidden: !isOpen || !!panel?.hidden, keydown: keys },
      h("header", { part: "header" }, title, tool("clear", () => void clear()), floating && tool("close", close)), scroll, form, live);
    if (panel) panel.replaceWith(made);
    else root.append(made);
    panel = made;
    showBound();
  }

  function fit(): void {
    panel?.setAttribute("aria-modal", String(sheet.matches));
    if (!floating) panel?.removeAttribute("aria-modal");
    const seen = window.visualViewport;
    // The on-screen keyboard covers a part of the page: the sheet takes what is left.
    setHeight(isOpen && floating && seen?.scale === 1 ? `:host{--seen-height:${seen.height}px;--seen-top:${seen.offsetTop}px}` : "");
  }

  function keys(event: KeyboardEvent): void {
    if (event.key === "Escape" && floating && !event.isComposing) {
      event.stopPropagation();
      close();
    }
    if (event.key !== "Tab" || !floating || !sheet.matches) return;
    const stops = [...panel!.querySelectorAll<HTMLElement>("button, a[href], textarea, input, [tabindex='0']")]
      .filter((stop) => stop.tabIndex >= 0 && stop.getClientRects().length);
    const [first, last] = [stops[0], stops.at(-1)];
    const at = shadow.activeElement;
    if (event.shiftKey ? at === first || at === panel : at === last) {
      event.preventDefault();
      (event.shiftKey ? last : first)?.focus();
    }
  }

  /** The way to a human: a page that listens for `escalate` is handed the conversation, else the address is linked. */
  function human(): HTMLElement | null {
    const text = options.contactLabel || words.human;
    if (listeners.get("escalate")?.size) {
      return h("button", { type: "button", class: "human", click: () => emit("escalate", {
        conversation, turns: turns.map(({ question, answer }) => ({ question, status: answer.status, text: answer.text })),
      }) }, text);
    }
    const url = options.contact && opened(options.contact, "mailto:", "tel:");
    return url ? h("a", { class: "human", href: url, target: /^https?:/.test(url) && "_blank", rel: "noopener" }, text) : null;
  }

  // ---- before the first question

  function home(): void {
    const promise = words.promise.split("*").map((part, at) => (at % 2 ? h("mark", {}, part) : part));
    const often = h("div", { class: "often" });
    scroll.replaceChildren(h("div", { class: "home" }, h("p", { class: "hello" }, words.hello), h("p", { class: "promise" }, ...promise), often));
    const control = new AbortController();
    client.suggest("", exchange, SUGGESTED, control.signal).then((found) => {
      if (found.length) {
        often.append(h("h3", { class: "facts" }, words.often), h("ul", {}, ...found.map(({ question }) =>
          h("li", {}, row(question, icon("ask"))))));
      }
    }, () => {});
  }

  // ---- typing

  function typed(): void {
    grow();
    showBound();
    clearTimeout(pause);
    looking?.abort();
    activate(-1);
    const text = input.value.trim();
    const few = text.split(/\s+/).length <= FEW_WORDS && !LONG_WORD.test(text);
    if (text.length < 2 || !few) return showList([]);
    pause = window.setTimeout(() => {
      looking = new AbortController();
      const { signal } = looking;
      client.suggest(text, exchange, 4, signal).then(
        (found) => signal.aborted || shadow.activeElement !== input || showList(found.map(({ question }) => question).filter((question) => question !== text)), () => {});
    }, PAUSE);
  }

  function showList(questions: string[]): void {
    if (list.hidden && questions.length) say(fill(words.suggested, { n: questions.length }));
    list.hidden = !questions.length;
    list.replaceChildren(...questions.map((question, at) => h("div", { class: "row", role: "option", id: `o${at}`,
      mousedown: (event: Event) => event.preventDefault(), click: () => taken(question) }, h("span", { dir: "auto" }, question))));
    activate(-1);
  }

  /** Choose a suggestion, or none with -1; what is typed keeps the focus. */
  function activate(at: number): void {
    active = at;
    [...list.children].forEach((option, position) => option.setAttribute("aria-selected", String(position === at)));
    if (at < 0) return input.removeAttribute("aria-activedescendant");
    input.setAttribute("aria-activedescendant", `o${at}`);
    list.children[at]!.scrollIntoView({ block: "nearest" });
  }

  function row(question: string, ...more: Node[]): HTMLElement {
    return h("button", { type: "button", class: "row", click: () => taken(question) }, h("span", { dir: "auto" }, question), ...more);
  }

  function taken(question: string): void {
    input.value = "";
    grow();
    void ask(question, "", true);
  }

  function pressed(event: KeyboardEvent): void {
    // Enter that ends the composing of a Chinese or Japanese word is not meant for us.
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (active < 0) send();
      else taken(list.children[active]!.textContent!);
    } else if (step && !list.hidden) {
      event.preventDefault();
      // One place more than there are suggestions: where none is chosen.
      const places = list.childElementCount + 1;
      activate(((active + 1 + step + places) % places) - 1);
    } else if (event.key === "Escape" && !list.hidden) {
      event.stopPropagation();
      showList([]);
    }
  }

  /** Grow with what is typed where the style sheet cannot. */
  function grow(): void {
    if (CSS.supports("field-sizing", "content")) return;
    input.rows = 1;
    while (input.scrollHeight > input.clientHeight + 2 && input.rows < 5) input.rows++;
  }

  function send(): void {
    const text = input.value.trim();
    if (!text) return input.focus();
    if ([...text].length > LONGEST) return say(fill(words.long, { n: LONGEST }), true);
    input.value = "";
    grow();
    void ask(text, "", matchMedia("(pointer: coarse)").matches);
  }

  // ---- asking

  function ask(question: string, only = "", focus = false): Promise<Answer | null> {
    clearTimeout(pause);
    looking?.abort();
    showList([]);
    if (only) setExchange(only);
    const turn: Turn = { question, exchange, answer: emptyAnswer(), done: false, node: h("div") };
    if (!turns.length) scroll.replaceChildren();
    turns.push(turn);
    emit("question");
    return new Promise((settle) => {
      turn.settle = settle;
      void run(turn);
      bringUp(turn, focus);
    });
  }

  /** Send a turn's question; a newer question stops the one before it. */
  async function run(turn: Turn, again = true): Promise<void> {
    running?.abort();
    const control = (running = new AbortController());
    turn.answer = emptyAnswer();
    turn.problem = undefined;
    show(turn);
    live.replaceChildren();
    say(words.reading);
    try {
      if (!conversation) {
        conversation = await client.begin();
        remember();
      }
      let frame = 0;
      for await (const event of client.ask(conversation, turn.question, turn.exchange, control.signal)) {
        for (const text of take(turn.answer, event, words)) say(text);
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          if (!turn.problem) turn.draw?.();
        });
      }
      turn.done = true;
      turn.draw?.();
      if (turn.answer.notices.some(({ code }) => code === "secret_redacted")) await takeBack(turn);
      emit("answer", { question: turn.question, answer: turn.answer });
      turn.settle?.(turn.answer);
    } catch (error) {
      const problem = control.signal.aborted ? "stopped" : error instanceof Problem ? error : new Problem("down");
      if (problem !== "stopped" && problem.trouble === "gone" && again) {
        conversation = "";
        return run(turn, false);
      }
      if (!(error instanceof Problem) && problem !== "stopped") console.error(error);
      turn.problem = problem;
      show(turn);
      if (problem !== "stopped") emit("error", { trouble: problem.trouble, detail: problem.message });
      turn.settle?.(null);
    }
    if (running === control) running = null;
  }

  /** Show the question as it is kept: without the secret. */
  async function takeBack(turn: Turn): Promise<void> {
    turn.question = "•••";
    turn.node.querySelector(".asked")!.textContent = turn.question;
    try {
      turn.question = (await client.turns(conversation)).at(-1)?.question ?? turn.question;
      turn.node.querySelector(".asked")!.textContent = turn.question;
    } catch {
      // It stays taken back whole.
    }
  }

  function show(turn: Turn): void {
    const { question, problem } = turn;
    const reply = h("div", { class: "reply" });
    const asked = h("h3", { class: "asked", part: "question", dir: "auto", tabindex: -1 }, question);
    const made = h("article", { class: "turn", part: "turn" }, asked, reply);
    const drawing = makeReply(reply, around(turn));
    turn.draw = () => drawing.draw(turn.answer, turn.done);
    if (problem) reply.append(...drawProblem(turn, problem));
    else if (turn.done) turn.draw();
    else reply.append(h("p", { class: "reading" }, words.reading), h("i", { class: "line" }), h("i", { class: "line" }), h("i", { class: "line" }));
    const held = turn.node.contains(shadow.activeElement);
    if (turn.node.parentNode) turn.node.replaceWith(made);
    else scroll.append(made);
    turn.node = made;
    if (held) asked.focus({ preventScroll: true });
  }

  function drawProblem(turn: Turn, problem: Problem | "stopped"): Node[] {
    const again = h("button", { type: "button", class: "chip", click: () => {
      void run(turn);
      bringUp(turn, true);
    } }, words.retry);
    if (problem === "stopped") return [h("p", { class: "facts" }, words.stopped), again];
    const { trouble, seconds, message } = problem;
    const text = { offline: words.offline, down: words.unreached, busy: "", limited: "", refused: words.refused, gone: words.unreached, said: message }[trouble];
    const line = h("p", { class: "problem", dir: "auto" }, text);
    again.hidden = trouble === "refused" || trouble === "said";
    if (trouble === "limited" || trouble === "busy") countDown(line, again, seconds, words[trouble]);
    else say(text);
    return [line, h("div", { class: "ways" }, again, trouble !== "said" && trouble !== "limited" && human())];
  }

  function countDown(line: HTMLElement, again: HTMLElement, seconds: number, wait: string): void {
    const until = Date.now() + seconds * 1000;
    const text = (left: number) => fill(wait, { n: left });
    again.hidden = true;
    line.textContent = text(seconds);
    say(text(seconds));
    const timer = setInterval(() => {
      const left = Math.ceil((until - Date.now()) / 1000);
      line.textContent = left > 0 ? text(left) : words.ready;
      if (left > 0 && line.isConnected) return;
      clearInterval(timer);
      again.hidden = false;
      if (line.isConnected) say(words.ready);
    }, 1000);
  }

  function around(turn: Turn): Around {
    return {
      words, language, say, human,
      passage(id) {
        if (!passages.has(id)) {
          const read = client.passage(id);
          read.catch(() => passages.delete(id));
          passages.set(id, read);
        }
        return passages.get(id)!;
      },
      askFor: (only) => void ask(turn.question, only, true),
      async rate(answer, verdict, reason) {
        emit("feedback", { answer_id: answer.id, verdict, reason });
        await client.rate(answer.id, verdict, reason);
      },
    };
  }

  function bringUp(turn: Turn, focus = false): void {
    const scroller = scrollerOf(turn.node);
    const top = turn.node.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
    scroller.scrollTop += top + 2; // its upper line would double the header's
    if (focus) turn.node.querySelector<HTMLElement>(".asked")!.focus({ preventScroll: true });
  }

  /** Say something to who listens; `shown`: it is not in sight elsewhere. */
  function say(text: string, shown = false): void {
    live.append(h("p", {}, text));
    if (shown) bound.textContent = text;
  }

  async function clear(): Promise<void> {
    running?.abort();
    try {
      if (conversation) await client.forget(conversation);
    } catch (error) {
      if (!(error instanceof Problem && error.trouble === "gone")) return say(words.unreached, true);
    }
    conversation = "";
    turns = [];
    remember();
    live.replaceChildren();
    say(words.cleared);
    home();
    input.focus();
  }

  // ---- the exchange that is asked about

  function setExchange(name: string | null): void {
    exchange = name ?? "";
    remember();
    showBound();
  }

  function showBound(): void {
    if (!panel) return;
    bound.replaceChildren(...(exchange ? [h("span", {}, fill(words.only, { exchange })),
      h("button", { type: "button", class: "tool", "aria-label": words.any, title: words.any, click: () => {
        setExchange("");
        input.focus();
      } }, icon("close"))] : []));
  }

  // ---- listening

  function emit(name: string, detail: unknown = {}): void {
    for (const listener of listeners.get(name) ?? []) listener(detail);
    host.dispatchEvent(new CustomEvent(`citedesk-${name}`, { detail, bubbles: true, composed: true }));
  }

  function on(name: string, listener: (detail: unknown) => void): () => void {
    if (!listeners.has(name)) listeners.set(name, new Set());
    listeners.get(name)!.add(listener);
    return () => void listeners.get(name)!.delete(listener);
  }

  window.visualViewport?.addEventListener("resize", fit);
  window.visualViewport?.addEventListener("scroll", fit);
  sheet.addEventListener("change", fit);
  window.addEventListener("online", () => {
    const last = turns.at(-1);
    if (last?.problem instanceof Problem && last.problem.trouble === "offline") void run(last);
  });
  new MutationObserver(relabel).observe(document.documentElement, { attributeFilter: ["lang"] });
  relabel();
  if (keptOpen || !floating) void open(true);

  return {
    open: () => void open(),
    close,
    async ask(question: string, given: { exchange?: string } = {}) {
      await open();
      return ask(question, given.exchange ?? "");
    },
    on,
    setExchange,
    setLanguage(code: string | null) {
      chosenLanguage = code;
      relabel();
    },
    relabel,
  };
}
