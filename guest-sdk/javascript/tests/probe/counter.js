// Counts in every part of the planner, and writes the total in `finish`; in JavaScript, with variables of the module.
import { lines, operation, outputLine, perform } from "disperse/operation";

let [handed, taken, sum] = [0, 0, 0];

export const { next, run, collect, finish } = operation({
  *tasks() {
    for (const line of lines()) {
      handed++;
      yield Number(line);
    }
  },
  run: (n) => perform("square", n),
  collect(_task, result) {
    taken++;
    sum += result;
  },
  finish() {
    outputLine(`${handed} ${taken} ${sum}`);
  },
});
