const FAKES = {
  "disperse:guest/log": ["write"],
  "disperse:guest/output": ["write"],
  "disperse:guest/host-async": ["submit", "submitWith", "sleep"],
  "disperse:guest/attempt": ["current"],
  "disperse:guest/exec": ["run"],
  "disperse:guest/http-async": ["fetch"],
  "disperse:guest/quota": ["update"],
  "wasi:cli/environment": ["getEnvironment", "getArguments"],
  "wasi:cli/stdin": ["getStdin"],
  "wasi:random/random": ["getRandomBytes"],
};

export function resolve(specifier, context, next) {
  if (/^(disperse|wasi):/.test(specifier)) return { url: `fake:${specifier}`, shortCircuit: true };
  return next(specifier, context);
}

export function load(url, context, next) {
  if (!url.startsWith("fake:")) return next(url, context);
  const name = url.slice(5).replace(/@.*/, "");
  const source = FAKES[name]
    .map((item) => `export const ${item} = (...given) => globalThis.fakes[${JSON.stringify(`${name} ${item}`)}](...given);`)
    .join("\n");
  return { format: "module", source, shortCircuit: true };
}
