// The configuration for bundling components: `jco componentize ... --bundle --bundle-config node_modules/disperse/bundle.js`.
//
// Imports of the contract remain imports of the component. A table of lines is added, so that an error names a line of your
// source and not one of the bundle or of this SDK.

import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";

const OURS = ["common.js", "operation.js", "timers.js", "worker.js"];

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Returns for each line of the bundle [source, line], from the mappings of a source map. */
export function lineTable(mappings) {
  const table = [];
  let [source, line] = [0, 0];
  for (const group of mappings.split(";")) {
    let first;
    for (const segment of group.split(",")) {
      const fields = [];
      let [value, shift] = [0, 0];
      for (const digit of segment) {
        const bits = DIGITS.indexOf(digit);
        value |= (bits & 31) << shift;
        shift += 5;
        if (!(bits & 32)) {
          fields.push(value & 1 ? -(value >> 1) : value >> 1);
          [value, shift] = [0, 0];
        }
      }
      if (fields.length >= 4) {
        source += fields[1];
        line += fields[2];
        first ??= [source, line + 1];
      }
    }
    table.push(first ?? 0);
  }
  return table;
}

/** Returns the names of these sources, with empty ones for those of this SDK. They are recognised by their text, because their
 * paths depend on the installation. */
export function fileNames(sources, texts) {
  const ours = new Set(OURS.map((name) => readFileSync(new URL(name, import.meta.url), "utf8")));
  return sources.map((path, place) => (ours.has(texts?.[place]) ? "" : path.replace(/^.*\//, "")));
}

// The paths of jco's replacements for Node's modules. Imports within them are not the user's.
const STAND_INS = /[\\/]node_modules[\\/](@bytecodealliance|unenv)[\\/]/;

/** A plugin that rejects modules of Node that would call the host: jco adds imports to the WIT files for them, which no host
 * has. Others, such as `node:util`, are kept. */
export function refuseNode() {
  const imports = new Set();
  return {
    name: "disperse-node",
    resolveId: {
      order: "pre",
      handler(source, importer = "") {
        const isNode = source.startsWith("node:") || builtinModules.includes(source);
        if (isNode && !STAND_INS.test(importer)) imports.add(`${importer.replace(/^.*[\\/]/, "")} imports \`${source}\``);
        const host = /^jco:node\/([\w-]+)/.exec(source)?.[1];
        if (host === undefined) return null;
        const error = new Error(
          `\`node:${host}\` is not there, a component has no Node around it: ${[...imports].join(", ")}. The SDK has \`fetch\`, ` +
            "`runProgram` and `environment` for workers, `input`, `lines` and `output` for operations",
        );
        error.stack = "";
        throw error;
      },
    },
  };
}

export default {
  external: [/^disperse:/, /^wasi:/],
  output: { sourcemap: "inline" },
  plugins: [
    refuseNode(),
    {
      name: "disperse-lines",
      generateBundle(_options, bundle) {
        for (const chunk of Object.values(bundle)) {
          if (chunk.type !== "chunk" || !chunk.map) continue;
          const files = fileNames(chunk.map.sources, chunk.map.sourcesContent);
          const table = { files, lines: lineTable(chunk.map.mappings) };
          chunk.code = chunk.code.replace(/\n\/\/# sourceMappingURL=[^\n]*\s*$/, "\n");
          chunk.code += `globalThis.__disperse_lines=${JSON.stringify(table)};\n`;
        }
      },
    },
  ],
};
