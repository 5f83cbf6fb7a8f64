// Adds up the squares of the numbers of each line.
import { lines, operation, perform } from "disperse/operation";

export const { next, run, collect, finish } = operation({
  *tasks() {
    for (const line of lines()) yield line.split(" ").map(Number);
  },
  async run(numbers: number[]) {
    const squares = await Promise.all(numbers.map((n) => perform<number>("square", n)));
    return squares.reduce((sum, square) => sum + square, 0);
  },
});
