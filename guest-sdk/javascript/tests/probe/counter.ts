// Counts in every part of the planner, and writes the total in `finish`.
import { lines, operation, outputLine, perform } from "disperse/operation";

const counts = {
  handed: 0,
  taken: 0,
  sum: 0,
  *tasks() {
    for (const line of lines()) {
      this.handed++;
      yield Number(line);
    }
  },
  run: (n: number) => perform<number>("square", n),
  collect(_task: number, result: number | undefined) {
    this.taken++;
    this.sum += result!;
  },
  finish() {
    outputLine(`${this.handed} ${this.taken} ${this.sum}`);
  },
};

export const { next, run, collect, finish } = operation(counts);
