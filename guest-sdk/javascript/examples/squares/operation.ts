// Adds up the squares of the numbers of each line.
import { lines, operation, perform } from "disperse/operation";

function number(word: string) {
  const value = Number(word);
  if (Number.isNaN(value)) throw new Error(`${word} is no number`);
  return value;
}

export const { next, run, collect, finish } = operation({
  *tasks() {
    for (const line of lines()) yield line.trim().split(/\s+/).map(number);
  },
  async run(numbers: number[]) {
    const squares = await Promise.all(numbers.map((n) => perform<number>("square", n)));
    return squares.reduce((sum, square) => sum + square, 0);
  },
});
