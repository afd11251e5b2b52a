/** Talking to the service: with the key, without cookies. */

import type { AnswerEvent, Options, Suggestion, Turn } from "./types";

export type Trouble = "offline" | "down" | "busy" | "limited" | "refused" | "gone" | "said";

/** Something that brought no answer; `seconds` says when to come back, where the service does. */
export class Problem extends Error {
  constructor(readonly trouble: Trouble, detail = "", readonly seconds = 0) {
    super(detail);
  }
}

/** Seconds to wait where the service says "too many" without saying until when. */
const PATIENCE = 10;
const LONGEST_ADDRESS = 2048; // as in service/api/models.py

export type Client = ReturnType<typeof makeClient>;

export function makeClient(options: Options) {
  const page = () => options.pageUrl || address();

  async function request(path: string, given: RequestInit = {}): Promise<Response> {
    let response;
    try {
      response = await fetch(`${options.service}v1/${path}`, {
        ...given, credentials: "omit", cache: "no-store",
        headers: { Authorization: `Bearer ${options.key}`, "Content-Type": "application/json", ...given.headers },
      });
    } catch (error) {
      throw given.signal?.aborted ? error : unreached();
    }
    if (response.ok) return response;
    const detail = String((await response.json().catch(() => ({})))?.detail ?? "");
    throw problemOf(response, detail);
  }

  const post = (path: string, body: object, more: RequestInit = {}) =>
    request(path, { ...more, method: "POST", body: JSON.stringify(body) });
  const json = async (path: string, given?: RequestInit) => (await request(path, given)).json();

  return {
    async begin(): Promise<string> {
      return (await (await post("conversations", { page_url: page() })).json()).id;
    },
    async *ask(id: string, question: string, exchange: string, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
      const body = { question, page_url: page(), ...(exchange && { exchange }) };
      const more = { signal, headers: { Accept: "text/event-stream" } };
      yield* eventsOf(await post(`conversations/${id}/questions`, body, more), signal);
    },
    turns: async (id: string): Promise<Turn[]> => (await json(`conversations/${id}`)).turns,
    forget: (id: string) => request(`conversations/${id}`, { method: "DELETE", keepalive: true }),
    rate: (answer_id: string, verdict: string, reason: string) => post("feedback", { answer_id, verdict, reason }),
    passage: async (id: string): Promise<string> => (await json(`passages/${encodeURIComponent(id)}`)).text,
    async suggest(typed: string, exchange: string, limit: number, signal: AbortSignal): Promise<Suggestion[]> {
      const asked = new URLSearchParams({ q: typed, limit: String(limit) });
      const here = page();
      if (here) asked.set("page_url", here);
      if (exchange) asked.set("exchange", exchange);
      return (await json(`suggest?${asked}`, { signal })).suggestions;
    },
  };
}

async function* eventsOf(response: Response, signal: AbortSignal): AsyncGenerator<AnswerEvent> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const parts = (kept + value).split("\n\n");
      kept = parts.pop()!;
      for (const part of parts) {
        const name = /^event: (.*)$/m.exec(part)?.[1];
        const data = JSON.parse(/^data: (.*)$/m.exec(part)?.[1] ?? "{}");
        if (name === "error") throw new Problem("down", data.detail);
        yield { ...data, name };
        if (name === "done") return;
      }
    }
  } catch (error) {
    throw error instanceof Problem || signal.aborted ? error : unreached();
  }
  throw new Problem("down");
}

function unreached(): Problem {
  return new Problem(navigator.onLine ? "down" : "offline");
}

function problemOf({ status, headers }: Response, detail: string): Problem {
  const seconds = Number(headers.get("Retry-After")) || 0;
  // The asker is told kindly, and whoever runs the page why.
  if (status >= 500 || [401, 403, 429].includes(status)) console.warn(`citedesk: ${status} ${detail}`);
  if (status === 429) return new Problem("limited", detail, seconds || PATIENCE);
  if (status === 401 || status === 403) return new Problem("refused", detail);
  if (status === 404) return new Problem("gone", detail);
  if (status === 503 && seconds) return new Problem("busy", detail, seconds);
  return new Problem(status < 500 ? "said" : "down", detail, seconds);
}

/** Give the page's address: a fragment belongs to it only where pages are told apart by it. */
function address(): string | undefined {
  const { href, hash } = location;
  if (!/^https?:/.test(href)) return undefined;
  const here = /^#[!/]/.test(hash) ? href : href.slice(0, href.length - hash.length);
  return here.length > LONGEST_ADDRESS ? undefined : here;
}
