// Asks in every way that an operation has, and its own worker answers.
import { TEXT, args, environment, lines, log, operation, outputLine, perform, performAll, sleep, submit } from "disperse/operation";
import { attempt, fetch, runProgram, reportQuota, worker, Problem } from "disperse/worker";

export const handle = worker({
  async square(n: number) { if (n === 14) throw "no fourteen"; return n * n; },
  async who(x: unknown, kind: string) {
    const a = attempt();
    reportQuota({ remaining: 3, resets: 100 });
    const why: string[] = [];
    try { await fetch("https://example.com/", { headers: { A: "b" } }); } catch (e) { why.push((e as Problem).sort); }
    try { runProgram("/bin/ls", ["-l"]); } catch (e) { why.push((e as Problem).message); }
    console.log("hello", { a: 1 }, environment());
    return [kind, a.number, a.worker, why];
  },
});

export const { next, run, collect, finish } = operation({
  *tasks() { yield* ["abandon", "many", "sleep", "timeout", "forgot", "args", "all", "settled", "random", "random", "who", "text", "lost", "throw", "emoji é😀"]; },
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
      case "who": return await perform("who");
      case "text": return await perform("square", "12", { codec: TEXT });
      case "lost": await new Promise(() => {}); return 1;
      case "throw": throw { odd: 1 };
      default: log.debug("d"); return task.length;
    }
  },
  collect(task, result, error) { outputLine(`${task}: ${error === undefined ? JSON.stringify(result) : "ERR " + error.split("\n")[0]}`); },
  finish() { throw new Error("no end"); },
});
