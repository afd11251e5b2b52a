/** What the script tag starts: the element, the button on the page, `window.citedesk`. */

import { makeChat, type Chat } from "./chat";
import css from "./style.css?inline";

const script = document.currentScript as HTMLScriptElement | null;
const served = script?.src ? new URL(".", script.src).href : `${location.origin}/`;

/** Style a shadow root without a style element, which a content security policy may forbid. */
function styled(shadow: ShadowRoot): (more: string) => void {
  try {
    const [sheet, changing] = [new CSSStyleSheet(), new CSSStyleSheet()];
    sheet.replaceSync(css);
    shadow.adoptedStyleSheets = [sheet, changing];
    return (more) => changing.replaceSync(more);
  } catch {
    const style = document.createElement("style");
    style.textContent = css;
    shadow.append(style);
    return () => {};
  }
}

class CitedeskChat extends HTMLElement {
  static observedAttributes = ["data-exchange", "data-language", "data-key"];
  #chat: Chat | null = null;

  connectedCallback(): void {
    const { key = "", service = served, contact = "", contactLabel = "", pageUrl = "" } = this.dataset;
    if (this.#chat || !key) return;
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: "open" });
    const base = new URL(service.endsWith("/") ? service : `${service}/`, location.href).href;
    this.#chat = makeChat(this, shadow, { service: base, key, contact, contactLabel, pageUrl }, styled(shadow));
  }

  attributeChangedCallback(name: string, _: string | null, value: string | null): void {
    if (!this.#chat) {
      if (this.isConnected) this.connectedCallback();
    } else if (name === "data-exchange") this.#chat.setExchange(value);
    else this.#chat.relabel();
  }

  open(): void {
    this.#chat?.open();
  }
  close(): void {
    this.#chat?.close();
  }
  async ask(question: string, given?: { exchange?: string }): Promise<unknown> {
    return this.#chat?.ask(question, given) ?? null;
  }
  on(name: string, listener: (detail: unknown) => void): () => void {
    return this.#chat?.on(name, listener) ?? (() => {});
  }
  setExchange(name: string | null): void {
    this.#chat?.setExchange(name);
  }
  setLanguage(code: string | null): void {
    this.#chat?.setLanguage(code);
  }
}

function start(): void {
  let chat = document.querySelector<CitedeskChat>("citedesk-chat");
  if (script?.dataset.key && !document.querySelector("citedesk-chat[data-floating]")) {
    chat = document.createElement("citedesk-chat") as CitedeskChat;
    Object.assign(chat.dataset, script.dataset, { floating: "", service: script.dataset.service ?? served });
    document.body.append(chat);
  }
  if (chat) (window as unknown as { citedesk: CitedeskChat }).citedesk = chat;
  document.dispatchEvent(new CustomEvent("citedesk-ready", { detail: chat }));
}

// A page may hold the script tag twice: the first one that has a key makes the button.
const known = customElements.get("citedesk-chat");
if (!known) customElements.define("citedesk-chat", CitedeskChat);
if (!known || script?.dataset.key) {
  if (document.body && document.readyState !== "loading") start();
  else document.addEventListener("DOMContentLoaded", start);
}
