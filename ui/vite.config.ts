import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const here = import.meta.dirname;
const out = resolve(here, "../actors/web/static");
const SOURCES = ["index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "public", "src"];

/** Generated shapes, of which nothing reaches the bundle. */
const TYPES_ONLY = "src/wire/generated.ts";

function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => files(join(path, name)));
}

/** The same sum as tests/ui/test_bundle.py: path, NUL, text with LF line ends, NUL, over the sorted paths. */
function sourceHash(): string {
  const sum = createHash("sha256");
  const paths = SOURCES.flatMap((name) => files(join(here, name)));
  const named = paths.map((path) => [relative(here, path).split(sep).join("/"), path] as const).filter(([name]) => name !== TYPES_ONLY);
  for (const [name, path] of named.sort((a, b) => (a[0] < b[0] ? -1 : 1))) {
    sum.update(`${name}\0${readFileSync(path, "utf8").replaceAll("\r\n", "\n")}\0`);
  }
  return sum.digest("hex");
}

/** Writes build.json, by which the test suite knows, without Node, that the committed bundle is that of the sources. */
function buildRecord(): Plugin {
  return {
    name: "build-record",
    apply: "build",
    writeBundle(options) {
      const dir = options.dir ?? out;
      const sums = Object.fromEntries(
        files(dir)
          .filter((path) => !path.endsWith("build.json"))
          .map((path) => [relative(dir, path).split(sep).join("/"), createHash("sha256").update(readFileSync(path)).digest("hex")])
          .sort(),
      );
      writeFileSync(join(dir, "build.json"), `${JSON.stringify({ source_hash: sourceHash(), files: sums }, null, 2)}\n`);
    },
  };
}

const target = process.env["WATCHKEEPER_URL"] ?? "http://127.0.0.1:8700";
const browsers = ["chrome111", "firefox114", "safari16.4"];

export default defineConfig(({ mode }) =>
  mode === "testkit"
    ? {
        // The pure parts as one classic script, for the tests that run them in a real browser from Python.
        publicDir: false,
        build: {
          target: browsers,
          outDir: resolve(here, "../tests/ui"),
          emptyOutDir: false,
          minify: false,
          lib: { entry: join(here, "src/testkit.ts"), formats: ["iife"], name: "TK", fileName: () => "testkit.js" },
          rolldownOptions: { output: { banner: `/* built from ui/src by \`npm run build\`; sources ${sourceHash()} */` } },
        },
      }
    : {
        plugins: [react(), buildRecord()],
        build: {
          target: browsers,
          outDir: out,
          emptyOutDir: true,
          assetsInlineLimit: 0,
          modulePreload: { polyfill: false },
          reportCompressedSize: false,
        },
        server: {
          host: "127.0.0.1",
          port: 5173,
          proxy: {
            "/api": { target },
            "/ws": { target, ws: true, rewriteWsOrigin: true },
          },
        },
      },
);
