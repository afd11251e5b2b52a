// The conversation: what is asked, what is sent, and where the answers go. answer.js draws them.

import { drawAnswer, element, spoken } from "./answer.js";

const LONGEST = 2000; // as in service/question.py
const MOST_HISTORY = 20; // as in service/api/models.py
const COUNTED_FROM = 1800;
const KEY = document.querySelector('meta[name="citedesk-key"]').content;
const EXCHANGES = ["Binance", "Bybit", "Coinbase", "Kraken", "OKX"];

const [form, field, exchangeChoice, problemLine, hint, thread, examples, startOverButton, announcement, fieldLabel] = [
  "ask", "question", "exchange", "question-problem", "question-hint", "thread", "examples", "start-over",
  "announcement", "question-label",
].map((id) => document.getElementById(id));
const firstLabel = fieldLabel.textContent;
const firstHint = hint.textContent;
const firstPlaceholder = field.placeholder;

/** The turns of this visit, oldest first: `{question, exchange, done, place}`; kept nowhere else. */
let turns = [];
/** The AbortController of the request that is under way, if one is. */
let running = null;

// ---- asking

/** A request that brought no answer; `again` tells whether asking the same again can help. */
class Problem extends Error {
  constructor(title, detail, again) {
    super(detail);
    this.title = title;
    this.again = again;
  }
}

function ask(question, exchange) {
  const turn = { question, exchange, done: false, place: drawTurn(question, exchange) };
  turns.push(turn);
  thread.append(turn.place);
  showConversation(true);
  run(turn);
  return turn;
}

/** Send a turn's question; a newer question stops the one before it. */
async function run(turn) {
  running?.abort();
  const control = new AbortController();
  running = control;
  showPending(turn);
  const outcome = await outcomeOf(turn, control.signal);
  if (running === control) running = null;
  if (control.signal.aborted) showStopped(turn);
  else if (outcome instanceof Problem) showProblem(turn, outcome);
  else showAnswer(turn, outcome);
}

async function outcomeOf(turn, signal) {
  try {
    const response = await fetch("v1/query", {
      method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${KEY}` },
      body: JSON.stringify(requestOf(turn)), signal,
    });
    return response.ok ? await response.json() : await problemOf(response);
  } catch {
    // fetch and json fail alike when the connection does; an abort is told from it by its signal.
    return new Problem("The server could not be reached", "Check your connection, then ask again.", true);
  }
}

async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  const again = response.status >= 500 || response.status === 429;
  return new Problem(
    body.title ?? "The request failed", body.detail ?? `The server answered with status ${response.status}.`, again,
  );
}

function requestOf(turn) {
  const request = { question: turn.question, history: historyBefore(turn) };
  return turn.exchange ? { ...request, exchange: turn.exchange } : request;
}

/** Give the earlier questions that were understood; one asked again is not its own history. */
function historyBefore(turn) {
  const earlier = turns.slice(0, turns.indexOf(turn)).filter(({ done, question }) => done && question !== turn.question);
  return earlier.map(({ question }) => question).slice(-MOST_HISTORY);
}

// ---- showing a turn

function drawTurn(question, exchange) {
  const heading = element("h2", { class: "asked", tabindex: -1, dir: "auto" }, question);
  const chosen = exchange ? element("p", { class: "chosen" }, `asked for ${exchange}`) : null;
  return element("article", { class: "turn" }, heading, chosen, element("div", { class: "reply" }));
}

function reply(turn, ...parts) {
  const place = turn.place.querySelector(".reply");
  place.removeAttribute("aria-busy");
  place.replaceChildren(...parts);
  return place;
}

function showPending(turn) {
  announcement.textContent = ""; // so that the same answer twice is read twice
  const lines = element("div", { class: "lines", "aria-hidden": "true" }, element("i"), element("i"), element("i"));
  reply(turn, element("p", { class: "pending" }, "Reading the help articles…"), lines).setAttribute("aria-busy", "true");
  bringIntoView(turn);
}

function showAnswer(turn, answer) {
  turn.done = true;
  offerExchanges(answer);
  reply(turn, ...drawAnswer(answer, (exchange) => askFor(turn.question, exchange)));
  announcement.textContent = spoken(answer);
  bringIntoView(turn);
}

function showProblem(turn, problem) {
  const again = problem.again ? askAgain(turn) : null;
  const parts = [element("h3", { class: "status" }, problem.title), element("p", { class: "said" }, problem.message), again];
  reply(turn, element("div", { class: "failed" }, ...parts.filter(Boolean)));
  announcement.textContent = `${problem.title}. ${problem.message}`;
  bringIntoView(turn);
}

function showStopped(turn) {
  reply(turn, element("p", { class: "pending" }, "Stopped: a newer question was asked."), askAgain(turn));
}

function askAgain(turn) {
  const button = element("button", { type: "button", class: "again" }, "Ask again");
  button.addEventListener("click", () => {
    run(turn);
    turn.place.querySelector(".asked").focus({ preventScroll: true }); // the button is gone, and the focus with it
  });
  return button;
}

function bringIntoView(turn) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  turn.place.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
}

/** Ask the same for one exchange, and stay with it for what follows. */
function askFor(question, exchange) {
  offer(exchange);
  exchangeChoice.value = exchange;
  ask(question, exchange).place.querySelector(".asked").focus({ preventScroll: true });
}

// ---- the form

function submit() {
  const question = field.value.trim();
  const problem = problemWith(question);
  showFieldProblem(problem);
  if (problem) return field.focus();
  field.value = "";
  countCharacters();
  const { place } = ask(question, exchangeChoice.value);
  // Where typing opens a keyboard over half the screen, the answer gets the room.
  if (matchMedia("(pointer: coarse)").matches) place.querySelector(".asked").focus({ preventScroll: true });
  else field.focus({ preventScroll: true });
}

function problemWith(question) {
  if (!question) return "Type a question first.";
  const length = lengthOf(question);
  if (length <= LONGEST) return "";
  return `The question has ${count(length)} characters; at most ${count(LONGEST)} can be asked at once.`;
}

/** Count as the server does: characters, not UTF-16 units. */
function lengthOf(text) {
  return [...text].length;
}

function count(number) {
  return number.toLocaleString("en");
}

function showFieldProblem(problem) {
  problemLine.textContent = problem;
  if (problem) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

function countCharacters() {
  const length = lengthOf(field.value.trim());
  const counted = length >= COUNTED_FROM;
  hint.textContent = counted ? `${count(length)} of ${count(LONGEST)}` : firstHint;
  hint.toggleAttribute("data-counted", counted);
}

function offerExchanges({ status, scope }) {
  // Where nothing is covered the scope may name an exchange without any article: no use offering that one.
  if (status === "answered" || status === "clarify") scope.exchanges.forEach(offer);
}

function offer(exchange) {
  const options = [...exchangeChoice.options];
  if (options.some(({ value }) => value === exchange)) return;
  const next = options.find(({ value }) => value && value.localeCompare(exchange) > 0) ?? null;
  exchangeChoice.add(new Option(exchange, exchange), next);
}

// ---- the page

function showConversation(begun) {
  document.body.toggleAttribute("data-conversation", begun);
  examples.hidden = begun;
  startOverButton.hidden = !begun;
  fieldLabel.textContent = begun ? "Ask a follow-up" : firstLabel;
  field.placeholder = begun ? "In your own words" : firstPlaceholder;
  field.rows = begun ? 1 : 2;
}

function startOver() {
  running?.abort();
  turns = [];
  thread.replaceChildren();
  announcement.textContent = "";
  exchangeChoice.value = "";
  showFieldProblem("");
  showConversation(false);
  field.focus();
}

/** Keep what has the focus clear of the form that stays at the bottom (WCAG 2.2, 2.4.11). */
function keepClearOfForm() {
  document.documentElement.style.setProperty("--form-height", `${form.offsetHeight}px`);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
field.addEventListener("keydown", (event) => {
  // Enter that ends the composing of a Chinese or Japanese word is not meant for us.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  submit();
});
field.addEventListener("input", () => {
  countCharacters();
  showFieldProblem("");
});
examples.addEventListener("click", ({ target }) => {
  const chip = target.closest("button");
  if (chip) ask(chip.textContent, exchangeChoice.value).place.querySelector(".asked").focus({ preventScroll: true });
});
startOverButton.addEventListener("click", startOver);
EXCHANGES.forEach(offer);
new ResizeObserver(keepClearOfForm).observe(form);
