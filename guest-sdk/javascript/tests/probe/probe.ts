// Requests actions in every way that an operation has; its own worker answers.
import { TEXT, args, environment, lines, log, operation, outputLine, perform, performAll, sleep, submit } from "disperse/operation";
import { attempt, fetch, runProgram, reportQuota, worker, Permanent, Problem } from "disperse/worker";

export const handle = worker({
  async square(n: number) { if (n === 14) throw "no fourteen"; return n * n; },
  async about(x: unknown, kind: string) {
    const a = attempt();
    reportQuota({ remaining: 3, resets: 100 });
    const why: string[] = [];
    try { await fetch("https://example.com/", { headers: { A: "b" } }); } catch (e) { why.push((e as Problem).sort); }
    try { runProgram("/bin/ls", ["-l"]); } catch (e) { why.push((e as Problem).message); }
    console.log("hello", { a: 1 }, environment());
    return [kind, a.number, a.worker, why];
  },
  async odd(which: string) {
    if (which === "timer") await sleep(5);
    if (which === "any") await Promise.any([1, 2].map(async (n) => { throw new Permanent(`no ${n}`); }));
    if (which === "half") throw new Error("half of \ud83d");
    const itself = new Error("itself");
    itself.cause = itself;
    throw itself;
  },
});

export const { next, run, collect, finish } = operation({
  *tasks() {
    if (args().includes("trip")) throw new Error("no tasks");
    yield* ["abandon", "many", "sleep", "timeout", "forgot", "args", "all", "settled", "random", "random", "about", "text", "lost", "throw", "emoji é😀"];
    yield* ["race", "sleepers", "order", "option", "half", "bigint", "odd timer", "odd any", "odd half", "odd itself"]; },
  async run(task: string): Promise<any> {
    switch (task) {
      case "abandon": return await Promise.all([14, 1, 2].map(n => perform("square", n, { attempts: 1 })));
      case "many": { let s = 0; for (const x of await Promise.all(Array.from({ length: 3000 }, (_, i) => perform<number>("square", i + 20)))) s += x; return s; }
      case "sleep": return [await sleep(2500) >= 2500, Date.now() > 1e12];
      case "timeout": return await new Promise(resolve => { const t = setTimeout(() => resolve("wrong"), 10); clearTimeout(t); setTimeout(resolve, 20, "right"); });
      case "forgot": submit("square", 14, { attempts: 1 }); return await perform("square", 3);
      case "args": return args();
      case "all": return (await performAll<number>("square", Array.from({ length: 2500 }, (_, i) => i + 20))).length;
      case "settled": return (await performAll("square", [1, 14, "x"], { settled: true, attempts: 1 })).map(o => o.status);
      case "random": return [Math.random(), Math.random()];
      case "about": return await perform("about");
      case "text": return await perform("square", "12", { codec: TEXT });
      case "lost": await new Promise(() => {}); return 1;
      case "race": { let n = 0; for (; n < 1200; n++) await Promise.race([perform("square", 2), sleep(3_600_000)]); return n; }
      case "sleepers": await Promise.all(Array.from({ length: 5000 }, (_, i) => new Promise((resolve) => setTimeout(resolve, 500 - i / 10)))); return "awake";
      case "order": { const said: number[] = []; await Promise.all([30, 10, 20].map(async (ms) => { await sleep(ms); said.push(ms); })); return said; }
      case "option": return await perform("square", 2, { fuel: -1 });
      case "half": log.info("half of \ud83d"); throw new Error("half of \ud83d");
      case "bigint": return await perform("square", 10n).catch((refusal) => refusal.reason);
      case "throw": throw { odd: 1 };
      case "odd timer": case "odd any": case "odd half": case "odd itself": return await perform("odd", task.slice(4), { attempts: 1 });
      default: log.debug("d"); return task.length;
    }
  },
  collect(task, result, error) { outputLine(`${task}: ${error === undefined ? JSON.stringify(result) : "ERR " + error.replaceAll("\n", " | ")}`); },
  finish() { throw new Error("no end"); },
});
