/** What a reload does not forget; where storage is blocked, it does. Nothing that was typed is kept here. */

export interface Kept {
  id: string;
  open: boolean;
  exchange: string;
}

export function recall(name: string): Kept {
  const nothing = { id: "", open: false, exchange: "" };
  try {
    return { ...nothing, ...JSON.parse(sessionStorage.getItem(name) ?? "{}") };
  } catch {
    return nothing;
  }
}

export function keep(name: string, kept: Kept): void {
  try {
    sessionStorage.setItem(name, JSON.stringify(kept));
  } catch {
    // Storage is blocked or full: the conversation ends with the page.
  }
}
