// Which number of each range has the longest way to 1.
import { lines, operation, perform } from "disperse/operation";

export const { next, run, collect, finish } = operation({
  *tasks() {
    yield* lines();
  },
  async run(line: string) {
    const [from, to] = line.split(" ").map(Number);
    const numbers = Array.from({ length: to - from + 1 }, (_, index) => from + index);
    const steps = await Promise.all(numbers.map((n) => perform<number>("steps", n)));
    const most = Math.max(...steps);
    return `${from}-${to}: ${numbers[steps.indexOf(most)]} takes ${most} steps`;
  },
});
