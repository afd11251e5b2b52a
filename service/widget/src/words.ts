/** The interface's words: English is here, another language is read when the widget is opened. */

import english from "../words/en.json";

export type Words = typeof english;

/** What the button says, for it is there before anything is read. */
const LAUNCH: Record<string, string> = {
  en: "Ask for help", ar: "اطلب المساعدة", zh: "寻求帮助", es: "Pedir ayuda", ru: "Задать вопрос", tr: "Yardım al",
  vi: "Hỏi trợ giúp", pt: "Pedir ajuda", ja: "質問する", ko: "도움 요청", de: "Hilfe fragen", fr: "Demander de l’aide",
  id: "Minta bantuan", it: "Chiedi aiuto", uk: "Запитати", hi: "सहायता लें",
};
const read = new Map<string, Words>([["en", english]]);

/** Choose the first language of these that there are words in. */
export function pick(...codes: (string | null | undefined)[]): string {
  const bases = codes.map((code) => code?.toLowerCase().split(/[-_]/)[0] ?? "");
  return bases.find((base) => base in LAUNCH) ?? "en";
}

export function launchWord(language: string): string {
  return LAUNCH[language]!;
}

export function isRightToLeft(language: string): boolean {
  return language === "ar";
}

/** Give the words of a language, those that are here already if they have to be read first. */
export function wordsOf(language: string): Words {
  return read.get(language) ?? english;
}

/** Read the words of a language; without them the interface stays English. */
export async function readWords(service: string, language: string): Promise<void> {
  if (read.has(language)) return;
  try {
    const response = await fetch(`${service}widget/${language}.json?v=${WORDS_VERSION}`, { credentials: "omit" });
    if (response.ok) read.set(language, { ...english, ...(await response.json()) });
  } catch {
    // Offline, or not served here.
  }
}

/** Put values into a text: `{name}`. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}
