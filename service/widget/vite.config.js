import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vite";

const here = import.meta.dirname;
const words = readdirSync(join(here, "words")).filter((name) => name.endsWith(".json")).sort();

/** Tells one state of the words from another, so that a browser may keep each for good. */
function versionOfWords() {
  const hash = createHash("sha256");
  for (const name of words) hash.update(name).update(readFileSync(join(here, "words", name)));
  return hash.digest("hex").slice(0, 8);
}

/** Makes ../static/widget.js, and copies each language but English, which is in it, beside it. */
export default defineConfig({
  root: here,
  logLevel: "warn",
  publicDir: false,
  define: { WORDS_VERSION: JSON.stringify(versionOfWords()) },
  build: {
    outDir: process.env.WIDGET_OUT ?? join(here, "..", "static"),
    emptyOutDir: false,
    target: ["chrome111", "edge111", "firefox114", "safari16.4"],
    sourcemap: false,
    reportCompressedSize: false,
    lib: { entry: join(here, "src", "main.ts"), formats: ["iife"], name: "citedeskWidget", fileName: () => "widget.js" },
  },
  plugins: [
    {
      name: "words",
      writeBundle({ dir }) {
        mkdirSync(dir, { recursive: true });
        for (const name of words) {
          if (name !== "en.json") copyFileSync(join(here, "words", name), join(dir, `widget-${name}`));
        }
      },
    },
  ],
});
