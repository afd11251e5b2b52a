/** What the service says; see service/answer.py and service/api/models.py. */

export type Trust = "official" | "partner" | "aggregator" | "unknown";
export type Status = "reading" | "answered" | "clarify" | "not_covered" | "declined";

export interface Citation {
  number: number;
  passage_id: string;
  article_id: string;
  url: string;
  title: string;
  exchange: string | null;
  trust: Trust;
  updated: string | null;
  quote: string;
  start: number;
  end: number;
}

export interface Sentence {
  text: string;
  citations: number[];
}

export interface Answer {
  id: string;
  status: Status;
  text: string;
  sentences: Sentence[];
  citations: Citation[];
  scope: { exchanges: string[]; products: string[]; source: string };
  notices: { code: string; message: string }[];
  related: { url: string; title: string; exchange: string | null }[];
}

export interface Turn {
  question: string;
  answer: Answer;
}

export interface Suggestion {
  question: string;
  exchange: string | null;
}

/** One event of an answer's stream, see service/api/events.py. */
export type AnswerEvent =
  | ({ name: "status" } & Partial<Answer>)
  | { name: "sentence"; text: string; numbers: number[]; citations: Citation[] }
  | { name: "related"; related: Answer["related"] }
  | { name: "done"; text: string; notices: Answer["notices"] };

export interface Options {
  /** The service's address, with a slash at its end. */
  service: string;
  key: string;
  /** Where a human is reached: a web address or `mailto:`. */
  contact: string;
  contactLabel: string;
  /** The page's address where it is known by another one than its own. */
  pageUrl: string;
}
