// Draws an Answer of POST /v1/query. Whatever comes from the server is set as text, never as markup.

const TRUST = {
  official: "official page",
  partner: "page of a partner of the exchange",
  aggregator: "aggregator, not official",
  unknown: "not an official page",
};
const HEADING = { clarify: "One more thing", not_covered: "Not covered" };
const SCOPE_SOURCE = { history: "from your earlier question", caller: "as chosen", page: "from the page you are on" };

// The same shapes that service/evidence.py tells apart.
const STEP = /^\s*(\d+)[.)]\s+/;
const ITEM = /^\s*[-*•]\s+/;
const CELLS = " | ";

// "No." alone says too little: the sentence after such a short one shares its paragraph.
const SHORT = 20;
// A longer last word than this may need to wrap on a narrow screen, so its mark is not tied to it.
const LONGEST_TIED_WORD = 18;

let proofs = 0;

/** Make an element: attributes as given (`false` and `null` leave one out), strings as text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Draw an answer; `askFor(exchange)` is called when the asker says which exchange is meant. */
export function drawAnswer(answer, askFor) {
  const parts = answer.status === "answered" ? drawGroups(answer) : drawOtherwise(answer, askFor);
  return [...parts, drawNotices(answer.notices), drawRelated(answer), drawFacts(answer)].filter((part) => part !== null);
}

/** Say an answer in one run of words, for those who hear it. */
export function spoken(answer) {
  if (answer.status !== "answered") return [HEADING[answer.status], answer.text].filter(Boolean).join(". ");
  const several = answer.scope.exchanges.length > 1;
  const said = groupsOf(answer).map(({ exchange, sentences }) => {
    const text = sentences.map((sentence) => sentence.text).join(" ");
    return several && exchange ? `${exchange}: ${text}` : text;
  });
  const notices = answer.notices.map((notice) => notice.message);
  const count = answer.citations.length;
  return [...said, ...notices, count === 1 ? "One passage as proof." : `${count} passages as proof.`].join(" ");
}

/** Give an address that may be opened: the web's own only, so that no `javascript:` or `file:` becomes a link. */
export function webAddress(url) {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  return parsed && ["http:", "https:"].includes(parsed.protocol) ? url : null;
}

// ---- an answer, exchange by exchange

function groupsOf(answer) {
  const cited = new Map(answer.citations.map((citation) => [citation.number, citation]));
  const groups = [];
  for (const { text, citations } of answer.sentences) {
    const sentence = { text, citations: citations.map((number) => cited.get(number)).filter(Boolean) };
    const exchange = sentence.citations[0]?.exchange ?? null;
    if (groups.at(-1)?.exchange !== exchange) groups.push({ exchange, sentences: [] });
    groups.at(-1).sentences.push(sentence);
  }
  return groups;
}

function drawGroups(answer) {
  const groups = groupsOf(answer);
  const products = answer.scope.products.join(", ");
  if (groups.length === 1) return [drawScope(groups[0].exchange, products, answer.scope.source), ...drawGroup(groups[0])];
  const drawn = groups.map((group) => {
    return element("section", { class: "group" }, drawScope(group.exchange, "", ""), ...drawGroup(group));
  });
  // The products are those of the whole answer: no group can claim them for itself.
  const overview = [`${answer.scope.exchanges.length} exchanges`, products].filter(Boolean).join(" · ");
  return [element("p", { class: "scope" }, overview), ...drawn];
}

function drawScope(exchange, products, source) {
  const rest = [products, SCOPE_SOURCE[source]].filter(Boolean).join(" · ");
  return element(
    "h3", { class: "scope" }, element("span", { class: "exchange" }, exchange ?? "No exchange named"),
    rest ? element("span", { class: "products" }, rest) : null,
  );
}

function drawGroup({ sentences }) {
  return blocksOf(sentences).map((block, position) => {
    return element("div", { class: "block" }, ...DRAW[block.shape](block.sentences, position === 0));
  });
}

/** Put neighbours of one shape and one passage together: prose, steps, list items; the rows of a table of any passage. */
function blocksOf(sentences) {
  const blocks = [];
  for (const sentence of sentences) {
    const shape = shapeOf(sentence.text);
    const key = shape === "row" ? headersOf(sentence.text).join(CELLS) : `${shape} ${numbersOf(sentence)}`;
    if (blocks.at(-1)?.key !== key) blocks.push({ key, shape, sentences: [] });
    blocks.at(-1).sentences.push(sentence);
  }
  return blocks;
}

function numbersOf({ citations }) {
  return citations.map(({ number }) => number).join();
}

function shapeOf(text) {
  if (text.includes(CELLS)) return "row";
  if (STEP.test(text)) return "step";
  return ITEM.test(text) ? "item" : "prose";
}

const DRAW = { prose: drawProse, step: drawSteps, item: drawItems, row: drawRows };

function drawProse(sentences, leads) {
  return paragraphsOf(sentences).map((paragraph, position) => {
    return drawParagraph(paragraph, leads && position === 0 ? "sentence lead" : "sentence");
  });
}

function paragraphsOf(sentences) {
  const paragraphs = [];
  for (const sentence of sentences) {
    if (paragraphs.at(-1)?.at(-1).text.length <= SHORT) paragraphs.at(-1).push(sentence);
    else paragraphs.push([sentence]);
  }
  return paragraphs;
}

function drawParagraph(sentences, kind) {
  const proved = sentences.map((sentence) => ({ text: sentence.text, ...drawProofs(sentence) }));
  const words = proved.flatMap(({ text, marks }, position) => [position ? " " : "", ...tied(text, marks)]);
  const panels = proved.flatMap((each) => each.panels);
  return element("div", { class: kind }, element("p", { dir: "auto" }, ...words), ...panels);
}

function drawSteps(sentences) {
  const items = sentences.map((sentence) => drawItem(sentence, STEP, { value: STEP.exec(sentence.text)[1] }));
  return [element("ol", { class: "steps" }, ...items)];
}

function drawItems(sentences) {
  return [element("ul", { class: "items" }, ...sentences.map((sentence) => drawItem(sentence, ITEM, {})))];
}

function drawItem(sentence, marker, attributes) {
  const { marks, panels } = drawProofs(sentence);
  const text = sentence.text.replace(marker, "");
  return element("li", { class: "sentence", dir: "auto", ...attributes }, ...tied(text, marks), ...panels);
}

/** Tie the marks to the last word, so that none stands alone at the beginning of a line. */
function tied(text, marks) {
  const trimmed = text.trimEnd();
  const cut = trimmed.lastIndexOf(" ") + 1;
  if (trimmed.length - cut > LONGEST_TIED_WORD) return [trimmed, " ", ...marks];
  return [trimmed.slice(0, cut), element("span", { class: "tied" }, trimmed.slice(cut), ...marks)];
}

// ---- table rows: "Header: cell | Header: cell"; a first cell without a header names the row

function cellsOf(text) {
  return text.split(CELLS).map((cell) => {
    const colon = cell.indexOf(": ");
    return colon < 0 ? { header: "", text: cell } : { header: cell.slice(0, colon), text: cell.slice(colon + 2) };
  });
}

function headersOf(text) {
  return cellsOf(text).map(({ header }) => header);
}

function drawRows(sentences) {
  return sentences.length === 1 ? drawRecord(sentences[0]) : [drawTable(sentences)];
}

/** Draw a single row on its side: it reads better than a table of one line, and fits a narrow screen. */
function drawRecord(sentence) {
  const { marks, panels } = drawProofs(sentence);
  const rows = cellsOf(sentence.text).map(({ header, text }, position, all) => {
    const content = position === all.length - 1 ? tied(text, marks) : [text];
    if (!header) return element("tr", {}, element("th", { scope: "rowgroup", colspan: 2, dir: "auto" }, ...content));
    return element(
      "tr", {}, element("th", { scope: "row", dir: "auto" }, header), element("td", { dir: "auto" }, ...content),
    );
  });
  return [element("div", {}, element("table", { class: "record" }, element("tbody", {}, ...rows)), ...panels)];
}

function drawTable(sentences) {
  const headers = headersOf(sentences[0].text).map((header) => element("th", { scope: "col", dir: "auto" }, header));
  const head = element("tr", {}, ...headers);
  const table = element(
    "table", {}, element("thead", {}, head), element("tbody", {}, ...sentences.flatMap(drawTableRow)),
  );
  // A wide table scrolls in its own box, which the keyboard must be able to reach.
  return element("div", { class: "scroller", tabindex: 0, role: "group", "aria-label": "Table" }, table);
}

function drawTableRow(sentence) {
  const cells = cellsOf(sentence.text);
  const { marks, panels } = drawProofs(sentence);
  const row = cells.map(({ text }, position) => {
    const content = position === cells.length - 1 ? tied(text, marks) : [text];
    return element("td", { dir: "auto" }, ...content);
  });
  const proofRow = element("tr", { class: "proof-row" }, element("td", { colspan: cells.length }, ...panels));
  return [element("tr", {}, ...row), proofRow];
}

// ---- proofs

function drawProofs(sentence) {
  const marks = [];
  const panels = [];
  for (const citation of sentence.citations) {
    const id = `proof-${++proofs}`;
    const mark = drawMark(citation, id);
    const panel = drawProof(citation, sentence.text, id);
    mark.addEventListener("click", () => toggle(mark, panel));
    panel.addEventListener("keydown", (event) => closeOnEscape(event, mark, panel));
    mark.addEventListener("keydown", (event) => closeOnEscape(event, mark, panel));
    marks.push(mark);
    panels.push(panel);
  }
  return { marks, panels };
}

function drawMark(citation, id) {
  const label = `${citation.number}: proof from ${citation.title}`;
  return element(
    "button", { type: "button", class: "mark", "aria-expanded": "false", "aria-controls": id, "aria-label": label },
    String(citation.number),
  );
}

function toggle(mark, panel) {
  panel.hidden = !panel.hidden;
  mark.setAttribute("aria-expanded", String(!panel.hidden));
  if (!panel.hidden) panel.scrollIntoView({ block: "nearest" });
}

function closeOnEscape(event, mark, panel) {
  if (event.key !== "Escape" || panel.hidden) return;
  toggle(mark, panel);
  mark.focus();
}

function drawProof(citation, sentence, id) {
  const trust = TRUST[citation.trust] ? citation.trust : "unknown";
  const url = webAddress(citation.url);
  return element(
    "div", { class: "proof", id, hidden: true, role: "group", "aria-label": `Proof ${citation.number}` },
    element("blockquote", { dir: "auto" }, ...highlighted(citation.quote, sentence)),
    element("p", { class: "title", dir: "auto" }, citation.title),
    element(
      "p", { class: "source" }, citation.exchange ? `${citation.exchange} · ` : null,
      element("span", { "data-trust": trust }, TRUST[trust]), " · ", drawDate(citation.updated),
    ),
    url ? element("p", {}, outwardLink(url, "Open the page at this sentence")) : null,
  );
}

/** Highlight the sentence in its quote; a quote is a run of sentences, and this says which of them is meant. */
function highlighted(quote, sentence) {
  const start = quote.indexOf(sentence);
  if (start < 0) return [element("mark", {}, quote)];
  const end = start + sentence.length;
  return [quote.slice(0, start), element("mark", {}, quote.slice(start, end)), quote.slice(end)];
}

function drawDate(iso) {
  const date = iso ? new Date(iso) : null;
  if (!date || Number.isNaN(date.getTime())) return iso ? `dated ${iso}` : "no date given";
  const words = date.toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  return element("time", { datetime: iso }, `dated ${words}`);
}

function outwardLink(url, text) {
  return element(
    "a", { href: url, target: "_blank", rel: "noopener noreferrer", dir: "auto" }, text,
    element("span", { class: "unseen" }, " (opens a new tab)"),
  );
}

// ---- what is said instead of an answer, and what stands under every answer

function drawOtherwise(answer, askFor) {
  const heading = HEADING[answer.status];
  return [
    heading ? element("h3", { class: "status" }, heading) : null,
    element("p", { class: "said", dir: "auto" }, answer.text),
    answer.status === "clarify" ? drawChoices(answer.scope.exchanges, askFor) : null,
  ];
}

function drawChoices(exchanges, askFor) {
  const chips = exchanges.map((exchange) => {
    return element("li", {}, element("button", { type: "button", click: () => askFor(exchange) }, exchange));
  });
  return element("ul", { class: "chips", "aria-label": "Ask again for one exchange" }, ...chips);
}

function drawNotices(notices) {
  if (!notices.length) return null;
  const items = notices.map((notice) => element("li", { "data-code": notice.code, dir: "auto" }, notice.message));
  return element("ul", { class: "notices", "aria-label": "Please note" }, ...items);
}

function drawRelated(answer) {
  if (!answer.related.length) return null;
  const items = answer.related.map((related) => {
    const url = webAddress(related.url);
    const title = url ? outwardLink(url, related.title) : element("bdi", {}, related.title);
    return element("li", {}, title, related.exchange ? element("span", { class: "source" }, ` · ${related.exchange}`) : null);
  });
  const heading = answer.status === "answered" ? "See also" : "Nearest articles";
  return element("div", { class: "related" }, element("h4", {}, heading), element("ul", {}, ...items));
}

function drawFacts({ status, confidence, timings, snapshot_id: snapshot }) {
  const facts = [
    // A request is declined by its wording: no article was weighed, so there is nothing to be sure of.
    status === "declined" ? null : `confidence in an answer: ${sureness(confidence)} (${confidence.toFixed(2)})`,
    timings.total === undefined ? null : `${Math.round(timings.total)} ms`,
    `snapshot ${snapshot}`,
    "not advice",
  ];
  return element("p", { class: "facts" }, facts.filter(Boolean).join(" · "));
}

function sureness(confidence) {
  if (confidence >= 0.9) return "high";
  return confidence >= 0.5 ? "fair" : "low";
}
